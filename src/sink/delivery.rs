use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::time::{after, millis};

use super::{
    delivery_report::DeliveryReport, delivery_source::DeliverySource, off_thread::off_thread, sink_health::SinkHealth,
    sink_report::SinkReport,
};

/// The background half of sinks.
///
/// It reports counts at any time, and shuts down in order.
///
/// Obtain one from [`EventLayer::delivery`](crate::EventLayer::delivery),
/// [`TaggingLayer::delivery`](crate::TaggingLayer::delivery), or a [sink](super::Sink::delivery). Clones refer to the
/// same sinks.
///
/// Dropping a `Delivery` stops nothing. Events are delivered for as long as the process runs. Events that are still
/// queued when it exits without a [`shutdown`](Self::shutdown) are lost.
#[must_use = "without `shutdown`, events that are still queued are lost when the process exits"]
#[derive(Clone, Default)]
pub struct Delivery {
    sources: Vec<Arc<dyn DeliverySource>>,
}

impl Delivery {
    /// Creates the delivery of a source.
    ///
    /// A sink that shares its state with the source uses `Delivery::from(Arc::clone(&state))`. Return the same source
    /// each time: deliveries of one `Arc` are recognized as the same sink.
    pub fn new(source: impl DeliverySource) -> Self {
        Self::from(Arc::new(source))
    }

    /// Creates the delivery of a sink that leaves nothing to do later.
    pub fn none() -> Self {
        Self::default()
    }

    /// Combines the deliveries of several sinks into one.
    ///
    /// They are shut down at the same time.
    pub fn join(deliveries: impl IntoIterator<Item = Self>) -> Self {
        Self { sources: deliveries.into_iter().flat_map(|delivery| delivery.sources).collect() }
    }

    /// Combines two deliveries, the second of which is shut down after the first.
    ///
    /// Use this for a sink that passes events on to another one. The second delivery accepts events until the first
    /// has ended.
    pub fn chain(self, next: Self) -> Self {
        let chained = next.sources.into_iter().map(|source| Arc::new(Chained(source)) as Arc<dyn DeliverySource>);
        Self { sources: self.sources.into_iter().chain(chained).collect() }
    }

    /// Returns the sources that report counts and are not part of the other deliveries.
    #[cfg(feature = "otel")]
    pub(crate) fn without(&self, others: &[Self]) -> Self {
        let is_known = |source: &Arc<dyn DeliverySource>| {
            others.iter().flat_map(|other| &other.sources).any(|other| Arc::ptr_eq(other, source))
        };
        let sources = self.sources.iter().filter(|source| source.report().is_some() && !is_known(source));
        Self { sources: sources.cloned().collect() }
    }

    /// Warns of the events that are waiting in memory, because nothing waits for their delivery.
    pub(crate) fn warn_of_undelivered(&self) {
        for sink in self.reports() {
            let undelivered = sink.in_flight().saturating_sub(sink.spool.waiting);
            if undelivered > 0 {
                tracing::warn!(
                    target: "tower_tagging::delivery",
                    sink = sink.name,
                    undelivered,
                    "dropped without `Delivery::shutdown`, these events are lost if the process exits now"
                );
            }
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.sources.is_empty()
    }

    fn reports(&self) -> impl Iterator<Item = SinkReport> {
        self.sources.iter().filter_map(|source| source.report())
    }

    /// Returns the current counts of each sink.
    pub fn report(&self) -> DeliveryReport {
        DeliveryReport::new(self.reports())
    }

    /// Returns `true` if every sink keeps up with delivery.
    ///
    /// Use it in the readiness route of a service.
    ///
    /// A sink whose spool cannot be written or read is not healthy, and each call tries again. Otherwise, a sink that has
    /// nothing to write is considered healthy. If it were not, a service that gets no requests until it is
    /// ready would never notice that the destination is back. Dropped events do not count; see the
    /// [report](Self::report).
    ///
    /// ```
    /// use axum::{http::StatusCode, routing::get};
    /// # use tower_tagging::sink::Delivery;
    /// # fn router(delivery: Delivery) -> axum::Router {
    /// axum::Router::new().route("/ready", get(async move || {
    ///     if delivery.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    /// }))
    /// # }
    /// ```
    pub fn is_healthy(&self) -> bool {
        self.reports().all(|report| report.health == SinkHealth::Healthy)
    }

    /// Logs the counts of each sink as a `tracing` event.
    ///
    /// The target is `tower_tagging::delivery`.
    ///
    /// Call this regularly, such as once a minute.
    pub fn log(&self) {
        for sink in self.reports() {
            tracing::info!(
                target: "tower_tagging::delivery",
                sink = sink.name,
                accepted = sink.accepted,
                delivered = sink.delivered,
                dropped = sink.dropped(),
                retried = sink.retried,
                spooled = sink.spool.written,
                in_spool = sink.spool.waiting,
                in_flight = sink.in_flight(),
                oldest_ms = sink.oldest_age.map(millis),
                health = sink.health.as_str(),
                "{sink}"
            );
        }
    }

    /// Stops accepting events and delivers those that are queued.
    ///
    /// Returns the final counts.
    ///
    /// Call this after the server has stopped. It returns when all sinks are done, after the timeout at the latest.
    /// The timeout covers all sinks together. Events that are left then are [in flight](SinkReport::in_flight).
    /// Events that are emitted later are dropped as [`DropReason::Closed`](super::DropReason::Closed).
    ///
    /// This works on any runtime and blocks none of its threads: a dedicated thread waits for the sinks. If the future
    /// is dropped early, the sinks stay closed and continue to deliver.
    pub async fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        let deadline = self.close(timeout);
        let delivery = self.clone();
        match off_thread(move || delivery.wait(deadline)) {
            Ok(done) => done.await,
            // Blocking is better than losing events.
            Err(_) => self.wait(deadline),
        }
        self.report()
    }

    /// Does the same as [`shutdown`](Self::shutdown), but blocks the calling thread.
    ///
    /// Use this outside of async code. On a thread of a runtime, it can keep the tasks that deliver events from
    /// running.
    pub fn shutdown_blocking(&self, timeout: Duration) -> DeliveryReport {
        let deadline = self.close(timeout);
        self.wait(deadline);
        self.report()
    }

    /// Closes all sources and returns the deadline.
    fn close(&self, timeout: Duration) -> Instant {
        let deadline = after(Instant::now(), timeout);
        for source in &self.sources {
            isolate(|| source.close(deadline));
        }
        deadline
    }

    fn wait(&self, deadline: Instant) {
        for source in &self.sources {
            isolate(|| source.wait(deadline));
        }
    }
}

/// Calls a source, which may be user code. A panic must not keep the other sinks from delivering their events.
fn isolate(call: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(call));
}

impl<S: DeliverySource> From<Arc<S>> for Delivery {
    fn from(source: Arc<S>) -> Self {
        Self { sources: vec![source] }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.report()).finish()
    }
}

/// A source that is closed only after the sources before it have ended.
struct Chained(Arc<dyn DeliverySource>);

impl DeliverySource for Chained {
    fn report(&self) -> Option<SinkReport> {
        self.0.report()
    }

    fn close(&self, _deadline: Instant) {}

    fn wait(&self, deadline: Instant) {
        self.0.close(deadline);
        self.0.wait(deadline);
    }
}
