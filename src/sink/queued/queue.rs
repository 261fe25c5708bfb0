use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;

use crate::event::Event;

use super::super::delivery::{Counts, DropReason, Part, SinkReport};

/// What happens to events when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    DropNewest,
    DropOldest,
}

pub(super) type Observer = Arc<dyn Fn(QueueFull<'_>) + Send + Sync>;

/// Events were dropped because the queue of a sink was full.
#[derive(Clone, Copy, Debug)]
pub struct QueueFull<'a> {
    sink: &'a str,
    dropped: u64,
}

impl QueueFull<'_> {
    /// What the sink is called.
    pub fn sink(&self) -> &str {
        self.sink
    }

    /// How many events were dropped since the observer last heard of it.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// How often the observer hears of a full queue.
const OBSERVER_PERIOD: Duration = Duration::from_secs(60);

/// What both halves of a [`Queued`](super::Queued) share: requests push, one thread pops.
pub(super) struct Queue {
    name: String,
    events: ArrayQueue<Arc<Event>>,
    max_batch: usize,
    overflow: Overflow,
    pub(super) counts: Counts,
    observer: Observer,
    /// Drops that the observer has not heard of, and when it may hear next (milliseconds since `started`).
    unobserved: AtomicU64,
    observe_at: AtomicU64,
    started: Instant,
    closed: AtomicBool,
    /// What the worker is at: [`BUSY`], [`GATHERING`] or [`IDLE`].
    worker_is: AtomicU8,
    worker: OnceLock<Thread>,
    done: Mutex<bool>,
    done_changed: Condvar,
}

/// The worker will look at the queue again by itself.
const BUSY: u8 = 0;
/// The worker sleeps until a batch is full, or its first event is old enough.
const GATHERING: u8 = 1;
/// The worker sleeps until there is an event.
const IDLE: u8 = 2;

impl Queue {
    pub(super) fn new(name: String, capacity: usize, max_batch: usize, overflow: Overflow, observer: Observer) -> Self {
        Self {
            name,
            events: ArrayQueue::new(capacity),
            max_batch: max_batch.min(capacity),
            overflow,
            counts: Counts::default(),
            observer,
            unobserved: AtomicU64::new(0),
            observe_at: AtomicU64::new(0),
            started: Instant::now(),
            closed: AtomicBool::new(false),
            worker_is: AtomicU8::new(BUSY),
            worker: OnceLock::new(),
            done: Mutex::new(false),
            done_changed: Condvar::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn push(&self, event: Arc<Event>) {
        self.counts.accept();
        if self.closed.load(SeqCst) {
            return self.counts.drop_for(DropReason::Closed, 1);
        }
        let dropped = match self.overflow {
            Overflow::DropNewest => self.events.push(event).err(),
            Overflow::DropOldest => self.events.force_push(event),
        };
        if dropped.is_some() {
            self.counts.drop_for(DropReason::QueueFull, 1);
            self.observe_drop();
        }
        // Sequentially consistent, as is the queue's own tail: either the worker sees the event before it falls
        // asleep, or its sleep is seen here.
        let wakes = match self.worker_is.load(SeqCst) {
            IDLE => true,
            GATHERING => self.events.len() >= self.max_batch,
            _ => false,
        };
        if wakes && self.worker_is.swap(BUSY, SeqCst) != BUSY {
            self.wake();
        }
        // The worker may have ended between the first look and the push.
        if self.closed.load(SeqCst) && self.is_done() {
            self.drop_rest();
        }
    }

    fn observe_drop(&self) {
        self.unobserved.fetch_add(1, SeqCst);
        self.observe_drops(false);
    }

    /// Tells the observer of drops that it has not heard of, when it is time or nothing comes after.
    pub(super) fn observe_drops(&self, at_end: bool) {
        if self.unobserved.load(SeqCst) == 0 {
            return;
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = millis(self.started.elapsed());
        let due = self.observe_at.load(SeqCst);
        let next = now.saturating_add(millis(OBSERVER_PERIOD));
        if at_end || (now >= due && self.observe_at.compare_exchange(due, next, SeqCst, SeqCst).is_ok()) {
            let full = QueueFull { sink: &self.name, dropped: self.unobserved.swap(0, SeqCst) };
            // An observer that panics must not cost anybody anything.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.observer)(full)));
        }
    }

    fn wake(&self) {
        if let Some(worker) = self.worker.get() {
            worker.unpark();
        }
    }

    pub(super) fn close_and_wake(&self) {
        self.closed.store(true, SeqCst);
        self.worker_is.store(BUSY, SeqCst);
        self.wake();
    }

    fn is_done(&self) -> bool {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what nobody will deliver any more.
    fn drop_rest(&self) {
        while self.events.pop().is_some() {
            self.counts.drop_for(DropReason::Closed, 1);
        }
    }

    // What the worker does.

    pub(super) fn worker_started(&self, thread: Thread) {
        // The first and only call: a queue has one worker.
        let _ = self.worker.set(thread);
    }

    pub(super) fn worker_ended(&self) {
        self.closed.store(true, SeqCst);
        // Before anybody is told, so that reports are exact; and after, for what was pushed meanwhile.
        self.drop_rest();
        self.observe_drops(true);
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.done_changed.notify_all();
        self.drop_rest();
    }

    /// Fills the batch; false when the queue is closed and empty. Blocks until there is something to do.
    pub(super) fn next_batch(&self, batch: &mut Vec<Arc<Event>>, max_delay: Duration) -> bool {
        while self.events.is_empty() {
            if self.closed.load(SeqCst) {
                return false;
            }
            self.sleep(IDLE, None, || self.events.is_empty());
        }
        // Without a deadline, when it is too far to be written down.
        let deadline = Instant::now().checked_add(max_delay);
        while self.events.len() < self.max_batch && !self.closed.load(SeqCst) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            self.sleep(GATHERING, left, || self.events.len() < self.max_batch);
        }
        while batch.len() < self.max_batch
            && let Some(event) = self.events.pop()
        {
            batch.push(event);
        }
        true
    }

    fn sleep(&self, state: u8, timeout: Option<Duration>, still: impl Fn() -> bool) {
        self.worker_is.store(state, SeqCst);
        if still() && !self.closed.load(SeqCst) {
            match timeout {
                Some(timeout) => thread::park_timeout(timeout),
                None => thread::park(),
            }
        }
        self.worker_is.store(BUSY, SeqCst);
    }
}

impl Part for Queue {
    fn report(&self) -> Option<SinkReport> {
        Some(self.counts.report(&self.name))
    }

    fn close(&self) {
        self.close_and_wake();
    }

    fn wait(&self, deadline: Instant) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !*done {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            done = self.done_changed.wait_timeout(done, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}
