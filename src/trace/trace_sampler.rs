use super::trace_context::TraceContext;

/// A decision whether the trace of a request is recorded.
///
/// The decision becomes the sampled flag of the `traceparent` that the service receives. It is made once per request, after
/// the ids are known and before the service is called. Without a sampler, the flag of the client's `traceparent` is kept,
/// and new traces are sampled. The tags of the request are locked during the call: it must not block or use
/// [`Tags`](crate::Tags).
pub trait TraceSampler: Send + Sync + 'static {
    /// Returns `true` to record the trace.
    ///
    /// `parent` is the sampled flag of the client's `traceparent`, if the request continues the client's trace.
    fn is_sampled(&self, trace: &TraceContext, parent: Option<bool>) -> bool;
}
