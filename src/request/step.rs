use std::{fmt, sync::Arc};

use crate::trace::TraceContext;

use super::Tags;

/// A step of a request, such as one tool call of an agent, with a span of its own: calls made in it nest under it in the
/// next service, with its name and the path that led there.
///
/// ```
/// use tower_tagging::Tags;
///
/// let tags = Tags::new();
/// let plan = tags.child("agent:plan");
/// let search = plan.child("tool:search_db");
/// assert_eq!(search.trace().span_name(), Some("tool:search_db"));
/// assert_eq!(search.trace().span_path(), Some("agent:plan/tool:search_db"));
/// assert_eq!(search.trace().parent_span_id(), Some(plan.trace().span_id().as_str()));
/// assert_eq!(search.trace().trace_id(), tags.trace().trace_id());
/// ```
///
/// Names are cut to 128 characters, without control characters and outer white space; a name of nothing adds nothing to the
/// path. In the path a `/` of the name is `%2F`, and of a path of more than 128 characters the outermost steps go: this crate
/// reads no more of it from a header. A step stands in no event of its own service; the next one tells of it.
#[derive(Clone)]
pub struct Step {
    pub(super) tags: Tags,
    pub(super) trace: Arc<TraceContext>,
}

impl Tags {
    /// A step of this request, one further on the [path](TraceContext::span_path) that the request came with.
    pub fn child(&self, name: &str) -> Step {
        Step { tags: self.clone(), trace: Arc::new(self.trace().step(name)) }
    }

    /// Whether both are handles to the same request.
    pub(crate) fn is_of_same_request(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Step {
    /// A step of this step.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self { tags: self.tags.clone(), trace: Arc::new(self.trace.step(name)) }
    }

    /// The tags of the request. They are the same in all of its steps.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// The trace as calls made in this step see it: its own span id, name and path.
    pub fn trace(&self) -> &TraceContext {
        &self.trace
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("trace", &self.trace).finish_non_exhaustive()
    }
}
