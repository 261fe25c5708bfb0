use std::{
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use http::header;
use opentelemetry::{
    Context, KeyValue,
    global::BoxedTracer,
    trace::{Link, Span, SpanBuilder, SpanContext, SpanKind, TraceContextExt, TraceFlags, Tracer},
};

use crate::{
    Event,
    headers::PORTKEY_PARENT_SPAN_ID,
    request::Tags,
    tagging::RequestStart,
    text::truncated,
    trace::{SpanId, TraceContext, TraceId, TraceSampler},
};

use super::{
    forwarded::Forwarded,
    local_parent::{current_span, is_in_span_with_otel_fields, kind_within_current},
    methods::{method_name, span_name},
    peer_address::peer_address,
    request_ids::RequestIds,
    request_span::RequestSpan,
    sampler::Sampler,
    span_context::{self, span_context},
};

/// Maximum length of a `user-agent`, in characters.
const MAX_USER_AGENT_CHARS: usize = 512;

/// The number of requests that are checked for spans of another version of `opentelemetry`.
const CHECKED_REQUESTS: u8 = 64;

/// The part of an `Otel` that starts the spans of requests.
#[derive(Default)]
pub(super) struct SpanStarter {
    pub(super) is_client: bool,
    /// Ignores the current span of the process.
    pub(super) ignores_current: bool,
    pub(super) trusts_forwarded: bool,
    /// The kind of spans within a span of the process, instead of the one that is detected.
    pub(super) nested_kind: Option<SpanKind>,
    pub(super) sampler: Option<Sampler>,
    /// The tracer of the app's provider.
    pub(super) tracer: Option<BoxedTracer>,
    checked: AtomicU8,
    /// Recognizes the spans that were started here.
    identity: Arc<()>,
}

/// The current span of the process, at which the trace continues.
struct LocalParent {
    /// The span that the client named as the parent, if it belongs to another trace.
    linked: Option<SpanContext>,
}

impl SpanStarter {
    /// Starts the span of a request. Returns the context in which the request runs, and `true` if its scheme is `https`.
    pub(super) fn start(&self, request: &mut RequestStart<'_>) -> (Context, bool) {
        let own = span_context(request.trace);
        let is_own = |current: SpanContext| (current.trace_id(), current.span_id()) == (own.trace_id(), own.span_id());
        let is_started = current_span().is_some_and(is_own);
        let mut span = if is_started { self.same_span(request) } else { self.new_span(request) };
        let is_https = span.forwarded.is_https.unwrap_or(request.is_https);
        let context = match &self.tracer {
            Some(tracer) => {
                let context = start_by(tracer, &span, is_https, request);
                if !is_started {
                    adopt_ids(&context, request.trace);
                }
                span.context = Some(context.clone());
                context
            }
            None if is_started => Context::current(),
            None => span_context::context_of(request.trace),
        };
        if !span.is_plain() {
            request.attachments.push(Arc::new(span));
        }
        (context, is_https)
    }

    /// Describes a new span.
    fn new_span(&self, request: &mut RequestStart<'_>) -> RequestSpan {
        let local = self.adopt_current(request);
        let has_local_parent = local.is_some();
        RequestSpan {
            kind: self.kind(request, has_local_parent),
            has_local_parent,
            linked: local.and_then(|parent| parent.linked),
            ..self.sender(request)
        }
    }

    /// Describes the span that another `Otel` of the same layer has started. A second provider gets a span within it.
    fn same_span(&self, request: &RequestStart<'_>) -> RequestSpan {
        let sender = self.sender(request);
        if self.tracer.is_some() {
            let kind = if self.is_client { SpanKind::Client } else { SpanKind::Internal };
            return RequestSpan { kind, has_local_parent: true, ..sender };
        }
        match request.attachments.iter().find_map(|value| value.downcast_ref::<RequestSpan>()) {
            Some(RequestSpan { kind, has_local_parent, linked, .. }) => RequestSpan {
                kind: kind.clone(),
                has_local_parent: *has_local_parent,
                linked: linked.clone(),
                ..sender
            },
            None => sender,
        }
    }

    /// Describes the sender of the request.
    fn sender(&self, request: &RequestStart<'_>) -> RequestSpan {
        let user_agent = request.headers.get(header::USER_AGENT).filter(|_| !self.is_client);
        let user_agent = user_agent.and_then(|value| value.to_str().ok());
        // A proxy passes on headers that describe the request of its client, not its own call.
        let reads_forwarded = self.trusts_forwarded && !self.is_client;
        RequestSpan {
            owner: Arc::clone(&self.identity),
            kind: self.kind(request, false),
            has_local_parent: false,
            linked: None,
            context: None,
            peer: peer_address(request.extensions).filter(|_| !self.is_client),
            user_agent: user_agent.map(|text| truncated(text, MAX_USER_AGENT_CHARS).into()),
            forwarded: if reads_forwarded { Forwarded::read(request.headers) } else { Forwarded::default() },
        }
    }

    /// Returns the span that was started for the request of an event, if it has data that the event lacks.
    pub(super) fn span_of<'e>(&self, event: &'e Event) -> Option<&'e RequestSpan> {
        event.attachment(|span: &RequestSpan| Arc::ptr_eq(&span.owner, &self.identity))
    }

    /// Returns `true` if the span of an event is recorded.
    pub(super) fn is_recorded(&self, event: &Event) -> bool {
        let started = self.span_of(event).and_then(|span| span.context.as_ref());
        started.map_or_else(|| event.trace().sampled(), |context| context.span().is_recording())
    }

    fn kind(&self, request: &RequestStart<'_>, has_local_parent: bool) -> SpanKind {
        let is_work = request.is_work();
        match &self.nested_kind {
            _ if self.is_client || !has_local_parent => {
                kind(self.is_client, is_work, request.trace.w3c_parent().is_some())
            }
            Some(kind) => kind.clone(),
            None if is_work => SpanKind::Internal,
            None => kind_within_current(),
        }
    }

    /// Continues the trace at the current span. Returns `None` unless that is a span of this process.
    fn adopt_current(&self, request: &mut RequestStart<'_>) -> Option<LocalParent> {
        if self.ignores_current {
            return None;
        }
        let Some(current) = current_span() else {
            self.check_version();
            return None;
        };
        let trace_id = TraceId::from_bytes(current.trace_id().to_bytes())?;
        let parent = SpanId::from_bytes(current.span_id().to_bytes())?;
        let trace = &mut *request.trace;
        let is_same_trace = *trace.trace_id() == trace_id;
        if let Some(named) = trace.w3c_parent() {
            // The headers name the same span, or one that is closer to the request.
            if current.is_remote() || (self.is_client && is_same_trace && *named != parent && !is_own_span(*named)) {
                return None;
            }
        }
        let linked = trace.w3c_parent().filter(|_| !is_same_trace).map(|named| remote_span(trace, *named));
        let keeps_parent = request.headers.contains_key(PORTKEY_PARENT_SPAN_ID);
        let flags = current.trace_flags();
        trace.continue_at(trace_id, parent, flags.to_u8(), keeps_parent);
        let tracestate = current.trace_state().header();
        if !tracestate.is_empty() {
            trace.set_tracestate(&tracestate);
        }
        if let Some(sampler) = self.sampler.as_ref().filter(|_| self.tracer.is_none()) {
            let is_sampled = sampler.is_sampled(trace, Some(flags.is_sampled()));
            *trace = mem::replace(trace, TraceContext::unset()).with_sampled(is_sampled);
        }
        // A span of another process is the parent of a request as if its headers had named it.
        (!current.is_remote()).then_some(LocalParent { linked })
    }

    /// Warns once if the app seems to use another version of `opentelemetry`, whose spans are not visible here.
    fn check_version(&self) {
        if self.is_client || self.checked.load(Relaxed) >= CHECKED_REQUESTS {
            return;
        }
        let is_suspicious = is_in_span_with_otel_fields();
        let checked = self.checked.fetch_add(1, Relaxed);
        if is_suspicious && checked < CHECKED_REQUESTS {
            self.checked.store(CHECKED_REQUESTS, Relaxed);
            tracing::warn!(
                target: "tower_tagging::otel",
                "the current `tracing` span has OpenTelemetry fields, but no span of `opentelemetry` 0.33 is current: the app \
                 may use another version of `opentelemetry`, see \"Versions\" in the docs of `tower_tagging::otel`"
            );
        }
    }
}

