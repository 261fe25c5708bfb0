use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};

use crate::trace::TraceContext;

/// Returns the span context of the request's own span.
pub(super) fn span_context(trace: &TraceContext) -> SpanContext {
    let flags = TraceFlags::new(trace.flags());
    let trace_id = TraceId::from_bytes(trace.trace_id().to_bytes());
    let span_id = SpanId::from_bytes(trace.span_id().to_bytes());
    SpanContext::new(trace_id, span_id, flags, false, trace_state(trace))
}

/// Returns the `tracestate`, or an empty one if the SDK cannot parse it.
pub(super) fn trace_state(trace: &TraceContext) -> TraceState {
    trace.tracestate().and_then(|list| list.parse().ok()).unwrap_or_default()
}

/// Returns the current context with the request's own span as the active span.
pub(super) fn context_of(trace: &TraceContext) -> Context {
    Context::map_current(|current| current.with_remote_span_context(span_context(trace)))
}
