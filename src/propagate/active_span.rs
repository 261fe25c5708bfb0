use opentelemetry::{Context, trace::TraceContextExt};

use crate::trace::{SpanId, TraceContext};

/// Returns the OpenTelemetry span that is active on this thread, if it belongs to the trace.
pub(super) fn active_span_in(trace: &TraceContext) -> Option<SpanId> {
    Context::map_current(|context| {
        if !context.has_active_span() {
            return None;
        }
        let span = context.span();
        let span = span.span_context();
        let is_ours = span.is_valid() && span.trace_id().to_bytes() == trace.trace_id().to_bytes();
        if is_ours { SpanId::from_bytes(span.span_id().to_bytes()) } else { None }
    })
}
