use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant, SystemTime},
};

use crossbeam_queue::ArrayQueue;

use crate::event::{Event, EventPool};

use super::{
    super::{
        SinkHealth,
        delivery::{Counts, DropReason, Part, SinkReport},
    },
    backlog::Backlog,
};

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
/// Most events that a request moves from memory to the backlog, to make room.
const MOVED_AT_ONCE: usize = 32;
/// How long a writer is tried again once the last sink is gone and nobody waits.
const UNATTENDED: Duration = Duration::from_secs(10);

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) bytes: u64,
    pub(super) max_batch: usize,
    pub(super) max_delay: Duration,
    pub(super) overflow: Overflow,
    /// How long a writer may be busy with one batch before its sink is called stalled.
    pub(super) stalled_after: Duration,
}

/// What both halves of a [`Queued`](super::Queued) share: requests push, one thread pops.
pub(super) struct Queue {
    name: String,
    /// Each event with the bytes it was counted for.
    events: ArrayQueue<(Arc<Event>, u64)>,
    bytes: AtomicU64,
    bounds: Bounds,
    backlog: Option<Arc<dyn Backlog>>,
    /// What is in memory came after what waits in the backlog, and goes there too before it is delivered: so it is while the
    /// destination is away. Otherwise it came before.
    memory_is_newer: AtomicBool,
    /// Held by whoever moves events from memory to the backlog, so that their order is kept.
    moves: Mutex<()>,
    pub(super) counts: Counts,
    observer: Observer,
    /// Drops that the observer has not heard of, and when it may hear next (milliseconds since `started`).
    unobserved: AtomicU64,
    observe_at: AtomicU64,
    started: Instant,
    closed: AtomicBool,
    /// Once closed: until when attempts go on.
    closes_at: Mutex<Option<Instant>>,
    /// When the oldest event at hand ended (microseconds since 1970), and when the writer was given a batch (milliseconds
    /// since `started`); 0 for none.
    oldest: AtomicU64,
    busy_since: AtomicU64,
    is_away: AtomicBool,
    /// What the worker is at: [`BUSY`], [`GATHERING`] or [`IDLE`].
    worker_is: AtomicU8,
    worker: OnceLock<Thread>,
    thread: Mutex<Option<JoinHandle<()>>>,
    done: Mutex<bool>,
    done_changed: Condvar,
}

/// The worker will look at the queue again by itself.
const BUSY: u8 = 0;
/// The worker sleeps until a batch is full, or its first event is old enough.
const GATHERING: u8 = 1;
/// The worker sleeps until there is an event.
const IDLE: u8 = 2;

/// Where a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Memory,
    Backlog,
}

