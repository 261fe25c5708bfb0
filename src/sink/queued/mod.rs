pub(crate) mod backlog;
mod memory;
mod observer;
mod queue;
mod retry;
mod vitals;
mod worker;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::event::Event;

use self::{
    backlog::Backlog,
    queue::{Bounds, Overflow, Queue},
};
pub use self::{observer::QueueFull, retry::RetryPolicy};
use super::{Delivery, Sink, guarded::Guarded};

/// Writes events in batches, on a thread of its own: the way to any file, server or database.
///
/// A client that is `async` is waited for on a runtime of the writer's own. So it works on while the service's runtime waits for
/// [`Delivery::shutdown`], and needs no other to be there:
///
/// ```
/// use std::{io, sync::Arc, time::Duration};
/// use tokio::{runtime::{self, Runtime}, time::timeout};
/// use tower_tagging::{event::Event, sink::{BatchWriter, Queued, Sink, WriteError}};
///
/// # struct Client;
/// # impl Client {
/// #     async fn insert(&mut self, _: &[Arc<Event>]) -> io::Result<()> { Ok(()) }
/// # }
/// struct Warehouse {
///     runtime: Runtime,
///     client: Client,
/// }
///
/// impl BatchWriter for Warehouse {
///     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
///         // Within: a timer belongs to the runtime that it is made on.
///         let insert = async { timeout(Duration::from_secs(10), self.client.insert(events)).await };
///         match self.runtime.block_on(insert) {
///             Ok(Ok(())) => Ok(()),
///             Ok(Err(error)) => Err(WriteError::retryable(error)),
///             Err(elapsed) => Err(WriteError::retryable(elapsed)),
///         }
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
/// let sink = Queued::new("warehouse", Warehouse { runtime, client: Client });
/// assert!(sink.delivery().shutdown(Duration::from_secs(1)).is_complete());
/// # Ok(())
/// # }
/// ```
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

