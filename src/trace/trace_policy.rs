/// The treatment of trace ids that a client sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TracePolicy {
    /// Continues the client's trace.
    #[default]
    Accept,
    /// Starts a new trace for every request, for clients that are not trusted.
    ///
    /// The client's trace id is kept as [`linked_trace_id`](super::TraceContext::linked_trace_id).
    Restart,
}