impl Queue {
    pub(super) fn new(name: String, bounds: Bounds, observer: Observer, backlog: Option<Arc<dyn Backlog>>) -> Self {
        let counts = Counts::default();
        if let Some(backlog) = &backlog {
            // What an earlier process left.
            counts.accept_all(backlog.waiting());
        }
        Self {
            name,
            events: ArrayQueue::new(bounds.events),
            bytes: AtomicU64::new(0),
            bounds: Bounds { max_batch: bounds.max_batch.min(bounds.events), ..bounds },
            backlog,
            memory_is_newer: AtomicBool::new(false),
            moves: Mutex::new(()),
            counts,
            observer,
            unobserved: AtomicU64::new(0),
            observe_at: AtomicU64::new(0),
            started: Instant::now(),
            closed: AtomicBool::new(false),
            closes_at: Mutex::new(None),
            oldest: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            worker_is: AtomicU8::new(BUSY),
            worker: OnceLock::new(),
            thread: Mutex::new(None),
            done: Mutex::new(false),
            done_changed: Condvar::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn backlog(&self) -> Option<&dyn Backlog> {
        self.backlog.as_deref()
    }

    pub(super) fn push(&self, event: Arc<Event>) {
        self.counts.accept();
        if self.closed.load(SeqCst) {
            return self.counts.drop_for(DropReason::Closed, 1);
        }
        if let Err(reason) = self.take(event) {
            self.counts.drop_for(reason, 1);
            if reason == DropReason::QueueFull {
                self.observe_drop();
            }
        }
        // Sequentially consistent, as is the queue's own tail: either the worker sees the event before it falls
        // asleep, or its sleep is seen here.
        let wakes = match self.worker_is.load(SeqCst) {
            IDLE => true,
            GATHERING => self.has_batch(),
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

    /// Takes an event into memory or the backlog, or says why the event that had to give way was dropped.
    fn take(&self, event: Arc<Event>) -> Result<(), DropReason> {
        let Some(backlog) = &self.backlog else {
            return match (self.hold(event), self.bounds.overflow) {
                (Ok(()), _) => Ok(()),
                (Err(_), Overflow::DropNewest) => Err(DropReason::QueueFull),
                (Err(event), Overflow::DropOldest) => self.displace(event),
            };
        };
        if backlog.takes_all() || (backlog.waiting() > 0 && !self.memory_is_newer.load(SeqCst)) {
            return match backlog.append(&event) {
                Ok(()) => {
                    EventPool::give_back(event);
                    Ok(())
                }
                // What the disk does not take, memory may.
                Err(reason) => self.hold(event).map_err(|_| reason),
            };
        }
        let event = match self.hold(event) {
            Ok(()) => return Ok(()),
            Err(event) => event,
        };
        if self.memory_is_newer.load(SeqCst) {
            // Room for this one and the next ones.
            self.move_aside(MOVED_AT_ONCE);
            return match self.hold(event) {
                Ok(()) => Ok(()),
                Err(event) => backlog.append(&event),
            };
        }
        backlog.append(&event)
    }

    /// Takes an event into memory, or gives it back.
    fn hold(&self, event: Arc<Event>) -> Result<(), Arc<Event>> {
        let bytes = event.approximate_bytes() as u64;
        let with_it = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.bounds.bytes);
        if self.bytes.fetch_update(SeqCst, SeqCst, with_it).is_err() {
            return Err(event);
        }
        self.events.push((event, bytes)).map_err(|(event, bytes)| {
            self.bytes.fetch_sub(bytes, SeqCst);
            event
        })
    }

    /// Drops the oldest events until there is room for this one.
    fn displace(&self, mut event: Arc<Event>) -> Result<(), DropReason> {
        // One that is larger than all the room there is makes nobody give way.
        let can_fit = event.approximate_bytes() as u64 <= self.bounds.bytes;
        while can_fit && self.pop().is_some() {
            match self.hold(event) {
                // The event that gave way is counted by the caller.
                Ok(()) => return Err(DropReason::QueueFull),
                Err(back) => {
                    event = back;
                    self.counts.drop_for(DropReason::QueueFull, 1);
                    self.unobserved.fetch_add(1, SeqCst);
                }
            }
        }
        Err(DropReason::QueueFull)
    }

    fn pop(&self) -> Option<Arc<Event>> {
        let (event, bytes) = self.events.pop()?;
        self.bytes.fetch_sub(bytes, SeqCst);
        Some(event)
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
        let now = self.now();
        let due = self.observe_at.load(SeqCst);
        let next = now.saturating_add(millis(OBSERVER_PERIOD));
        if at_end || (now >= due && self.observe_at.compare_exchange(due, next, SeqCst, SeqCst).is_ok()) {
            let full = QueueFull { sink: &self.name, dropped: self.unobserved.swap(0, SeqCst) };
            // An observer that panics must not cost anybody anything.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.observer)(full)));
        }
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }

    fn wake(&self) {
        if let Some(worker) = self.worker.get() {
            worker.unpark();
        }
    }

    /// The last sink is gone.
    pub(super) fn abandon(&self) {
        self.close(Instant::now() + UNATTENDED);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Once closed: until when attempts go on.
    pub(super) fn closes_at(&self) -> Option<Instant> {
        *self.closes_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_done(&self) -> bool {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves what nobody will deliver any more to the backlog, or counts it.
    fn drop_rest(&self) {
        while let Some(event) = self.pop() {
            if !self.set_aside(&event) {
                self.counts.drop_for(DropReason::Closed, 1);
            }
        }
    }

    /// Whether the backlog took the event.
    pub(super) fn set_aside(&self, event: &Event) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.append(event).is_ok())
    }

    /// Moves what is in memory to the backlog, as far as there is room, so that memory is free while the destination is away.
    pub(super) fn set_memory_aside(&self) {
        self.memory_is_newer.store(true, SeqCst);
        self.move_aside(usize::MAX);
    }

    /// Moves events from memory to the end of the backlog.
    fn move_aside(&self, most: usize) {
        let _moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..most {
            if self.backlog.as_ref().is_none_or(|backlog| backlog.is_full()) {
                return;
            }
            let Some(event) = self.pop() else { return };
            if !self.set_aside(&event) {
                // Back at the end: there was room a moment ago.
                if self.hold(event).is_err() {
                    self.counts.drop_for(DropReason::SpoolFailed, 1);
                } else if self.is_closed() && self.is_done() {
                    self.drop_rest();
                }
                return;
            }
            EventPool::give_back(event);
        }
    }

    /// Moves what came while the destination is away.
    pub(super) fn keep_memory_free(&self) {
        if self.backlog.is_some() && self.memory_is_newer.load(SeqCst) {
            self.move_aside(usize::MAX);
        }
    }

    // What the worker does.

    pub(super) fn worker_started(&self, thread: Thread) {
        // Said by the thread and by who started it, whoever is first.
        let _ = self.worker.set(thread);
    }

    pub(super) fn worker_spawned(&self, thread: JoinHandle<()>) {
        self.worker_started(thread.thread().clone());
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    pub(super) fn worker_ended(&self) {
        self.closed.store(true, SeqCst);
        // Before anybody is told, so that reports are exact; and after, for what was pushed meanwhile.
        self.drop_rest();
        self.observe_drops(true);
        self.oldest.store(0, SeqCst);
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.done_changed.notify_all();
        self.drop_rest();
    }

    pub(super) fn writer_is_busy(&self, is_busy: bool) {
        self.busy_since.store(if is_busy { self.now().max(1) } else { 0 }, SeqCst);
    }

    pub(super) fn destination_is_away(&self, is_away: bool) {
        self.is_away.store(is_away, SeqCst);
    }

    fn waiting(&self) -> u64 {
        self.events.len() as u64 + self.backlog.as_ref().map_or(0, |backlog| backlog.waiting())
    }

    fn has_batch(&self) -> bool {
        self.waiting() >= self.bounds.max_batch as u64 || self.bytes.load(SeqCst) > self.bounds.bytes / 2
    }

    /// Fills the batch; `None` when the queue is closed and empty. Blocks until there is something to do.
    pub(super) fn next_batch(&self, batch: &mut Vec<Arc<Event>>) -> Option<Source> {
        loop {
            while self.waiting() == 0 {
                self.oldest.store(0, SeqCst);
                if self.is_closed() {
                    return None;
                }
                self.sleep(IDLE, None, || self.waiting() == 0);
            }
            // Without a deadline, when it is too far to be written down.
            let deadline = Instant::now().checked_add(self.bounds.max_delay);
            while !self.has_batch() && !self.is_closed() {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    break;
                }
                self.sleep(GATHERING, left, || !self.has_batch());
            }
            if self.memory_is_newer.load(SeqCst) {
                if self.backlog.as_ref().is_some_and(|backlog| backlog.waiting() > 0) {
                    self.move_aside(usize::MAX);
                } else {
                    self.memory_is_newer.store(false, SeqCst);
                }
            }
            // What is in memory now is older than what waits in the backlog, unless it is its turn to wait.
            let is_memorys_turn = !self.memory_is_newer.load(SeqCst);
            while is_memorys_turn
                && batch.len() < self.bounds.max_batch
                && let Some(event) = self.pop()
            {
                batch.push(event);
            }
            let source = if batch.is_empty() { Source::Backlog } else { Source::Memory };
            if source == Source::Backlog
                && let Some(backlog) = &self.backlog
            {
                let lost = backlog.read(batch, self.bounds.max_batch);
                self.counts.drop_for(DropReason::SpoolFailed, usize::try_from(lost).unwrap_or(usize::MAX));
                if batch.is_empty() && lost == 0 {
                    // It can't be read now: later, or by the next process.
                    if self.is_closed() {
                        return None;
                    }
                    self.sleep(GATHERING, Some(Duration::from_secs(1)), || true);
                }
            }
            if let Some(oldest) = batch.first() {
                let ended = oldest.time().checked_add(oldest.duration()).unwrap_or(oldest.time());
                self.oldest.store(since_epoch(ended).max(1), SeqCst);
                return Some(source);
            }
        }
    }

    fn sleep(&self, state: u8, timeout: Option<Duration>, still: impl Fn() -> bool) {
        self.worker_is.store(state, SeqCst);
        if still() && !self.is_closed() {
            match timeout {
                Some(timeout) => thread::park_timeout(timeout),
                None => thread::park(),
            }
        }
        self.worker_is.store(BUSY, SeqCst);
    }

    fn health(&self) -> SinkHealth {
        let busy_since = self.busy_since.load(SeqCst);
        if self.is_closed() {
            SinkHealth::Stopped
        } else if busy_since > 0 && self.now().saturating_sub(busy_since) > millis(self.bounds.stalled_after) {
            SinkHealth::Stalled
        } else if self.is_away.load(SeqCst) && self.oldest.load(SeqCst) > 0 {
            // While there is nothing to write, nobody can know.
            SinkHealth::Unavailable
        } else {
            SinkHealth::Healthy
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds since 1970.
fn since_epoch(time: SystemTime) -> u64 {
    let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Part for Queue {
    fn report(&self) -> Option<SinkReport> {
        let spool = self.backlog.as_ref().map(|backlog| backlog.report()).unwrap_or_default();
        let oldest = self.oldest.load(SeqCst);
        let age = Duration::from_micros(since_epoch(SystemTime::now()).saturating_sub(oldest));
        let report = self.counts.report(&self.name).with_spool(spool);
        Some(report.with_state((oldest > 0).then_some(age), self.health()))
    }

    fn close(&self, deadline: Instant) {
        // Whoever waits longest decides.
        let mut at = self.closes_at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = Some(at.map_or(deadline, |other| other.max(deadline)));
        drop(at);
        self.closed.store(true, SeqCst);
        self.worker_is.store(BUSY, SeqCst);
        self.wake();
    }

    fn wait(&self, deadline: Instant) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !*done {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(done);
                // The writer hangs: what it has not been given is safe on the disk.
                if self.backlog.is_some() {
                    self.set_memory_aside();
                }
                return;
            }
            done = self.done_changed.wait_timeout(done, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(done);
        // It holds nothing any more, the spool neither, when this returns.
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its panics are caught.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}
