use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::time::{after, millis};

/// Why an event was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue was full.
    QueueFull,
    /// The sink was shut down, or the receiver was gone.
    Closed,
    /// The writer returned an error after which there is no use in trying again, or the time for that was over.
    WriteFailed,
    /// The sink or its writer panicked.
    Panicked,
    /// The writer can't store this event, whenever it is tried.
    Rejected,
    /// There was no room in memory, and the spool had used up its bytes.
    SpoolFull,
    /// There was no room in memory, and the spool could not be written; or what stood in it could not be read again.
    SpoolFailed,
}

impl DropReason {
    /// Every reason there is.
    pub const ALL: &'static [Self] = &Self::EACH;

    const EACH: [Self; 7] = [
        Self::QueueFull,
        Self::Closed,
        Self::WriteFailed,
        Self::Panicked,
        Self::Rejected,
        Self::SpoolFull,
        Self::SpoolFailed,
    ];

    /// The reason in snake case, for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Closed => "closed",
            Self::WriteFailed => "write_failed",
            Self::Panicked => "panicked",
            Self::Rejected => "rejected",
            Self::SpoolFull => "spool_full",
            Self::SpoolFailed => "spool_failed",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The counts of one sink, written by whoever takes, delivers and drops its events.
#[derive(Debug, Default)]
pub(super) struct Counts {
    accepted: AtomicU64,
    delivered: AtomicU64,
    dropped: [AtomicU64; DropReason::EACH.len()],
    retried: AtomicU64,
}

impl Counts {
    /// An event was taken. Comes before its fate is counted, so that no event is ever missing.
    pub(super) fn accept(&self) {
        self.accept_all(1);
    }

    pub(super) fn accept_all(&self, events: u64) {
        self.accepted.fetch_add(events, Ordering::Release);
    }

    pub(super) fn retry(&self, events: usize) {
        self.retried.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(super) fn deliver(&self, events: usize) {
        self.delivered.fetch_add(events as u64, Ordering::Release);
    }

    #[allow(clippy::indexing_slicing, reason = "the array has one place for each reason")]
    pub(super) fn drop_for(&self, reason: DropReason, events: usize) {
        self.dropped[reason as usize].fetch_add(events as u64, Ordering::Release);
    }

    pub(super) fn report(&self, name: &str) -> SinkReport {
        // Fates are read before arrivals, so the difference never goes below zero.
        let dropped = DropReason::EACH.map(|reason| {
            let count = self.dropped.get(reason as usize).map_or(0, |count| count.load(Ordering::Acquire));
            (reason, count)
        });
        let delivered = self.delivered.load(Ordering::Acquire);
        let accepted = self.accepted.load(Ordering::Acquire);
        SinkReport {
            name: name.to_owned(),
            accepted,
            delivered,
            dropped,
            retried: self.retried.load(Ordering::Relaxed),
            spool: SpoolReport::default(),
            oldest_age: None,
            health: SinkHealth::Healthy,
            last_error: None,
        }
    }
}

/// Whether a sink gets rid of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SinkHealth {
    /// It does, as far as it is known.
    #[default]
    Healthy,
    /// Several attempts to write failed one after the other; it is tried again from time to time.
    Unavailable,
    /// The writer has been busy with one batch for [too long](super::QueuedBuilder::stalled_after).
    Stalled,
    /// It takes no more events.
    Stopped,
}

impl SinkHealth {
    /// The name in lower case, for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unavailable => "unavailable",
            Self::Stalled => "stalled",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for SinkHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the spool of a sink did; all zero for a sink without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolReport {
    /// Events that were written to the spool.
    pub written: u64,
    /// Events that an earlier process left in it; they count as accepted.
    pub recovered: u64,
    /// Events that wait in it; a part of those in flight.
    pub waiting: u64,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
    /// Places in its files that could not be read: a last record that was torn when the process or the machine died, or damage.
    pub damaged: u64,
}

/// The fate of the events that one sink took.
///
/// `accepted = delivered + dropped + in_flight` at any time; after [`Delivery::shutdown`] in-flight events are those
/// that were left when the deadline passed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkReport {
    name: String,
    accepted: u64,
    delivered: u64,
    dropped: [(DropReason, u64); DropReason::EACH.len()],
    retried: u64,
    spool: SpoolReport,
    oldest_age: Option<Duration>,
    health: SinkHealth,
    last_error: Option<String>,
}

impl SinkReport {
    pub(super) fn with_spool(mut self, spool: SpoolReport) -> Self {
        self.spool = spool;
        self
    }

