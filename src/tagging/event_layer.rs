use std::{
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::{header, request::Parts};

use crate::{
    event::{Clock, Event, EventPoolOwner, SystemClock},
    request::State,
    sink::{Delivery, Fanout, Sink, guarded::Guarded},
    text::header_text,
    trace::{IdGenerator, RandomIds},
};

#[cfg(feature = "otel")]
use crate::otel::RequestObserver;
#[cfg(feature = "llm")]
use crate::usage::UsageTap;

use super::pending::Pending;

/// Layer that emits exactly one [`Event`] for each request to a [`Sink`]; see [`event`](crate::event) and
/// [when it is emitted](super#when-the-event-is-emitted).
///
/// A clone shares the sink and its counts.
#[derive(Clone)]
pub struct EventLayer {
    events: Arc<Events>,
}

/// When a request began.
pub(super) struct Start {
    instant: Instant,
    time: SystemTime,
}

/// What every event of a layer needs.
pub(super) struct Events {
    sink: Guarded,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    pool: EventPoolOwner,
    gives_receipts: bool,
    #[cfg(feature = "llm")]
    usage: Option<UsageTap>,
    span_level: Option<tracing::Level>,
    /// The sink of telemetry, beside the other one.
    #[cfg(feature = "otel")]
    otel: Option<(Guarded, RequestObserver)>,
}

impl EventLayer {
    /// Emits to `sink`; [`Fanout`](crate::sink::Fanout) is a sink of several.
    pub fn new(sink: impl Sink) -> Self {
        Self {
            events: Arc::new(Events {
                sink: Guarded::new(sink),
                clock: Arc::new(SystemClock),
                ids: Arc::new(RandomIds),
                pool: EventPoolOwner::new(),
                gives_receipts: false,
                #[cfg(feature = "llm")]
                usage: None,
                span_level: None,
                #[cfg(feature = "otel")]
                otel: None,
            }),
        }
    }

    /// Emits to this sink too.
    #[must_use]
    pub fn sink(self, sink: impl Sink) -> Self {
        self.with(|events| events.sink = Guarded::new(Fanout::of([events.sink.clone(), Guarded::new(sink)])))
    }

    /// Tells the time by another clock.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|events| events.clock = Arc::new(clock))
    }

    /// Takes ids from another generator.
    #[must_use]
    pub fn ids(self, ids: impl IdGenerator) -> Self {
        self.with(|events| events.ids = Arc::new(ids))
    }

    /// Runs the service and its response body within a `tracing` span of this level, so that the app's own log lines
    /// carry `trace_id`, `span_id`, `method` and `path`. Where no layer around this one reads trace ids, new ones are made
    /// for the span. The span is called `request`, its target is
    /// `tower_tagging::request`.
    #[must_use]
    pub fn span(self, level: tracing::Level) -> Self {
        self.with(|events| events.span_level = Some(level))
    }

    /// Reads LLM usage out of responses and prices it; see [`usage`](crate::usage).
    #[cfg(feature = "llm")]
    #[must_use]
    pub fn usage(self, tap: UsageTap) -> Self {
        self.with(|events| events.usage = Some(tap))
    }

    /// Gives clients a receipt: the response headers `x-tagging-event-id`, `x-tagging-tags` (how many are effective) and
    /// `x-tagging-dropped` (such as `shadowed;team`, eight at most); and, behind a body that is a stream, the trailers
    /// `x-tagging-usage-status`, `x-tagging-input-tokens`, `x-tagging-output-tokens` and `x-tagging-cost-usd`, where there
    /// is LLM usage. Off by default: it tells clients what they cost, and what you know of them.
    ///
    /// Trailers reach HTTP/2 clients, and HTTP/1 clients that say `te: trailers` when the length of the body is not
    /// declared: the client of a short JSON answer over HTTP/1 gets the first part alone. With a receipt the usage is
    /// settled on the request path, before the body ends.
    #[must_use]
    pub fn receipts(self) -> Self {
        self.with(|events| events.gives_receipts = true)
    }

    /// Counts of every event's fate, and the way to stop in order.
    pub fn delivery(&self) -> Delivery {
        #[cfg(feature = "otel")]
        if let Some((otel, _)) = &self.events.otel {
            let others = self.events.sink.is_listening().then(|| self.events.sink.delivery());
            return Delivery::join(others.into_iter().chain([otel.delivery()]));
        }
        self.events.sink.delivery()
    }

    /// Reports each request as an OpenTelemetry span, with metrics and logs, beside the events to the sink; see
    /// [`otel`](crate::otel). Where ids are made here, the sampler of `otel` decides; a
    /// [`TraceIdLayer`](crate::TraceIdLayer) around this one wants it [handed in](crate::otel::Otel::sampler). The service
    /// runs within the span's context, so that spans of the app are its children. Where no layer around this one reads trace
    /// ids, new ones are made.
    #[cfg(feature = "otel")]
    #[must_use]
    pub fn otel(self, otel: &crate::otel::Otel) -> Self {
        let observed = Some((Guarded::new(otel.clone()), otel.request_observer()));
        self.with(|events| events.otel = observed)
    }

    fn with(self, change: impl FnOnce(&mut Events)) -> Self {
        let mut events = Events {
            sink: self.events.sink.clone(),
            clock: Arc::clone(&self.events.clock),
            ids: Arc::clone(&self.events.ids),
            pool: EventPoolOwner::new(),
            gives_receipts: self.events.gives_receipts,
            #[cfg(feature = "llm")]
            usage: self.events.usage.clone(),
            span_level: self.events.span_level,
            #[cfg(feature = "otel")]
            otel: self.events.otel.clone(),
        };
        change(&mut events);
        Self { events: Arc::new(events) }
    }

    pub(super) fn shared_ids(self, ids: Arc<dyn IdGenerator>) -> Self {
        self.with(|events| events.ids = ids)
    }

    pub(super) fn is_listening(&self) -> bool {
        #[cfg(feature = "otel")]
        if self.events.otel.is_some() {
            return true;
        }
        #[cfg(feature = "llm")]
        if self.events.usage().is_some_and(UsageTap::rolls_up) {
            return true;
        }
        self.events.sink.is_listening()
    }

    /// A request begins now.
    pub(super) fn start(&self) -> Start {
        Start { instant: self.events.now(), time: self.events.clock.now() }
    }

    /// A new request.
    pub(super) fn new_state(&self) -> State {
        State::new(self.events.pool.take())
    }

    /// Writes down what the request head says.
    pub(super) fn describe(&self, head: &Parts, start: &Start, event: &mut Event) {
        event.time = start.time;
        event.id = self.events.ids.event_id(event.time);
        event.method = head.method.clone();
        event.version = head.version;
        event.is_https = head.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        event.path.push_str(path(head));
        // The target says more than the header: RFC 9112, section 3.2.2, and RFC 9113, section 8.3.1.
        if let Some(authority) = head.uri.authority() {
            // What stands before an `@` are credentials.
            event.host.push_str(authority.as_str().rsplit('@').next().unwrap_or_default());
        } else if let Some(host) = head.headers.get(header::HOST) {
            event.host.push_str(&header_text(host.as_bytes()).0);
        }
    }

    /// Writes down the route, where the router says it and nobody did before: a layer within the router knows what one
    /// around it can't.
    pub(super) fn describe_route(head: &Parts, event: &mut Event) {
        #[cfg(feature = "axum")]
        if event.route.is_empty()
            && let Some(route) = head.extensions.get::<axum::extract::MatchedPath>()
        {
            event.route.push_str(route.as_str());
        }
        #[cfg(not(feature = "axum"))]
        let _ = (head, event);
    }

    /// Whether code of the user's names exchanges.
    #[cfg(feature = "llm")]
    pub(super) fn has_exchange_hook(&self) -> bool {
        self.events.usage.as_ref().is_some_and(UsageTap::has_hook)
    }

    /// The guard of a request, still without its tags.
    pub(super) fn observe(&self, event: &mut Event, start: &Start, head: &Parts) -> Pending {
        let pending = Pending::new(Arc::clone(&self.events), start.instant, &head.method);

        #[cfg(feature = "otel")]
        let pending = match &self.events.otel {
            Some((_, observer)) => {
                self.events.ensure_trace(event);
                pending.observed(observer.begin(event))
            }
            None => pending,
        };
        if self.events.span_level.is_some() {
            self.events.ensure_trace(event);
            #[cfg(feature = "otel")]
            let attached = pending.attach();
            let span = self.events.span(event);
            #[cfg(feature = "otel")]
            drop(attached);
            return pending.within(span);
        }
        pending
    }
}

