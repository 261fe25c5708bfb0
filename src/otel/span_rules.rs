use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{Event as SpanEvent, Link, Span, SpanBuilder, SpanId, SpanRef, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::{Event, event::Outcome, metadata::Diagnostic, text::truncated};

use super::{
    attribute_limits::AttributeLimits,
    attribute_list::AttributeList,
    gen_ai,
    gen_ai_conventions::GenAiConventions,
    http_attributes, methods,
    request_ids::RequestIds,
    request_span::RequestSpan,
    rpc,
    span_context::span_context,
    span_starter::{INITIAL_ATTRIBUTES, SpanStarter, kind, remote_span},
    tag_attributes::TagAttributes,
};

/// The rules by which events become spans and log records.
#[derive(Clone, Debug)]
pub(super) struct SpanRules {
    pub(super) is_client: bool,
    pub(super) tags: TagAttributes,
    pub(super) conventions: GenAiConventions,
    pub(super) limits: AttributeLimits,
    pub(super) scope: InstrumentationScope,
    pub(super) starter: Arc<SpanStarter>,
}

impl SpanRules {
    /// Returns the attributes of an event, and how many of them did not fit.
    pub(super) fn attributes(&self, event: &Event) -> (Vec<KeyValue>, u32) {
        let mut attributes = AttributeList::new(self.limits);
        http_attributes::add_attributes(event, self.starter.span_of(event), self.is_client, &mut attributes);
        rpc::add_attributes(event, self.is_client, &mut attributes);
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
        events.events.extend(self.events(event));
        let parent = event.trace().w3c_parent();
        let span = self.starter.span_of(event);
        let mut links = SpanLinks::default();
        links.links.extend(span.and_then(|span| span.linked.clone()).map(Link::with_context));
        SpanData {
            span_context: span_context(event.trace()),
            parent_span_id: parent.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_bytes())),
            parent_span_is_remote: parent.is_some() && !span.is_some_and(|span| span.has_local_parent),
            span_kind: match span {
                Some(span) => span.kind.clone(),
                None => kind(self.is_client, event.is_work(), parent.is_some()),
            },
            name: self.name(event),
            start_time: event.time(),
            end_time: end_time(event),
            attributes,
            dropped_attributes_count,
            events,
            links,
            status: self.status(event),
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// Ends the span that the app's provider started for the request. Returns `false` if the provider creates no spans.
    pub(super) fn end(&self, event: &Event) -> bool {
        let Some(RequestSpan { context: Some(context), .. }) = self.starter.span_of(event) else {
            return self.create(event);
        };
        let span = context.span();
        if span.is_recording() {
            self.complete(event, &span);
        }
        span.end_with_timestamp(end_time(event));
        true
    }

    /// Creates the span of an event by the app's provider, with the times of the event. This is for an `Otel` that is only a
    /// sink, so that it has not started the span.
    fn create(&self, event: &Event) -> bool {
        let Some(tracer) = &self.starter.tracer else { return false };
        let SpanData { span_kind, name, start_time, end_time, attributes, events, links, status, .. } =
            self.span(event);
        let builder = SpanBuilder::from_name(name)
            .with_kind(span_kind)
            .with_start_time(start_time)
            .with_attributes(attributes)
            .with_events(events.events)
            .with_links(links.links);
        let trace = event.trace();
        let parent = match trace.w3c_parent() {
            Some(parent) => Context::new().with_remote_span_context(remote_span(trace, *parent)),
            None => Context::new(),
        };
        let own = span_context(trace);
        let trace_id = trace.w3c_parent().is_none().then(|| own.trace_id());
        let mut span = RequestIds::with(trace_id, own.span_id(), || tracer.build_with_context(builder, &parent));
        span.set_status(status);
        span.end_with_timestamp(end_time);
        span.span_context().is_valid()
    }

    fn complete(&self, event: &Event, span: &SpanRef<'_>) {
        span.update_name(self.name(event));
        let (attributes, _) = self.attributes(event);
        span.set_attributes(attributes.into_iter().filter(|new| !INITIAL_ATTRIBUTES.contains(&new.key.as_str())));
        for SpanEvent { name, timestamp, attributes, .. } in self.events(event) {
            span.add_event_with_timestamp(name, timestamp, attributes);
        }
        span.set_status(self.status(event));
    }

    /// Returns the diagnostics as events of the span.
    fn events(&self, event: &Event) -> impl Iterator<Item = SpanEvent> {
        event.diagnostics().iter().map(|diagnostic| self.diagnostic(event, diagnostic))
    }

    /// Returns the name of the span. Calls of an LLM are named after the operation and the model.
    fn name(&self, event: &Event) -> Cow<'static, str> {
        let call_name = || gen_ai::span_name(event.llm()?).map(Cow::Owned);
        let name = if self.is_client { call_name() } else { None };
        if let Some(name) = name.or_else(|| rpc::span_name(event, self.is_client).map(Cow::Owned)) {
            return name;
        }
        if event.is_work() {
            return Cow::Owned(event.path().to_owned());
        }
        methods::span_name(event.method(), event.route())
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

    /// Returns the status by the HTTP semantic conventions: an error of the client is not an error of the server. A request
    /// that was cancelled is not an error either.
    fn status(&self, event: &Event) -> Status {
        let is_error = match event.outcome() {
            Outcome::Failed | Outcome::Panicked => true,
            _ if rpc::error(event, self.is_client).is_some() => true,
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

fn end_time(event: &Event) -> SystemTime {
    event.time().checked_add(event.duration()).unwrap_or(event.time())
}
