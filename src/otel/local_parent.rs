//! The span of this process that is current when a request arrives.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanKind, TraceContextExt},
};
use tracing_core::dispatcher;

/// Returns the current OpenTelemetry span. The bridge `tracing-opentelemetry` makes the span of the current `tracing` span
/// the current one.
pub(super) fn current_span() -> Option<SpanContext> {
    Context::map_current(|context| {
        if !context.has_active_span() {
            return None;
        }
        Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
    })
}

/// Returns the kind of a span within the current one, so that a request has exactly one span of the kind `SERVER`.
///
/// The API does not reveal the kind of the current span. A `tracing` span whose call site has the field `otel.kind` is a
/// `SERVER` span, and one without that field is not. A span that was started without `tracing` comes from another
/// instrumentation of servers.
pub(super) fn kind_within_current() -> SpanKind {
    match declares("otel.kind") {
        Some(false) => SpanKind::Server,
        Some(true) | None => SpanKind::Internal,
    }
}

/// Returns `true` if the current `tracing` span has fields for OpenTelemetry.
pub(super) fn is_in_span_with_otel_fields() -> bool {
    ["otel.kind", "otel.name", "otel.status_code"].into_iter().any(|field| declares(field) == Some(true))
}

/// Returns `true` if the call site of the current `tracing` span has a field, or `None` without a current span.
fn declares(field: &str) -> Option<bool> {
    dispatcher::get_default(|dispatch| {
        let current = dispatch.current_span();
        current.metadata().map(|metadata| metadata.fields().field(field).is_some())
    })
}
