use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::event::{Event, EventPool};

use super::{
    super::delivery::{Counts, DropReason, Part, SinkReport},
    backlog::Backlog,
    memory::{Held, Memory},
    observer::{Drops, Observer},
    vitals::Vitals,
};

/// What happens to events when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    DropNewest,
    DropOldest,
}

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
    bounds: Bounds,
    /// Locked for as long as it takes to put an event in or to take a batch out: nothing is written, and nobody's code runs.
    inside: Mutex<Inside>,
    /// The worker is to look again.
    roused: Condvar,
    /// The worker has ended.
    ended: Condvar,
    backlog: Option<Arc<dyn Backlog>>,
    /// Held by whoever moves events from memory to the backlog, so that their order is kept.
    moves: Mutex<()>,
    pub(super) counts: Counts,
    pub(super) drops: Drops,
    pub(super) vitals: Vitals,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Inside {
    memory: Memory,
    /// What is in memory came after what waits in the backlog, and goes there too before it is delivered: so it is while the
    /// destination is away. Otherwise it came before.
    memory_is_newer: bool,
    worker: Worker,
    /// Once closed: until when attempts go on.
    closes_at: Option<Instant>,
    is_closed: bool,
    /// Nobody takes anything out any more.
    has_ended: bool,
}

/// What the worker is at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worker {
    /// It will look at the queue again by itself.
    Busy,
    /// It sleeps until a batch is full, or its first event is old enough.
    Gathers,
    /// It sleeps until there is an event.
    Idle,
}

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
        let bounds = Bounds { max_batch: bounds.max_batch.min(bounds.events), ..bounds };
        Self {
            name,
            bounds,
            inside: Mutex::new(Inside {
                memory: Memory::new(bounds.events, bounds.bytes, bounds.max_batch),
                memory_is_newer: false,
                worker: Worker::Busy,
                closes_at: None,
                is_closed: false,
                has_ended: false,
            }),
            roused: Condvar::new(),
            ended: Condvar::new(),
            backlog,
            moves: Mutex::new(()),
            counts,
            drops: Drops::new(observer),
            vitals: Vitals::new(bounds.stalled_after),
            thread: Mutex::new(None),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn backlog(&self) -> Option<&dyn Backlog> {
        self.backlog.as_deref()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, event: Arc<Event>) {
        let taken = match self.backlog() {
            None => self.push_to_memory(event),
            Some(backlog) => self.push_to_either(backlog, event),
        };
        if let Err((reason, events)) = taken {
            self.counts.drop_for(reason, events);
            if reason == DropReason::QueueFull {
                self.drops.add(events);
                self.drops.tell(&self.name, false);
            }
        }
    }

    /// Takes an event into memory, or says why so many events were dropped.
    fn push_to_memory(&self, event: Arc<Event>) -> Result<(), (DropReason, usize)> {
        let held = held(event);
        let mut inside = self.inside();
        // What is accepted before the queue closes is delivered.
        self.counts.accept();
        if inside.is_closed {
            return Err((DropReason::Closed, 1));
        }
        let pushed = inside.memory.push(held).or_else(|held| {
            let dropped = match self.bounds.overflow {
                Overflow::DropNewest => vec![held.0],
                Overflow::DropOldest => inside.memory.displace(held),
            };
            if dropped.is_empty() { Ok(()) } else { Err(dropped) }
        });
        self.rouse(inside);
        pushed.map_err(|mut dropped| {
            let count = dropped.len();
            // Only now, without the lock: it takes a while, and may merge tags to count them.
            EventPool::give_back_all(&mut dropped);
            (DropReason::QueueFull, count)
        })
    }

    /// Takes an event into memory or the backlog, or says why it was dropped.
    fn push_to_either(&self, backlog: &dyn Backlog, event: Arc<Event>) -> Result<(), (DropReason, usize)> {
        let (is_closed, memory_is_newer) = {
            let inside = self.inside();
            self.counts.accept();
            (inside.is_closed, inside.memory_is_newer)
        };
        let taken = if is_closed {
            Err(DropReason::Closed)
        } else if backlog.takes_all() || (backlog.waiting() > 0 && !memory_is_newer) {
            match self.append(backlog, &event) {
                Ok(()) => {
                    EventPool::give_back(event);
                    Ok(())
                }
                // What the disk does not take, memory may.
                Err(reason) => self.hold(event).map_err(|_| reason),
            }
        } else {
            self.hold(event).or_else(|mut event| {
                if memory_is_newer {
                    // Room for this one and the next ones.
                    self.move_aside(MOVED_AT_ONCE);
                    event = match self.hold(event) {
                        Ok(()) => return Ok(()),
                        Err(event) => event,
                    };
                }
                self.append(backlog, &event)
            })
        };
        taken.map_err(|reason| (reason, 1))
    }

    /// Takes an event into memory, or gives it back.
    fn hold(&self, event: Arc<Event>) -> Result<(), Arc<Event>> {
        let held = held(event);
        let mut inside = self.inside();
        if inside.has_ended {
            return Err(held.0);
        }
        inside.memory.push(held).map_err(|(event, _)| event)?;
        self.rouse(inside);
        Ok(())
    }

    fn append(&self, backlog: &dyn Backlog, event: &Event) -> Result<(), DropReason> {
        backlog.append(event)?;
        self.rouse(self.inside());
        Ok(())
    }

    /// Wakes the worker if there is something for it to do.
    fn rouse(&self, mut inside: MutexGuard<'_, Inside>) {
        let wakes = match inside.worker {
            Worker::Busy => false,
            Worker::Gathers => self.has_batch(&inside),
            Worker::Idle => true,
        };
        if wakes {
            inside.worker = Worker::Busy;
            drop(inside);
            self.roused.notify_one();
        }
    }

    fn waiting(&self, inside: &Inside) -> u64 {
        inside.memory.len() as u64 + self.backlog().map_or(0, Backlog::waiting)
    }

    fn has_batch(&self, inside: &Inside) -> bool {
        self.waiting(inside) >= self.bounds.max_batch as u64 || inside.memory.bytes() > self.bounds.bytes / 2
    }

    /// Whether the backlog took the event.
    pub(super) fn set_aside(&self, event: &Event) -> bool {
        self.backlog().is_some_and(|backlog| backlog.append(event).is_ok())
    }

    /// Moves what is in memory to the backlog, as far as there is room, so that memory is free while the destination is away.
    pub(super) fn set_memory_aside(&self) {
        self.inside().memory_is_newer = true;
        self.move_all_aside();
    }

    /// Moves what came while the destination is away.
    pub(super) fn keep_memory_free(&self) {
        if self.backlog.is_some() && self.inside().memory_is_newer {
            self.move_all_aside();
        }
    }

    /// Moves what is in memory now; not what comes meanwhile, which might never end. Few at once: a request that finds no room
    /// moves some itself, and waits for those who do.
    fn move_all_aside(&self) {
        let mut left = self.inside().memory.len();
        while left > 0 && self.move_aside(left.min(MOVED_AT_ONCE)) {
            left = left.saturating_sub(MOVED_AT_ONCE);
            thread::yield_now();
        }
    }

    /// Moves events from memory to the end of the backlog; false when there are no more, or no room for them.
    fn move_aside(&self, most: usize) -> bool {
        let _moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..most {
            if self.backlog().is_none_or(Backlog::is_full) {
                return false;
            }
            let Some(event) = self.inside().memory.pop() else { return false };
            if !self.set_aside(&event) {
                // Back at the end: there was room a moment ago.
                if self.hold(event).is_err() {
                    self.counts.drop_for(DropReason::SpoolFailed, 1);
                }
                return false;
            }
            EventPool::give_back(event);
        }
        true
    }

    /// The last sink is gone.
    pub(super) fn abandon(&self) {
        self.close(Instant::now() + UNATTENDED);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inside().is_closed
    }

    /// Once closed: until when attempts go on.
    pub(super) fn closes_at(&self) -> Option<Instant> {
        self.inside().closes_at
    }

    // What the worker does.

    pub(super) fn worker_spawned(&self, thread: JoinHandle<()>) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    pub(super) fn worker_ended(&self) {
        self.inside().is_closed = true;
        // Before anybody is told, so that reports are exact.
        self.drops.tell(&self.name, true);
        self.vitals.holds(None);
        loop {
            let mut inside = self.inside();
            // What nobody will deliver any more is left to the backlog, or counted.
            let Some(event) = inside.memory.pop() else {
                inside.has_ended = true;
                break;
            };
            drop(inside);
            if !self.set_aside(&event) {
                self.counts.drop_for(DropReason::Closed, 1);
            }
        }
        self.ended.notify_all();
    }

    /// Fills the batch; `None` when the queue is closed and empty. Blocks until there is something to do. `taken` is room for
    /// what is taken out.
    pub(super) fn next_batch(&self, batch: &mut Vec<Arc<Event>>, taken: &mut VecDeque<Held>) -> Option<Source> {
        loop {
            let mut inside = self.inside();
            while self.waiting(&inside) == 0 {
                self.vitals.holds(None);
                if inside.is_closed {
                    return None;
                }
                inside = self.sleep(inside, Worker::Idle, None);
            }
            // Without a deadline, when it is too far to be written down.
            let deadline = Instant::now().checked_add(self.bounds.max_delay);
            while !self.has_batch(&inside) && !inside.is_closed {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    break;
                }
                inside = self.sleep(inside, Worker::Gathers, left);
            }
            if inside.memory_is_newer {
                if self.backlog().is_some_and(|backlog| backlog.waiting() > 0) {
                    drop(inside);
                    self.move_all_aside();
                    inside = self.inside();
                } else {
                    inside.memory_is_newer = false;
                }
            }
            // What is in memory now is older than what waits in the backlog, unless it is its turn to wait.
            if !inside.memory_is_newer {
                inside.memory.take(self.bounds.max_batch, taken);
            }
            drop(inside);
            batch.extend(taken.drain(..).map(|(event, _)| event));
            let source = if batch.is_empty() { Source::Backlog } else { Source::Memory };
            if source == Source::Backlog
                && let Some(backlog) = self.backlog()
            {
                let lost = backlog.read(batch, self.bounds.max_batch);
                self.counts.drop_for(DropReason::SpoolFailed, usize::try_from(lost).unwrap_or(usize::MAX));
                if batch.is_empty() && lost == 0 {
                    // It can't be read now: later, or by the next process.
                    if self.is_closed() {
                        return None;
                    }
                    // What is in memory need not wait for that.
                    self.inside().memory_is_newer = false;
                    self.await_memory(Duration::from_secs(1));
                }
            }
            if let Some(oldest) = batch.first() {
                self.vitals.holds(Some(oldest));
                return Some(source);
            }
        }
    }

    fn sleep<'a>(
        &'a self,
        mut inside: MutexGuard<'a, Inside>,
        worker: Worker,
        time: Option<Duration>,
    ) -> MutexGuard<'a, Inside> {
        inside.worker = worker;
        inside = match time {
            Some(time) => self.roused.wait_timeout(inside, time).unwrap_or_else(PoisonError::into_inner).0,
            None => self.roused.wait(inside).unwrap_or_else(PoisonError::into_inner),
        };
        inside.worker = Worker::Busy;
        inside
    }

    /// Waits so long, or until there is a batch in memory, or the queue is closed.
    fn await_memory(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut inside = self.inside();
        while inside.memory.len() < self.bounds.max_batch && !inside.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inside = self.sleep(inside, Worker::Gathers, Some(left));
        }
    }

    /// Waits so long, or until the queue is closed.
    pub(super) fn pause(&self, time: Duration) {
        let inside = self.inside();
        let is_open = |inside: &mut Inside| !inside.is_closed;
        drop(self.roused.wait_timeout_while(inside, time, is_open).unwrap_or_else(PoisonError::into_inner));
    }
}

/// An event and the bytes that it takes now: it may take more once it is read.
fn held(event: Arc<Event>) -> Held {
    let bytes = event.approximate_bytes() as u64;
    (event, bytes)
}

impl Part for Queue {
    fn report(&self) -> Option<SinkReport> {
        let spool = self.backlog().map(Backlog::report).unwrap_or_default();
        let report = self.counts.report(&self.name).with_spool(spool);
        let report = report.with_last_error(self.vitals.last_error());
        Some(report.with_state(self.vitals.oldest_age(), self.vitals.health(self.is_closed())))
    }

    fn close(&self, deadline: Instant) {
        let mut inside = self.inside();
        // Whoever waits longest decides.
        inside.closes_at = Some(inside.closes_at.map_or(deadline, |other| other.max(deadline)));
        inside.is_closed = true;
        drop(inside);
        self.roused.notify_one();
    }

    fn wait(&self, deadline: Instant) {
        let mut inside = self.inside();
        while !inside.has_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(inside);
                // The writer hangs: what it has not been given is safe on the disk.
                if self.backlog.is_some() {
                    self.set_memory_aside();
                }
                return;
            }
            inside = self.ended.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(inside);
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