    pub(super) fn with_state(mut self, oldest_age: Option<Duration>, health: SinkHealth) -> Self {
        (self.oldest_age, self.health) = (oldest_age, health);
        self
    }

    pub(super) fn with_last_error(mut self, error: Option<String>) -> Self {
        self.last_error = error;
        self
    }

    /// What the sink is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Events that were handed to the sink.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Events that reached their destination.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Events that were dropped, for any reason.
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count).sum()
    }

    /// Events that were dropped for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| *count)
    }

    /// Events that are on their way.
    pub fn in_flight(&self) -> u64 {
        self.accepted - self.delivered - self.dropped()
    }

    /// How often an event was written again, because an attempt before had failed.
    pub fn retried(&self) -> u64 {
        self.retried
    }

    /// What the sink's spool did.
    pub fn spool(&self) -> SpoolReport {
        self.spool
    }

    /// How long ago the oldest event ended that the writer is at, or waits to write.
    pub fn oldest_age(&self) -> Option<Duration> {
        self.oldest_age
    }

    /// Whether the sink gets rid of its events.
    pub fn health(&self) -> SinkHealth {
        self.health
    }

    /// What the last attempt to write said that failed, at most 256 characters of it; `None` when there was none.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Whether every event that was handed to the sink reached its destination.
    pub fn is_complete(&self) -> bool {
        self.accepted == self.delivered
    }
}

impl fmt::Display for SinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} accepted, {} delivered", self.name, self.accepted, self.delivered)?;
        for (reason, count) in self.dropped.iter().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} dropped ({reason})")?;
        }
        if self.retried > 0 {
            write!(f, ", {} retried", self.retried)?;
        }
        if self.spool.damaged > 0 {
            write!(f, ", {} damaged places in the spool", self.spool.damaged)?;
        }
        write!(f, ", {} in flight", self.in_flight())?;
        if self.spool.waiting > 0 {
            write!(f, " ({} in the spool)", self.spool.waiting)?;
        }
        if matches!(self.health, SinkHealth::Unavailable | SinkHealth::Stalled) {
            write!(f, ", {}", self.health)?;
        }
        if let Some(error) = self.last_error.as_ref().filter(|_| !self.is_complete()) {
            write!(f, ", last error: {error}")?;
        }
        Ok(())
    }
}

/// One [`SinkReport`] for each sink.
#[must_use = "it says whether events were lost"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    sinks: Vec<SinkReport>,
}

impl DeliveryReport {
    /// The sinks, in the order in which they were added.
    pub fn sinks(&self) -> &[SinkReport] {
        &self.sinks
    }

    /// The first sink of this name.
    pub fn sink(&self, name: &str) -> Option<&SinkReport> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    /// Whether every sink delivered every event it was handed.
    pub fn is_complete(&self) -> bool {
        self.sinks.iter().all(SinkReport::is_complete)
    }
}

impl fmt::Display for DeliveryReport {
    /// One sink a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, sink) in self.sinks.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            sink.fmt(f)?;
        }
        Ok(())
    }
}

