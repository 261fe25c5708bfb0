use std::{borrow::Cow, sync::Arc};

use futures_executor::block_on;
use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{
        Event as SpanEvent, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    },
};
use opentelemetry_sdk::{
    error::OTelSdkError,
    trace::{SpanData, SpanEvents, SpanExporter, SpanLinks},
};

use crate::{
    Event,
    event::Outcome,
    sink::{BatchWriter, WriteError, WriteErrorKind, yielding_chunks},
    text::truncated,
    trace::TraceContext,
};

use super::{
    GenAiConventions, TagAttributes,
    attributes::{self, AttributeLimits, Attributes},
};

/// The span of a request, as those see it that go on from here.
pub(super) fn span_context(trace: &TraceContext) -> SpanContext {
    let flags = TraceFlags::new(trace.flags());
    let trace_id = TraceId::from_bytes(trace.trace_id().to_bytes());
    let span_id = SpanId::from_bytes(trace.span_id().to_bytes());
    SpanContext::new(trace_id, span_id, flags, false, trace_state(trace))
}

/// What vendors handed on; an empty one where the SDK can't say it.
pub(super) fn trace_state(trace: &TraceContext) -> TraceState {
    trace.tracestate().and_then(|list| list.parse().ok()).unwrap_or_default()
}

/// The current context, with the request's own span in it.
pub(crate) fn context_of(trace: &TraceContext) -> Context {
    Context::map_current(|current| current.with_remote_span_context(span_context(trace)))
}

/// What spans look like.
#[derive(Clone, Debug)]
pub(super) struct SpanRules {
    pub(super) is_client: bool,
    pub(super) tags: TagAttributes,
    #[cfg_attr(not(feature = "llm"), allow(dead_code, reason = "there is no LLM usage to name"))]
    pub(super) conventions: GenAiConventions,
    pub(super) limits: AttributeLimits,
    pub(super) scope: InstrumentationScope,
}

impl SpanRules {
    /// The attributes of an event: of the request, its usage and its tags.
    pub(super) fn attributes(&self, event: &Event) -> (Vec<KeyValue>, u32) {
        let mut attributes = Attributes::new(self.limits);
        attributes::http(event, self.is_client, &mut attributes);
        #[cfg(feature = "llm")]
        if let Some(llm) = event.llm() {
            attributes::gen_ai(llm, self.conventions, &mut attributes);
        }
        // Last, so that no client's tags take the place of what is known.
        for (key, value) in event.metadata() {
            if let Some(name) = self.tags.name_of(key) {
                attributes.tag(name, value);
            }
        }
        attributes.finish()
    }

    /// The span of a request.
    pub(super) fn span(&self, event: &Event) -> SpanData {
        let (attributes, dropped_attributes_count) = self.attributes(event);
        let method = attributes::method_name(event.method());
        let method = if method == "_OTHER" { "HTTP" } else { method };
        let name = match event.route() {
            Some(route) => Cow::Owned(format!("{method} {route}")),
            None => Cow::Borrowed(method),
        };
        let mut events = SpanEvents::default();
        for note in event.diagnostics() {
            let mut attributes = vec![KeyValue::new("tower_tagging.diagnostic.code", note.code().as_str())];
            // The detail may be a tag's value, which is to go nowhere.
            let is_told = |key: &str| !self.tags.leaves_out_some() || self.tags.name_of(key).is_some();
            let key = note.key().filter(|key| is_told(key));
            let detail = note.detail().filter(|_| note.key().is_none_or(is_told));
            let texts = [("tower_tagging.diagnostic.key", key), ("tower_tagging.diagnostic.detail", detail)];
            for (name, text) in texts {
                let text = text.map(|text| truncated(text, self.limits.value_chars).to_owned());
                attributes.extend(text.map(|text| KeyValue::new(name, text)));
            }
            events.events.push(SpanEvent::new("tower_tagging.diagnostic", event.time(), attributes, 0));
        }
        let parent = event.trace().w3c_parent();
        SpanData {
            span_context: span_context(event.trace()),
            parent_span_id: parent.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_bytes())),
            parent_span_is_remote: parent.is_some(),
            span_kind: if self.is_client { SpanKind::Client } else { SpanKind::Server },
            name,
            start_time: event.time(),
            end_time: event.time().checked_add(event.duration()).unwrap_or(event.time()),
            attributes,
            dropped_attributes_count,
            events,
            links: SpanLinks::default(),
            status: self.status(event),
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// By the HTTP semantic conventions: an error of the service, not of the client. That a client went away is none by itself.
    fn status(&self, event: &Event) -> Status {
        let is_error = match event.outcome() {
            Outcome::Failed | Outcome::Panicked => true,
            Outcome::Cancelled if self.is_client => true,
            _ => attributes::error_status(event, self.is_client).is_some(),
        };
        if !is_error {
            return Status::Unset;
        }
        // A status code says all; what a handler recorded says more.
        Status::error(event.error().map(str::to_owned).unwrap_or_default())
    }
}

