use std::{fmt, sync::Arc, time::Duration};

use crate::sink::{delivery::Delivery, isolated::Isolated, sink::Sink};

use super::{
    backlog::Backlog,
    batch_writer::BatchWriter,
    bounds::{Bounds, Overflow},
    drop_notifier::Observer,
    pipeline::Pipeline,
    queue_full::QueueFull,
    queued::Queued,
    retry_policy::RetryPolicy,
    worker,
};

/// Builds a [`Queued`] sink; created by [`Queued::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct QueuedBuilder<W> {
    writer: W,
    name: String,
    bounds: Bounds,
    retry: RetryPolicy,
    dead_letters: Option<Isolated>,
    backlog: Option<Arc<dyn Backlog>>,
    observer: Observer,
}

impl Queued {
    /// Creates a sink with a queue of 32,768 events and 64 MiB.
    ///
    /// A batch has up to 512 events and waits up to 50 ms.
    pub fn new(name: impl Into<String>, writer: impl BatchWriter) -> Self {
        Self::builder(name, writer).build()
    }

    /// Returns a builder with the defaults of [`new`](Self::new).
    pub fn builder<W: BatchWriter>(name: impl Into<String>, writer: W) -> QueuedBuilder<W> {
        QueuedBuilder {
            writer,
            name: name.into(),
            bounds: Bounds::default(),
            retry: RetryPolicy::new(),
            dead_letters: None,
            backlog: None,
            observer: Arc::new(log_queue_full),
        }
    }
}

fn log_queue_full(full: QueueFull<'_>) {
    tracing::warn!(
        target: "tower_tagging::delivery",
        sink = full.sink,
        dropped = full.dropped,
        "queue is full, events were dropped"
    );
}

impl<W> QueuedBuilder<W> {
    /// Sets the maximum number of events in the queue. The minimum is 1.
    pub fn capacity(mut self, events: usize) -> Self {
        self.bounds.events = events.max(1);
        self
    }

    /// Sets the approximate memory that events in the queue may use, in bytes.
    ///
    /// An event takes about 2 KiB, that of an LLM call up to 8 KiB more, and one with as many tags as the default
    /// limits allow about 200 KiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Sets the maximum number of events in a batch. The minimum is 1.
    pub fn max_batch(mut self, events: usize) -> Self {
        self.bounds.max_batch = events.max(1);
        self
    }

    /// Sets how long an event may wait for others to fill its batch.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.bounds.max_delay = delay;
        self
    }

    /// Drops the oldest events, not the new one, when the queue is full.
    ///
    /// This has no effect on a sink with a spool, to which events that find no room are written.
    pub fn drop_oldest(mut self) -> Self {
        self.bounds.overflow = Overflow::DropOldest;
        self
    }

    /// Sets a callback for events that are dropped because the queue is full.
    ///
    /// It is called for the first such event, then at most once a minute, and when the sink ends. It runs on a
    /// request's task or the sink's thread, and must not block. By default, a `tracing` warning with the target
    /// `tower_tagging::delivery` is logged.
    pub fn on_queue_full(mut self, observer: impl Fn(QueueFull<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    #[cfg(feature = "spool")]
    pub(crate) fn with_backlog(mut self, backlog: Arc<dyn Backlog>) -> Self {
        self.backlog = Some(backlog);
        self
    }

    /// Sets when [retryable](super::WriteError::retryable) writes are retried.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets how long the writer may be busy with one batch.
    ///
    /// After this time, the sink is reported as [stalled](crate::sink::SinkHealth::Stalled). The default is 30 seconds.
    ///
    /// A writer that hangs cannot be interrupted. It must set its own timeouts.
    pub fn stalled_after(mut self, time: Duration) -> Self {
        self.bounds.stalled_after = time;
        self
    }

    /// Sets a sink for the events that the writer [rejects](super::WriteError::rejected) or panics at.
    ///
    /// It does not get events that a destination rejects [without naming them](super::WriteError::partly_rejected).
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use tower_tagging::{EventLayer, event::Event, sink::{BatchWriter, JsonLinesWriter, Queued, WriteError}};
    ///
    /// struct Picky;
    ///
    /// impl BatchWriter for Picky {
    ///     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
    ///         if events.iter().any(|event| event.path() == "/odd") {
    ///             return Err(WriteError::rejected("an odd path"));
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let dead = JsonLinesWriter::new(std::io::stderr()).queued().build();
    /// let layer = EventLayer::new(Queued::builder("picky", Picky).dead_letters(dead).build());
    /// # let _ = layer.delivery().shutdown_blocking(Duration::from_secs(5));
    /// ```
    pub fn dead_letters(mut self, sink: impl Sink) -> Self {
        self.dead_letters = Some(Isolated::new(sink));
        self
    }
}

impl<W: BatchWriter> QueuedBuilder<W> {
    /// Creates the sink and starts its thread.
    ///
    /// If the system refuses a thread, this is logged, and every event is dropped as
    /// [`DropReason::Closed`](crate::sink::DropReason::Closed).
    pub fn build(self) -> Queued {
        let pipeline = Arc::new(Pipeline::new(self.name, self.bounds, self.observer, self.backlog));
        let dead_letters = self.dead_letters.as_ref().map_or_else(Delivery::none, Isolated::delivery);
        let delivery = Delivery::from(Arc::clone(&pipeline)).chain(dead_letters);
        worker::spawn(&pipeline, self.writer, self.retry, self.dead_letters);
        Queued::from_pipeline(pipeline, delivery)
    }
}

impl<W> fmt::Debug for QueuedBuilder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