/// The background half of sinks: counts to read at any time, and the way to stop in order.
///
/// From [`EventLayer::delivery`](crate::EventLayer::delivery), [`TaggingLayer::delivery`](crate::TaggingLayer::delivery) or a
/// sink itself. Clones are the same delivery. Dropping it stops nothing: delivery goes on for as long as the process
/// lives, and events that are still queued when the process ends without [`shutdown`](Self::shutdown) are lost.
#[must_use = "without `shutdown`, events that are still queued are lost when the process ends"]
#[derive(Clone, Default)]
pub struct Delivery {
    parts: Vec<Arc<dyn Part>>,
}

/// A sink as its delivery sees it.
pub(crate) trait Part: Send + Sync {
    /// `None` for what has nothing to say.
    fn report(&self) -> Option<SinkReport>;

    /// Takes no more events and begins to drain, with attempts until the deadline; returns at once.
    fn close(&self, deadline: Instant);

    /// Waits until nothing is left to do, or the deadline passes.
    fn wait(&self, deadline: Instant);
}

struct AfterOthers(Arc<dyn Part>);

impl Part for AfterOthers {
    fn report(&self) -> Option<SinkReport> {
        self.0.report()
    }

    fn close(&self, _deadline: Instant) {}

    fn wait(&self, deadline: Instant) {
        self.0.close(deadline);
        self.0.wait(deadline);
    }
}

impl Delivery {
    /// Of a sink that leaves nothing to be done later.
    pub fn none() -> Self {
        Self::default()
    }

    /// The deliveries of several sinks as one.
    pub fn join(deliveries: impl IntoIterator<Item = Self>) -> Self {
        Self { parts: deliveries.into_iter().flat_map(|delivery| delivery.parts).collect() }
    }

    /// What of it reports and is in none of the others.
    #[cfg(feature = "otel")]
    pub(crate) fn without(&self, others: &[Self]) -> Self {
        let is_there =
            |part: &Arc<dyn Part>| others.iter().flat_map(|other| &other.parts).any(|other| Arc::ptr_eq(other, part));
        let parts = self.parts.iter().filter(|part| part.report().is_some() && !is_there(part));
        Self { parts: parts.cloned().collect() }
    }

    pub(crate) fn of(part: Arc<dyn Part>) -> Self {
        Self { parts: vec![part] }
    }

    /// The same delivery, which takes events until the parts before it have ended.
    pub(crate) fn after_others(self) -> Self {
        Self { parts: self.parts.into_iter().map(|part| Arc::new(AfterOthers(part)) as Arc<dyn Part>).collect() }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.parts.is_empty()
    }

    /// What became of the events so far.
    pub fn report(&self) -> DeliveryReport {
        DeliveryReport { sinks: self.parts.iter().filter_map(|part| part.report()).collect() }
    }

    /// Whether every sink gets rid of its events: for the readiness route of a service. A sink with nothing to write is
    /// taken to be well, so that a service that gets no requests while it is not ready finds out; what was dropped is in the
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
        self.parts.iter().filter_map(|part| part.report()).all(|report| report.health == SinkHealth::Healthy)
    }

    /// Writes the counts of each sink as a `tracing` event of the target `tower_tagging::delivery`: once a minute, say.
    pub fn log(&self) {
        for sink in self.report().sinks {
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

    /// Stops taking events, delivers what is queued, and says what became of every event.
    ///
    /// Call it when the server has stopped. It blocks the calling thread until all is delivered, at most for `deadline`
    /// (for all sinks together); events that are left then are [in flight](SinkReport::in_flight) in the report. Events
    /// emitted later are dropped as [`DropReason::Closed`]. Within an async task that must go on, run it in
    /// `tokio::task::spawn_blocking`; so too when a writer needs the runtime that it would block.
    pub fn shutdown(&self, deadline: Duration) -> DeliveryReport {
        let deadline = after(Instant::now(), deadline);
        for part in &self.parts {
            part.close(deadline);
        }
        for part in &self.parts {
            part.wait(deadline);
        }
        self.report()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.report()).finish()
    }
}