/// Hands spans to an exporter.
pub(super) struct SpanWriter<E: SpanExporter> {
    pub(super) exporter: E,
    pub(super) rules: Arc<SpanRules>,
}

impl<E: SpanExporter + 'static> BatchWriter for SpanWriter<E> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let mut spans = Vec::with_capacity(events.len());
        spans.extend(yielding_chunks(events).map(|event| self.rules.span(event)));
        export_result(block_on(self.exporter.export(spans)))
    }
}

impl<E: SpanExporter> Drop for SpanWriter<E> {
    /// An exporter of the user's may hold spans back.
    fn drop(&mut self) {
        if let Err(error) = self.exporter.force_flush() {
            tracing::warn!(target: "tower_tagging::delivery", %error, "the last spans could not be flushed");
        }
    }
}

/// What an exporter's error means for the batch. OTLP tells what may be sent again; of it the SDK leaves but the text.
pub(super) fn export_result(result: Result<(), OTelSdkError>) -> Result<(), WriteError> {
    result.map_err(|error| match meaning(&error) {
        WriteErrorKind::Rejected => WriteError::rejected(error),
        WriteErrorKind::Final => WriteError::new(error),
        WriteErrorKind::Retryable => WriteError::retryable(error),
    })
}

/// By the [specification of OTLP](https://opentelemetry.io/docs/specs/otlp/#failures), but that a batch which is refused for
/// what is in it, or for its size, is looked through for the events that are to blame.
fn meaning(error: &OTelSdkError) -> WriteErrorKind {
    if matches!(error, OTelSdkError::AlreadyShutdown) {
        return WriteErrorKind::Final;
    }
    let text = error.to_string();
    let behind = |mark: &str| text.split_once(mark).map(|(_, behind)| behind.trim_start());
    if let Some(code) = behind("gRPC code:") {
        let code = code.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
        return match code {
            // Servers say the last two of a message that is longer than they take.
            "InvalidArgument" | "ResourceExhausted" | "OutOfRange" => WriteErrorKind::Rejected,
            "Unauthenticated" | "PermissionDenied" | "Unimplemented" | "NotFound" | "FailedPrecondition"
            | "AlreadyExists" => WriteErrorKind::Final,
            // Two of them, Internal and Unknown, are what a connection that broke off looks like, too.
            _ => WriteErrorKind::Retryable,
        };
    }
    let status = behind("status code:").and_then(|behind| behind.get(..3)?.parse::<u16>().ok());
    match status {
        Some(400 | 413 | 422) => WriteErrorKind::Rejected,
        Some(408 | 429 | 502..=504) => WriteErrorKind::Retryable,
        Some(400..=599) => WriteErrorKind::Final,
        _ if text.contains("exceeding the configured limit") => WriteErrorKind::Rejected,
        _ => WriteErrorKind::Retryable,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::meaning;
    use crate::sink::WriteErrorKind::{Final, Rejected, Retryable};

    /// In the words of the exporter of the SDK, which leaves no other trace of what the collector said.
    #[test]
    fn what_is_tried_again() {
        for (text, expected) in [
            ("export failed with gRPC code: ResourceExhausted", Rejected),
            ("OtlpHttpTraceExporter: export failed with gRPC code: OutOfRange", Rejected),
            ("export failed with gRPC code: InvalidArgument", Rejected),
            ("export failed with gRPC code: Unavailable", Retryable),
            ("export failed with gRPC code: DeadlineExceeded", Retryable),
            ("export failed with gRPC code: Internal", Retryable),
            ("export failed with gRPC code: Unauthenticated", Final),
            (
                "OpenTelemetry export failed. Url: http://localhost:4318/v1/traces, status code: 413 Payload Too Large",
                Rejected,
            ),
            ("export failed, status code: 500 Internal Server Error", Final),
            ("export failed, status code: 503 Service Unavailable", Retryable),
            ("export failed, status code: 429 Too Many Requests", Retryable),
            ("export failed, status code: 401 Unauthorized", Final),
            ("request of 70 MiB exceeding the configured limit will not be sent", Rejected),
            ("connection refused", Retryable),
        ] {
            assert_eq!(meaning(&OTelSdkError::InternalFailure(text.to_owned())), expected, "{text}");
        }
        assert_eq!(meaning(&OTelSdkError::AlreadyShutdown), Final);
    }
}
