use crate::metadata::{Diagnostic, TagFilter};

use super::{candidate::Candidate, rejection::Rejection, settled_tags::SettledTags, verdict::Verdict};

/// The rules for the requests of one caller: an [`Admission`](crate::tagging::Admission) returns them.
///
/// All methods are called for requests of this caller only, on any thread, and must not block.
pub trait Caller: TagFilter + 'static {
    /// Checks the effective metadata before the service is called.
    fn check(&self, candidate: &Candidate<'_>) -> Verdict {
        let _ = candidate;
        Verdict::Admit
    }

    /// Returns the answer to a request that is rejected because of one of its tags.
    ///
    /// The reason is from the [filter](TagFilter::filter), from a limit with
    /// [`Overflow::Reject`](crate::metadata::Overflow::Reject), or from
    /// [`TagSources::strict_json`](crate::TagSources::strict_json). The default is status 400 without a body.
    fn reject(&self, reason: &Diagnostic<'_>) -> Option<Rejection> {
        let _ = reason;
        None
    }

    /// Called once per request with its final tags and cost, when the event is read for the first time, or is dropped
    /// unread.
    fn settled(&self, tags: &SettledTags<'_>) {
        let _ = tags;
    }
}
