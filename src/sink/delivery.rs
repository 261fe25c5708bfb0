use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Why an event was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue was full.
    QueueFull,
    /// The sink was shut down, or the receiver was gone.
    Closed,
    /// The writer returned an error.
    WriteFailed,
    /// The sink or its writer panicked.
    Panicked,
}

impl DropReason {
    /// Every reason there is.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::Closed, Self::WriteFailed, Self::Panicked];

    /// The reason in snake case, for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Closed => "closed",
            Self::WriteFailed => "write_failed",
            Self::Panicked => "panicked",
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
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Counts {
    /// An event was taken. Comes before its fate is counted, so that no event is ever missing.
    pub(super) fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Release);
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
        let dropped = DropReason::ALL.map(|reason| {
            let count = self.dropped.get(reason as usize).map_or(0, |count| count.load(Ordering::Acquire));
            (reason, count)
        });
        let delivered = self.delivered.load(Ordering::Acquire);
        let accepted = self.accepted.load(Ordering::Acquire);
        SinkReport { name: name.to_owned(), accepted, delivered, dropped }
    }
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
    dropped: [(DropReason, u64); DropReason::ALL.len()],
}

impl SinkReport {
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
        write!(f, ", {} in flight", self.in_flight())
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
pub(super) trait Part: Send + Sync {
    /// `None` for what has nothing to say.
    fn report(&self) -> Option<SinkReport>;

    /// Takes no more events and begins to drain; returns at once.
    fn close(&self);

    /// Waits until nothing is left to do, or the deadline passes.
    fn wait(&self, deadline: Instant);
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

    pub(super) fn of(part: Arc<dyn Part>) -> Self {
        Self { parts: vec![part] }
    }

    pub(super) fn is_none(&self) -> bool {
        self.parts.is_empty()
    }

    /// What became of the events so far.
    pub fn report(&self) -> DeliveryReport {
        DeliveryReport { sinks: self.parts.iter().filter_map(|part| part.report()).collect() }
    }

    /// Stops taking events, delivers what is queued, and says what became of every event.
    ///
    /// Call it when the server has stopped. It blocks the calling thread until all is delivered, at most for `deadline`
    /// (for all sinks together); events that are left then are [in flight](SinkReport::in_flight) in the report. Events
    /// emitted later are dropped as [`DropReason::Closed`]. Within an async task that must go on, run it in
    /// `tokio::task::spawn_blocking`; so too when a writer needs the runtime that it would block.
    pub fn shutdown(&self, deadline: Duration) -> DeliveryReport {
        let now = Instant::now();
        // A deadline too far to be written down is a year away.
        let deadline = now.checked_add(deadline).unwrap_or(now + Duration::from_secs(365 * 24 * 3600));
        for part in &self.parts {
            part.close();
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
