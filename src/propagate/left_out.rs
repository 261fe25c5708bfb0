use super::{dialect::Dialect, left_out_reason::LeftOutReason};

/// A tag that is on the allow-list but was not sent in one dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The key of the tag within this service.
    pub key: String,
    /// The dialect that does not include the tag.
    pub dialect: Dialect,
    /// The reason why it is missing.
    pub reason: LeftOutReason,
}
