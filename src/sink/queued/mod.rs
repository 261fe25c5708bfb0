mod queue;
mod worker;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::event::Event;

pub use self::queue::QueueFull;
use self::queue::{Overflow, Queue};
use super::{Delivery, Sink};

/// Writes events in batches, on a thread of its own: the way to any file, server or database.
pub trait BatchWriter: Send + 'static {
    /// Writes the events, in their order. It may block; no request waits for it.
    ///
    /// An event may come twice, when it is not known what became of the first attempt: its [id](Event::id) tells.
    ///
    /// # Errors
    /// [`WriteError`] says how many of the events, from the first, were written all the same, and what is to become of the
    /// others.
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError>;
}

/// Why a [`BatchWriter`] did not write all of a batch, and what is to become of the rest.
#[derive(Debug)]
pub struct WriteError {
    written: usize,
    kind: WriteErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

/// What is to become of the events that a [`BatchWriter`] did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// They are dropped: another attempt would not help.
    Final,
    /// They are tried again, later: the server is away, the disk is full.
    Retryable,
    /// One of them can't be stored, whenever it is tried. It is searched for by trying fewer events at a time, and dropped
    /// alone.
    Rejected,
}

impl WriteError {
    /// None of the events were written, and another attempt would not help.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { written: 0, kind: WriteErrorKind::Final, source: source.into() }
    }

    /// None of the events were written, but they may be later.
    pub fn retryable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: WriteErrorKind::Retryable, ..Self::new(source) }
    }

    /// None of the events were written, because one of them can't be stored at all.
    pub fn rejected(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: WriteErrorKind::Rejected, ..Self::new(source) }
    }

    /// The first `written` events were written.
    #[must_use]
    pub fn after(mut self, written: usize) -> Self {
        self.written = written;
        self
    }

    /// How many events, from the first, were written.
    pub fn written(&self) -> usize {
        self.written
    }

    /// What is to become of the others.
    pub fn kind(&self) -> WriteErrorKind {
        self.kind
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events were written, then: {}", self.written, self.source)
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// A sink with a bounded queue, a thread that hands batches to a [`BatchWriter`], and a count of every event's fate.
///
/// Clones share the queue. When the last clone is gone, the thread writes what is queued and ends;
/// [`Delivery::shutdown`] does the same and waits for it.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tower_tagging::{event::Event, sink::{BatchWriter, Queued, Sink, WriteError}};
///
/// struct Printer;
///
/// impl BatchWriter for Printer {
///     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
///         println!("{} events", events.len());
///         Ok(())
///     }
/// }
///
/// let sink = Queued::builder("printer", Printer).capacity(10_000).max_batch(100).drop_oldest().build();
/// let report = sink.delivery().shutdown(Duration::from_secs(1));
/// assert_eq!(report.to_string(), "printer: 0 accepted, 0 delivered, 0 in flight");
/// ```
#[derive(Clone)]
pub struct Queued {
    handle: Arc<Handle>,
}

/// Closes the queue when the last sink is gone.
struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close_and_wake();
    }
}

impl Queued {
    /// A queue of 32,768 events and batches of at most 512, which wait 50 ms at most.
    pub fn new(name: impl Into<String>, writer: impl BatchWriter) -> Self {
        Self::builder(name, writer).build()
    }

    /// Chooses other bounds.
    pub fn builder<W: BatchWriter>(name: impl Into<String>, writer: W) -> QueuedBuilder<W> {
        QueuedBuilder {
            writer,
            name: name.into(),
            capacity: 32_768,
            max_batch: 512,
            max_delay: Duration::from_millis(50),
            overflow: Overflow::DropNewest,
            observer: Arc::new(|full| {
                tracing::warn!(
                    target: "tower_tagging::delivery",
                    sink = full.sink(),
                    dropped = full.dropped(),
                    "the queue of a sink is full: events were dropped"
                );
            }),
        }
    }
}

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queued").field(&self.delivery().report()).finish()
    }
}

impl Sink for Queued {
    fn emit(&self, event: Arc<Event>) {
        self.handle.0.push(event);
    }

    fn delivery(&self) -> Delivery {
        Delivery::of(Arc::clone(&self.handle.0) as _)
    }

    fn name(&self) -> &str {
        self.handle.0.name()
    }
}

/// Builds a [`Queued`].
#[must_use]
pub struct QueuedBuilder<W> {
    writer: W,
    name: String,
    capacity: usize,
    max_batch: usize,
    max_delay: Duration,
    overflow: Overflow,
    observer: queue::Observer,
}

impl<W> fmt::Debug for QueuedBuilder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<W: BatchWriter> QueuedBuilder<W> {
    /// Most events in the queue, 1 at least. An event takes about 1 KiB, one of an LLM call up to 8 KiB more; with tags up to the default limits, made to be
    /// large, some 200 KiB: where clients are not to be trusted, [limit](crate::metadata::Limits::tags) their number.
    pub fn capacity(mut self, events: usize) -> Self {
        self.capacity = events.max(1);
        self
    }

    /// Most events in a batch, 1 at least.
    pub fn max_batch(mut self, events: usize) -> Self {
        self.max_batch = events.max(1);
        self
    }

    /// How long an event may wait for others to fill its batch.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Makes room for a new event by dropping the oldest when the queue is full. By default the new one is dropped.
    pub fn drop_oldest(mut self) -> Self {
        self.overflow = Overflow::DropOldest;
        self
    }

    /// Hears of events that were dropped because the queue was full: at once, then once a minute at most, and of the rest
    /// at the end.
    ///
    /// It is called on a request's task or the sink's thread, and must not block. By default it is a `tracing` warning of the target
    /// `tower_tagging::delivery`.
    pub fn on_queue_full(mut self, observer: impl Fn(QueueFull<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Starts the thread. Should the system refuse one, that is logged, and every event is dropped as
    /// [`DropReason::Closed`](super::DropReason::Closed).
    pub fn build(self) -> Queued {
        let queue = Arc::new(Queue::new(self.name, self.capacity, self.max_batch, self.overflow, self.observer));
        worker::spawn(&queue, self.writer, self.max_delay);
        Queued { handle: Arc::new(Handle(queue)) }
    }
}
