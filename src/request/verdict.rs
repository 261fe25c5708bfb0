use crate::metadata::Diagnostic;

use super::rejection::Rejection;

/// The decision of a [`Caller`](super::Caller) about a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The service is called.
    Admit,
    /// The service is called, and the event has these diagnostics.
    Report(Vec<Diagnostic<'static>>),
    /// The decision depends on the field `user` of the request body.
    ///
    /// The body is read ahead, and the caller's rules are asked again. Without
    /// [`may_learn_user`](super::Candidate::may_learn_user), this is the same as [`Admit`](Self::Admit).
    ReadBody,
    /// The request is answered without calling the service.
    Reject(Box<Rejection>),
}
