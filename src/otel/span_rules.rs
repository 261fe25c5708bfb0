use std::borrow::Cow;

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Event as SpanEvent, SpanId, SpanKind, Status},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::{Event, event::Outcome, metadata::Diagnostic, text::truncated};

use super::{
    attribute_limits::AttributeLimits, attribute_list::AttributeList, gen_ai, gen_ai_conventions::GenAiConventions,
    http_attributes, rpc, span_context::span_context, tag_attributes::TagAttributes,
};

/// The rules by which events become spans and log records.
#[derive(Clone, Debug)]
pub(super) struct SpanRules {
    pub(super) is_client: bool,
    pub(super) tags: TagAttributes,
    pub(super) conventions: GenAiConventions,
    pub(super) limits: AttributeLimits,
    pub(super) scope: InstrumentationScope,
}

impl SpanRules {
    /// Returns the attributes of an event, and how many of them did not fit.
    pub(super) fn attributes(&self, event: &Event) -> (Vec<KeyValue>, u32) {
        let mut attributes = AttributeList::new(self.limits);
        http_attributes::add_attributes(event, self.is_client, &mut attributes);
        rpc::add_attributes(event, &mut attributes);
        gen_ai::add_attributes(event, self.conventions, &mut attributes);
        // Last, so that a client's tags cannot replace or displace other attributes.
        for (key, value) in event.metadata() {
            if let Some(name) = self.tags.name_of(key) {
                attributes.tag(name, value);
            }
        }
        attributes.finish()
    }

    /// Returns the span of a request.
    pub(super) fn span(&self, event: &Event) -> SpanData {
        let (attributes, dropped_attributes_count) = self.attributes(event);
        let mut events = SpanEvents::default();
        events.events.extend(event.diagnostics().iter().map(|diagnostic| self.diagnostic(event, diagnostic)));
        let parent = event.trace().w3c_parent();
        SpanData {
            span_context: span_context(event.trace()),
            parent_span_id: parent.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_bytes())),
            parent_span_is_remote: parent.is_some(),
            span_kind: if event.is_work() {
                // Work that continues a trace consumes what another span produced.
                if parent.is_some() { SpanKind::Consumer } else { SpanKind::Internal }
            } else if self.is_client {
                SpanKind::Client
            } else {
                SpanKind::Server
            },
            name: name(event),
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

    /// Returns a diagnostic as an event of the span, without the key and the detail of a tag that is not exported.
    fn diagnostic(&self, event: &Event, diagnostic: &Diagnostic<'_>) -> SpanEvent {
        let mut attributes = vec![KeyValue::new("tower_tagging.diagnostic.code", diagnostic.code().as_str())];
        let is_exported = |key: &str| !self.tags.is_restricted() || self.tags.name_of(key).is_some();
        let key = diagnostic.key().filter(|key| is_exported(key));
        // The detail may contain the value of the tag.
        let detail = diagnostic.detail().filter(|_| diagnostic.key().is_none_or(is_exported));
        for (name, text) in [("tower_tagging.diagnostic.key", key), ("tower_tagging.diagnostic.detail", detail)] {
            let text = text.map(|text| truncated(text, self.limits.value_chars).to_owned());
            attributes.extend(text.map(|text| KeyValue::new(name, text)));
        }
        SpanEvent::new("tower_tagging.diagnostic", event.time(), attributes, 0)
    }

    /// Returns the status by the HTTP semantic conventions: an error of the client is not an error of the server. For a
    /// server, a client that disconnects is not an error either.
    fn status(&self, event: &Event) -> Status {
        let is_error = match event.outcome() {
            Outcome::Failed | Outcome::Panicked => true,
            _ if rpc::error(event, self.is_client).is_some() => true,
            Outcome::Cancelled if self.is_client => true,
            _ if http_attributes::llm_error(event).is_some() => true,
            _ => http_attributes::error_status(event, self.is_client).is_some(),
        };
        if !is_error {
            return Status::Unset;
        }
        // The status code is an attribute already. Only the errors of the handler and the provider add information.
        let error = event.error().or_else(|| http_attributes::llm_error(event));
        Status::error(error.map(str::to_owned).unwrap_or_default())
    }
}

/// Returns the name of the span: the method and the route, but never the path.
fn name(event: &Event) -> Cow<'static, str> {
    if event.is_work() {
        return Cow::Owned(event.path().to_owned());
    }
    if let Some(name) = rpc::span_name(event) {
        return Cow::Owned(name);
    }
    let method = http_attributes::method_name(event.method());
    let method = if method == "_OTHER" { "HTTP" } else { method };
    match event.route() {
        Some(route) => Cow::Owned(format!("{method} {route}")),
        None => Cow::Borrowed(method),
    }
}