impl<W: BatchWriter + ?Sized> BatchWriter for Box<W> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        (**self).write(events)
    }
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
        if self.written > 0 {
            write!(f, "{} events were written, then: ", self.written)?;
        }
        self.source.fmt(f)
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// A sink with a bounded queue, a thread that hands batches to a [`BatchWriter`], and a count of every event's fate.
///
/// What the writer does with a batch tells what comes next:
///
/// | the writer | the events that it did not write |
/// |---|---|
/// | returns [`WriteError::retryable`] | are written again, by the [`RetryPolicy`]; after three failures in a row the sink is [unavailable](super::SinkHealth::Unavailable) until a batch is written |
/// | returns [`WriteError::rejected`], or panics | are written again in ever smaller batches, until the one that is to blame is alone: it is dropped, and handed to the [dead-letter sink](QueuedBuilder::dead_letters) |
/// | returns [`WriteError::new`] | are dropped |
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
struct Handle {
    queue: Arc<Queue>,
    delivery: Delivery,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl Queued {
    /// A queue of 32,768 events and 64 MiB, and batches of at most 512 events, which wait 50 ms at most.
    pub fn new(name: impl Into<String>, writer: impl BatchWriter) -> Self {
        Self::builder(name, writer).build()
    }

    /// Chooses other bounds.
    pub fn builder<W: BatchWriter>(name: impl Into<String>, writer: W) -> QueuedBuilder<W> {
        QueuedBuilder {
            writer,
            name: name.into(),
            bounds: Bounds {
                events: 32_768,
                bytes: 64 * 1024 * 1024,
                max_batch: 512,
                max_delay: Duration::from_millis(50),
                overflow: Overflow::DropNewest,
                stalled_after: Duration::from_secs(30),
            },
            retry: RetryPolicy::new(),
            dead_letters: None,
            backlog: None,
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
        self.handle.queue.push(event);
    }

    fn delivery(&self) -> Delivery {
        self.handle.delivery.clone()
    }

    fn name(&self) -> &str {
        self.handle.queue.name()
    }
}

/// Builds a [`Queued`].
#[must_use]
pub struct QueuedBuilder<W> {
    writer: W,
    name: String,
    bounds: Bounds,
    retry: RetryPolicy,
    dead_letters: Option<Guarded>,
    backlog: Option<Arc<dyn Backlog>>,
    observer: observer::Observer,
}

impl<W> fmt::Debug for QueuedBuilder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<W> QueuedBuilder<W> {
    /// Most events in the queue, 1 at least.
    pub fn capacity(mut self, events: usize) -> Self {
        self.bounds.events = events.max(1);
        self
    }

    /// Most bytes that events in the queue may take in memory, about. An event takes some 2 KiB, one of an LLM call up to 8 KiB
    /// more, one with tags up to the default limits some 200 KiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Most events in a batch, 1 at least.
    pub fn max_batch(mut self, events: usize) -> Self {
        self.bounds.max_batch = events.max(1);
        self
    }

    /// How long an event may wait for others to fill its batch.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.bounds.max_delay = delay;
        self
    }

    /// Makes room for a new event by dropping the oldest when the queue is full. By default the new one is dropped. A sink with
    /// a spool spills the new one.
    pub fn drop_oldest(mut self) -> Self {
        self.bounds.overflow = Overflow::DropOldest;
        self
    }

    /// Hears of events that were dropped because the queue was full: at once, then once a minute at most, and of the rest
    /// at the end.
    ///
    /// It is called on a request's task or the sink's thread, and must not block. By default it is a `tracing` warning of
    /// the target `tower_tagging::delivery`.
    pub fn on_queue_full(mut self, observer: impl Fn(QueueFull<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    #[cfg(feature = "spool")]
    pub(crate) fn with_backlog(mut self, backlog: Arc<dyn Backlog>) -> Self {
        self.backlog = Some(backlog);
        self
    }

    /// When what the writer calls [retryable](WriteError::retryable) is tried again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How long the writer may be busy with one batch before the sink is called [stalled](super::SinkHealth::Stalled); half a
    /// minute by default. A writer that hangs can't be interrupted: it is the writer that sets timeouts.
    pub fn stalled_after(mut self, time: Duration) -> Self {
        self.bounds.stalled_after = time;
        self
    }

    /// Gets the events that the writer [can't store](WriteError::rejected) or panics at, each by itself.
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
    /// # let _ = layer.delivery().shutdown(Duration::from_secs(5));
    /// ```
    pub fn dead_letters(mut self, sink: impl Sink) -> Self {
        self.dead_letters = Some(Guarded::new(sink));
        self
    }
}

impl<W: BatchWriter> QueuedBuilder<W> {
    /// Starts the thread. Should the system refuse one, that is logged, and every event is dropped as
    /// [`DropReason::Closed`](super::DropReason::Closed).
    pub fn build(self) -> Queued {
        let queue = Arc::new(Queue::new(self.name, self.bounds, self.observer, self.backlog));
        let own = Delivery::of(Arc::clone(&queue) as _);
        let dead_letters = self.dead_letters.as_ref().map(|sink| sink.delivery().after_others());
        let delivery = Delivery::join([own].into_iter().chain(dead_letters));
        worker::spawn(&queue, self.writer, self.retry, self.dead_letters);
        Queued { handle: Arc::new(Handle { queue, delivery }) }
    }
}

/// Events of a batch that are worked through before other threads get their turn: some 100 microseconds of work.
const TURN: usize = 32;

/// The events of a batch, for a writer that has work to do for each: after every few of them requests go first. Where all cores
/// are busy, a long piece of work holds up the requests of one core, and those of the others that wait for them.
pub(crate) fn in_turns(events: &[Arc<Event>]) -> impl Iterator<Item = &Arc<Event>> {
    events.chunks(TURN).enumerate().flat_map(|(turn, some)| {
        if turn > 0 {
            std::thread::yield_now();
        }
        some
    })
}
