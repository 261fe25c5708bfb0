//! Traces of the steps within a request.

use std::sync::Arc;

use crate::text::truncated;

use super::{
    client_text::{MAX_CHARS, readable},
    id_generator::IdGenerator,
    random_ids::RandomIds,
    trace_context::{Parent, TraceContext},
};

impl TraceContext {
    /// Returns the trace of a step of this request: a new span with ours as the parent, whose name extends the path.
    pub(crate) fn step(&self, name: &str) -> Self {
        let name = readable(name).unwrap_or_default();
        let name = name.trim_end();
        Self {
            span_id: RandomIds.span_id(),
            parent: Some(Parent::W3c(self.span_id)),
            remote_parent: None,
            span_name: (!name.is_empty()).then(|| name.into()),
            span_path: path_to(self.span_path(), name),
            ..self.clone()
        }
    }
}

/// Returns the path with one more segment. If it is too long for the next service to read, the outermost segments are
/// removed.
fn path_to(parent: Option<&str>, name: &str) -> Option<Arc<str>> {
    if name.is_empty() {
        return parent.map(Arc::from);
    }
    let segment = name.replace('/', "%2F");
    let path = match parent {
        Some(parent) => format!("{parent}/{segment}"),
        None => segment,
    };
    let mut path = path.as_str();
    while path.chars().count() > MAX_CHARS {
        match path.split_once('/') {
            Some((_, inner)) => path = inner,
            None => return Some(truncated(path, MAX_CHARS).into()),
        }
    }
    Some(path.into())
}

#[cfg(test)]
mod tests {
    use super::{RandomIds, TraceContext};
    use crate::trace::IdGenerator;

    fn trace() -> TraceContext {
        TraceContext::new(RandomIds.trace_id(std::time::UNIX_EPOCH), RandomIds.span_id())
    }

    #[test]
    fn a_step_is_a_child_span_that_extends_the_path() {
        let request = trace();
        let plan = request.step("agent:plan");
        let search = plan.step(" tool:search/db\n");
        assert_eq!(plan.parent_span_id(), Some(request.span_id().as_str()));
        assert_eq!(search.parent_span_id(), Some(plan.span_id().as_str()));
        assert_eq!(search.trace_id(), request.trace_id());
        assert_eq!((plan.span_name(), plan.span_path()), (Some("agent:plan"), Some("agent:plan")));
        assert_eq!(search.span_name(), Some("tool:search/db"));
        assert_eq!(search.span_path(), Some("agent:plan/tool:search%2Fdb"));
        let nameless = search.step(" \t");
        assert_eq!((nameless.span_name(), nameless.span_path()), (None, search.span_path()));
    }

    #[test]
    fn names_and_paths_have_a_maximum_length() {
        let mut step = trace();
        for depth in 0..40 {
            step = step.step(&format!("step-{depth:04}"));
        }
        let path = step.span_path().unwrap();
        assert!(path.chars().count() <= 128, "{path}");
        assert!(path.ends_with("/step-0038/step-0039") && path.starts_with("step-"), "{path}");
        let long = step.step(&"ü/".repeat(100));
        assert_eq!(long.span_name().unwrap().chars().count(), 128);
        assert_eq!(long.span_path().unwrap().chars().count(), 128);
    }
}
