use std::fmt;

use super::TraceContext;

/// Decides whether the trace of a request is recorded: the sampled flag of the `traceparent` that goes on.
///
/// It is asked when the ids are known, before the service runs. Without a sampler the flag of the caller's `traceparent`
/// goes on, and traces that begin here are sampled.
pub trait TraceSampler: Send + Sync + fmt::Debug + 'static {
    /// Whether to record it; `parent` is the flag of the caller's `traceparent`, when the request is part of its trace.
    fn is_sampled(&self, trace: &TraceContext, parent: Option<bool>) -> bool;
}
