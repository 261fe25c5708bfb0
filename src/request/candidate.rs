use crate::metadata::Metadata;

/// A request that waits for its admission.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The effective metadata so far. Tags that a handler sets come too late.
    pub metadata: &'a Metadata,
    /// The request body has not been read, and its field `user` may still set the effective tag `_user`.
    ///
    /// [`Verdict::ReadBody`](super::Verdict::ReadBody) asks for it. Rules that depend on `_user` must ask, because the value of
    /// the body may replace a default.
    pub may_learn_user: bool,
}
