use std::{fmt, sync::Arc};

use crate::trace::TraceContext;

use super::Tags;

/// A step of a request with its own span, such as one tool call of an agent.
///
/// Calls made in a step nest under it in the next service, with the name of the step and the path to it.
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
/// Names are truncated to 128 characters and lose control characters and surrounding white space. An empty name does not
/// extend the path. In the path, a `/` of a name is written as `%2F`. Paths longer than 128 characters lose their outermost
/// segments. A step does not appear on this service's own event, only on that of the service it calls.
#[derive(Clone)]
pub struct Step {
    pub(super) tags: Tags,
    pub(super) trace: Arc<TraceContext>,
}

impl Tags {
    /// Creates a step of this request. It extends the [path](TraceContext::span_path) that the request came with.
    pub fn child(&self, name: &str) -> Step {
        Step { tags: self.clone(), trace: Arc::new(self.trace().step(name)) }
    }
}

impl Step {
    /// Creates a step within this step.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self { tags: self.tags.clone(), trace: Arc::new(self.trace.step(name)) }
    }

    /// Returns the tags of the request, which all of its steps share.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Returns the trace ids for calls made in this step: its own span id, name, and path.
    pub fn trace(&self) -> &TraceContext {
        &self.trace
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("trace", &self.trace).finish_non_exhaustive()
    }
}