/// The path that the client asked for: within a nested router of axum the URI is shorter.
fn path(head: &Parts) -> &str {
    let path = head.uri.path();
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>()
        // A call that a handler makes with the extensions of its request is to somewhere else.
        && (original.0.path().ends_with(path) || path == "/")
    {
        return original.0.path();
    }
    path
}

impl Events {
    pub(super) fn gives_receipts(&self) -> bool {
        self.gives_receipts
    }

    #[cfg(feature = "llm")]
    pub(super) fn usage(&self) -> Option<&UsageTap> {
        self.usage.as_ref()
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.instant()
    }

    /// Makes trace ids if no layer read them from the request.
    pub(super) fn ensure_trace(&self, event: &mut Event) {
        #[cfg(feature = "otel")]
        if let Some((_, observer)) = self.otel.as_ref().filter(|_| event.trace.is_unset()) {
            event.ensure_trace(&*self.ids);
            observer.sample(&mut event.trace);
            return;
        }
        event.ensure_trace(&*self.ids);
    }

    pub(super) fn emit(&self, event: Arc<Event>) {
        #[cfg(feature = "otel")]
        if let Some((otel, _)) = &self.otel {
            if !self.sink.is_listening() {
                return otel.emit(event);
            }
            otel.emit(Arc::clone(&event));
        }
        self.sink.emit(event);
    }

    /// The span that a request runs in.
    fn span(&self, event: &Event) -> tracing::Span {
        macro_rules! request_span {
            ($level:ident) => {
                tracing::span!(
                    target: "tower_tagging::request",
                    tracing::Level::$level,
                    "request",
                    trace_id = event.trace().trace_id().as_str(),
                    span_id = event.trace().span_id().as_str(),
                    method = event.method().as_str(),
                    path = event.path(),
                )
            };
        }
        match self.span_level {
            None => tracing::Span::none(),
            Some(tracing::Level::ERROR) => request_span!(ERROR),
            Some(tracing::Level::WARN) => request_span!(WARN),
            Some(tracing::Level::INFO) => request_span!(INFO),
            Some(tracing::Level::DEBUG) => request_span!(DEBUG),
            Some(tracing::Level::TRACE) => request_span!(TRACE),
        }
    }
}

impl fmt::Debug for EventLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLayer").field("sink", &self.events.sink).finish_non_exhaustive()
    }
}
