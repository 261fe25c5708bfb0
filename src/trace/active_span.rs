use opentelemetry::{Context, trace::TraceContextExt};

use super::{span_id::SpanId, trace_context::TraceContext};

impl TraceContext {
    /// Returns the trace at the OpenTelemetry span that is active on this thread, if that belongs to the trace.
    ///
    /// Calls that are made within the span nest under it.
    pub(crate) fn at_active_span(self) -> Self {
        match active_span_in(&self) {
            Some(span_id) => Self { span_id, ..self },
            None => self,
        }
    }
}

fn active_span_in(trace: &TraceContext) -> Option<SpanId> {
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
