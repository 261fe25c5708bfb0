use std::{fmt, sync::Arc};

use crate::{
    Event,
    sink::{Delivery, Queued, Sink},
    trace::TraceSampler,
};

use super::{active_requests::ActiveRequests, delivery_metrics::ObservedDeliveries, span_starter::SpanStarter};

/// Reports requests as OpenTelemetry spans, metrics, and logs.
///
/// Pass it to [`TaggingLayerBuilder::otel`](crate::tagging::TaggingLayerBuilder::otel) or
/// [`EventLayer::otel`](crate::EventLayer::otel). Clones share exporters and counts. See the [module documentation](super).
#[derive(Clone)]
pub struct Otel {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Queued,
    /// The delivery of the queues that `queue` passes events to.
    outlets: Delivery,
    delivery: Delivery,
    observed: ObservedDeliveries,
    active: Arc<ActiveRequests>,
    starter: Arc<SpanStarter>,
    signals: Signals,
}

/// The signals that are exported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signals {
    pub(super) spans: bool,
    pub(super) metrics: bool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The queue itself warns of its own events.
        if !self.queue.is_closed() {
            self.outlets.warn_of_undelivered();
        }
    }
}

impl Otel {
    pub(super) fn new(
        queue: Queued,
        outlets: Delivery,
        delivery: Delivery,
        observed: ObservedDeliveries,
        active: Arc<ActiveRequests>,
        starter: Arc<SpanStarter>,
        signals: Signals,
    ) -> Self {
        Self { inner: Arc::new(Inner { queue, outlets, delivery, observed, active, starter, signals }) }
    }

    /// Adds another sink's delivery to the `tower_tagging.delivery.…` metrics.
    ///
    /// The spans and logs of this `Otel` are always included. A delivery that is already observed is not counted twice.
    pub fn observe_delivery(&self, delivery: &Delivery) {
        self.inner.observed.add(delivery);
    }

    /// Returns the configured sampler, for a manually composed [`TraceIdLayer`](crate::TraceIdLayer).
    ///
    /// [`TaggingLayerBuilder::otel`](crate::tagging::TaggingLayerBuilder::otel) installs it automatically. Returns `None` if
    /// no sampler is configured. The caller's sampled flag then decides, and traces that start here are sampled.
    pub fn sampler(&self) -> Option<impl TraceSampler + use<>> {
        self.inner.starter.sampler.clone()
    }

    pub(super) fn signals(&self) -> Signals {
        self.inner.signals
    }

    pub(super) fn starter(&self) -> &Arc<SpanStarter> {
        &self.inner.starter
    }

    pub(super) fn active_requests(&self) -> &Arc<ActiveRequests> {
        &self.inner.active
    }
}

impl Sink for Otel {
    fn emit(&self, event: Arc<Event>) {
        self.inner.queue.emit(event);
    }

    fn delivery(&self) -> Delivery {
        self.inner.delivery.clone()
    }

    fn name(&self) -> &'static str {
        "otel"
    }
}

impl fmt::Debug for Otel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otel").field("delivery", &self.inner.delivery).finish_non_exhaustive()
    }
}