/// Returns the kind of a span without a parent in this process.
pub(super) fn kind(is_client: bool, is_work: bool, has_parent: bool) -> SpanKind {
    match () {
        // Work that continues a trace consumes what another span produced.
        () if is_work && has_parent => SpanKind::Consumer,
        () if is_work => SpanKind::Internal,
        () if is_client => SpanKind::Client,
        () => SpanKind::Server,
    }
}

/// Returns `true` if a span is that of the request on whose behalf a call is made.
fn is_own_span(id: SpanId) -> bool {
    Tags::current().is_some_and(|tags| *tags.trace().span_id() == id)
}

/// Returns the span context of a span in the trace of the request.
pub(super) fn remote_span(trace: &TraceContext, id: SpanId) -> SpanContext {
    SpanContext::new(
        opentelemetry::trace::TraceId::from_bytes(trace.trace_id().to_bytes()),
        opentelemetry::trace::SpanId::from_bytes(id.to_bytes()),
        TraceFlags::new(trace.flags()),
        true,
        span_context::trace_state(trace),
    )
}

/// Starts a span by the app's tracer, which chooses its ids, and decides whether it is recorded.
fn start_by(tracer: &BoxedTracer, span: &RequestSpan, is_https: bool, request: &RequestStart<'_>) -> Context {
    let current = Context::current();
    let parent = match request.trace.w3c_parent() {
        _ if span.has_local_parent => current,
        Some(parent) => current.with_remote_span_context(remote_span(request.trace, *parent)),
        // Samplers take any active span for a parent, even one that is not valid.
        None if current.has_active_span() => Context::new(),
        None => current,
    };
    let is_work = request.is_work();
    let name = if is_work { request.path.to_owned().into() } else { span_name(request.method, request.route) };
    let attributes = if is_work { Vec::new() } else { initial_attributes(is_https, request).to_vec() };
    let builder = SpanBuilder::from_name(name)
        .with_kind(span.kind.clone())
        .with_start_time(request.time)
        .with_attributes(attributes)
        .with_links(span.linked.clone().map(Link::with_context).into_iter().collect());
    let own = span_context(request.trace);
    let trace_id = (!parent.span().span_context().is_valid()).then(|| own.trace_id());
    let started = RequestIds::with(trace_id, own.span_id(), || tracer.build_with_context(builder, &parent));
    if started.span_context().is_valid() {
        parent.with_span(started)
    } else {
        // The provider was shut down.
        parent.with_remote_span_context(own)
    }
}

