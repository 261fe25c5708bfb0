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
    sink::{BatchWriter, WriteError},
    trace::TraceContext,
};

use super::{
    GenAiConventions, TagAttributes,
    attributes::{self, AttributeLimits, Attributes},
};

/// The span of a request, as those see it that go on from here.
pub(super) fn span_context(trace: &TraceContext) -> SpanContext {
    let flags = TraceFlags::new(trace.flags());
    let trace_id = TraceId::from_bytes(trace.w3c_trace_id().to_bytes());
    let span_id = SpanId::from_bytes(trace.span_id().to_bytes());
    SpanContext::new(trace_id, span_id, flags, false, TraceState::default())
}

/// The current context, with the request's own span in it.
pub(crate) fn context_of(trace: &TraceContext) -> Context {
    Context::current().with_remote_span_context(span_context(trace))
}

/// What spans look like.
#[derive(Clone, Debug)]
pub(super) struct SpanRules {
    pub(super) is_client: bool,
    pub(super) tags: TagAttributes,
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
                attributes.text(name, value);
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
            let texts =
                [("tower_tagging.diagnostic.key", note.key()), ("tower_tagging.diagnostic.detail", note.detail())];
            for (name, text) in texts {
                attributes.extend(text.map(|text| KeyValue::new(name, text.to_owned())));
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

    /// By the HTTP semantic conventions: an error of the service, not of the client; a client that went away is none.
    fn status(&self, event: &Event) -> Status {
        let is_error = match event.outcome() {
            Outcome::Failed | Outcome::Panicked => true,
            Outcome::Cancelled => self.is_client,
            _ => event.status().is_some_and(|s| s.is_server_error() || (self.is_client && s.is_client_error())),
        };
        if !is_error {
            return Status::Unset;
        }
        // A status code says all; what a handler recorded says more.
        Status::error(event.error().map(str::to_owned).unwrap_or_default())
    }
}

/// Hands spans to an exporter.
pub(super) struct SpanWriter<E> {
    pub(super) exporter: E,
    pub(super) rules: Arc<SpanRules>,
}

impl<E: SpanExporter + 'static> BatchWriter for SpanWriter<E> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let spans = events.iter().map(|event| self.rules.span(event)).collect();
        export_result(block_on(self.exporter.export(spans)))
    }
}

/// What an exporter says may pass, but that it was shut down.
pub(super) fn export_result(result: Result<(), OTelSdkError>) -> Result<(), WriteError> {
    result.map_err(|error| match error {
        OTelSdkError::AlreadyShutdown => WriteError::new(error),
        error => WriteError::retryable(error),
    })
}
