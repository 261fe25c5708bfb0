use std::{fmt, sync::Arc};

use http::request::Parts;

use crate::{
    event::{Clock, EventPoolOwner},
    sink::{Delivery, Fanout, Isolated, Sink},
    trace::IdGenerator,
    usage::UsageTap,
};

use super::{
    events::{Events, Exclusion},
    request_observer::RequestObserver,
    request_span::RequestSpan,
};

/// A layer that emits exactly one [`Event`](crate::Event) per request to a [`Sink`].
///
/// See [when the event is emitted](super#when-the-event-is-emitted). A clone shares the sink and its counts.
#[derive(Clone)]
pub struct EventLayer {
    pub(super) events: Arc<Events>,
}

impl EventLayer {
    /// Creates a layer that emits to `sink`. Use [`sink`](Self::sink) to add others.
    pub fn new(sink: impl Sink) -> Self {
        Self { events: Arc::new(Events::new(Some(Isolated::new(sink)))) }
    }

    /// Creates a layer whose events only observers and callers see.
    pub(super) fn without_sink() -> Self {
        Self { events: Arc::new(Events::new(None)) }
    }

    /// Adds a sink.
    #[must_use]
    pub fn sink(self, sink: impl Sink) -> Self {
        let sink = Isolated::new(sink);
        self.change(|events| {
            events.sink = Some(match events.sink.take() {
                Some(others) => Isolated::new(Fanout::of([others, sink])),
                None => sink,
            });
        })
    }

    /// Adds a sink before the others, also in reports.
    #[cfg(feature = "limit")]
    pub(super) fn first_sink(self, sink: impl Sink) -> Self {
        let sink = Isolated::new(sink);
        self.change(|events| {
            events.sink = Some(match events.sink.take() {
                Some(others) => Isolated::new(Fanout::of([sink, others])),
                None => sink,
            });
        })
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.change(|events| events.clock = Arc::new(clock))
    }

    /// Sets the generator of event ids, and of trace ids if no [`TraceIdLayer`](crate::TraceIdLayer) is around this layer.
    #[must_use]
    pub fn ids(self, ids: impl IdGenerator) -> Self {
        self.shared_ids(Arc::new(ids))
    }

    pub(super) fn shared_ids(self, ids: Arc<dyn IdGenerator>) -> Self {
        self.change(|events| events.ids = ids)
    }

    /// Runs the service and its response body within a `tracing` span of this level.
    ///
    /// Log lines of the app then carry `trace_id`, `span_id`, `method`, and `path`.
    ///
    /// It is within the scopes of all observers. Later calls replace the level.
    ///
    /// The span is named `request` and has the target `tower_tagging::request`. If no layer around this one reads trace ids,
    /// new ones are generated.
    #[must_use]
    pub fn span(self, level: tracing::Level) -> Self {
        self.change(|events| events.observers.set_span(RequestSpan(level)))
    }

    /// Adds an observer of running requests.
    ///
    /// The scopes of earlier observers are around those of later ones.
    #[must_use]
    pub fn observer(self, observer: impl RequestObserver) -> Self {
        self.shared_observer(Arc::new(observer))
    }

    pub(super) fn shared_observer(self, observer: Arc<dyn RequestObserver>) -> Self {
        self.change(|events| events.observers.add(observer))
    }

    /// Excludes requests from events, and so from the sinks, observers, spans, and metrics of this layer.
    ///
    /// Tags and trace ids are available as before. Requests that any of several predicates selects are excluded. Without a
    /// predicate, nothing is checked.
    ///
    /// ```
    /// use tower_tagging::{EventLayer, sink::JsonLinesSink};
    ///
    /// let layer = EventLayer::new(JsonLinesSink::stdout())
    ///     .exclude(|request| ["/health", "/metrics"].contains(&request.uri.path()));
    /// ```
    ///
    /// Within an axum router, `request.extensions` contains the `MatchedPath` and the `OriginalUri`.
    /// [Work](super::Work) is never excluded: it has no path.
    #[must_use]
    pub fn exclude(self, is_excluded: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.exclude_by(Arc::new(is_excluded))
    }

    pub(super) fn exclude_by(self, is_excluded: Exclusion) -> Self {
        self.change(|events| {
            events.excludes = Some(match events.excludes.take() {
                Some(other) => Arc::new(move |head| other(head) || is_excluded(head)),
                None => is_excluded,
            });
        })
    }

    /// Includes another delivery in [that of this layer](Self::delivery), such as the one of a layer around a client.
    ///
    /// One shutdown then delivers the events of both.
    #[must_use]
    pub fn also_deliver(self, delivery: Delivery) -> Self {
        self.change(|events| events.others = Delivery::join([std::mem::take(&mut events.others), delivery]))
    }

    /// Reads LLM usage from responses and prices it; see [`usage`](crate::usage).
    #[cfg(feature = "llm")]
    #[must_use]
    pub fn usage(self, tap: UsageTap) -> Self {
        self.with_usage(tap)
    }

    pub(super) fn with_usage(self, tap: UsageTap) -> Self {
        self.change(|events| events.usage = Some(tap))
    }

    /// Sends receipts to clients. Off by default, because receipts disclose costs and tags.
    ///
    /// - Response headers: `x-tagging-event-id`, `x-tagging-tags` (the number of effective tags), and `x-tagging-dropped`
    ///   (at most eight dropped tags, such as `shadowed;team`).
    /// - Trailers of a streamed body of an LLM call: `x-tagging-usage-status`, `x-tagging-input-tokens`,
    ///   `x-tagging-output-tokens`, and `x-tagging-cost-usd`.
    ///
    /// Trailers reach HTTP/2 clients, and HTTP/1 clients that send `te: trailers` if the length of the body is not declared.
    /// So a client of a short JSON response over HTTP/1 receives the headers only. With receipts, usage is settled on the
    /// request path, before the body ends.
    #[must_use]
    pub fn receipts(self) -> Self {
        self.change(|events| events.sends_receipts = true)
    }

    /// Returns the handle to the delivery of events: counts, flush, and shutdown.
    pub fn delivery(&self) -> Delivery {
        self.events.delivery()
    }

    /// Allocates each event instead of recycling delivered ones.
    ///
    /// Only for `benches/layer.rs`, which measures the pool.
    #[doc(hidden)]
    #[must_use]
    pub fn without_event_pool(self) -> Self {
        self.change(|events| events.pool = EventPoolOwner::disabled())
    }

    fn change(mut self, change: impl FnOnce(&mut Events)) -> Self {
        change(Arc::make_mut(&mut self.events));
        self
    }
}

impl fmt::Debug for EventLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLayer").field("sink", &self.events.sink).finish_non_exhaustive()
    }
}