/// Gives the request the ids of its span.
fn adopt_ids(context: &Context, trace: &mut TraceContext) {
    let span = context.span();
    let ids = span.span_context();
    let trace_id = TraceId::from_bytes(ids.trace_id().to_bytes());
    if let (Some(trace_id), Some(span_id)) = (trace_id, SpanId::from_bytes(ids.span_id().to_bytes())) {
        trace.set_span(trace_id, span_id);
        trace.set_sampled(ids.is_sampled());
        let tracestate = ids.trace_state().header();
        if trace.tracestate().unwrap_or_default() != tracestate {
            trace.set_tracestate(&tracestate);
        }
    }
}

/// The names of the attributes that a span of a provider has from its start, so that samplers see them.
pub(super) const INITIAL_ATTRIBUTES: [&str; 3] = ["http.request.method", "url.path", "url.scheme"];

fn initial_attributes(is_https: bool, request: &RequestStart<'_>) -> [KeyValue; 3] {
    let [method, path, scheme] = INITIAL_ATTRIBUTES;
    [
        KeyValue::new(method, method_name(request.method)),
        KeyValue::new(path, request.path.to_owned()),
        KeyValue::new(scheme, if is_https { "https" } else { "http" }),
    ]
}

impl fmt::Debug for SpanStarter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanStarter").field("is_client", &self.is_client).finish_non_exhaustive()
    }
}
