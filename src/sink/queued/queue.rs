use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    event::Event,
    sink::{counts::Counts, drop_reason::DropReason},
    sync::lock,
};

use super::{
    backlog::Backlog,
    bounds::{Bounds, Overflow},
    memory::{Entry, Memory},
    order::Order,
};

/// The events in memory, and the sleep of the worker that takes them out.
///
/// The lock is held for as long as it takes to add an event or to take a batch. No I/O and no user code runs meanwhile.
pub(super) struct Queue {
    bounds: Bounds,
    state: Mutex<QueueState>,
    /// Signals the worker to look at the queue again.
    woken: Condvar,
    /// Signals that the worker has ended.
    ended: Condvar,
    pub(super) counts: Counts,
    /// Only its length matters here: the worker also wakes up for events in the backlog.
    backlog: Option<Arc<dyn Backlog>>,
}

struct QueueState {
    memory: Memory,
    order: Order,
    worker: WorkerState,
    phase: Phase,
}

/// The current activity of the worker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WorkerState {
    /// It will look at the queue again without being woken.
    Busy,
    /// It sleeps until a batch is full or its first event is old enough.
    Gathering,
    /// It sleeps until there is an event.
    Idle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// No more events are accepted. Writes are retried until this time.
    Closing(Instant),
    /// The worker has ended. Nothing takes events out of memory anymore.
    Ended,
}

impl Phase {
    fn is_open(self) -> bool {
        self == Self::Open
    }
}

/// Events that the queue dropped.
pub(super) struct Dropped {
    pub(super) reason: DropReason,
    pub(super) events: Vec<Arc<Event>>,
}

impl Queue {
    pub(super) fn new(bounds: Bounds, backlog: Option<Arc<dyn Backlog>>) -> Self {
        let bounds = Bounds { max_batch: bounds.max_batch.min(bounds.events), ..bounds };
        Self {
            bounds,
            state: Mutex::new(QueueState {
                memory: Memory::new(bounds.events, bounds.bytes, bounds.max_batch),
                order: Order::MemoryOlder,
                worker: WorkerState::Busy,
                phase: Phase::Open,
            }),
            woken: Condvar::new(),
            ended: Condvar::new(),
            counts: Counts::new(),
            backlog,
        }
    }

    pub(super) fn max_batch(&self) -> usize {
        self.bounds.max_batch
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }

    // Called for each event.

    /// Accepts an event into memory.
    pub(super) fn push(&self, event: Arc<Event>) -> Result<(), Dropped> {
        let entry = Entry::new(event);
        let mut state = self.lock();
        // Counted under the lock, so that every event that was accepted before the queue closes is delivered.
        self.counts.accept();
        if !state.phase.is_open() {
            return Err(Dropped { reason: DropReason::Closed, events: vec![entry.event] });
        }
        let Err(entry) = state.memory.push(entry) else {
            self.wake(state);
            return Ok(());
        };
        let events = match self.bounds.overflow {
            Overflow::DropNewest => vec![entry.event],
            Overflow::DropOldest => state.memory.displace(entry),
        };
        self.wake(state);
        if events.is_empty() { Ok(()) } else { Err(Dropped { reason: DropReason::QueueFull, events }) }
    }

    /// Counts an event as accepted, and returns where it belongs, or `None` if the queue is closed.
    pub(super) fn accept(&self) -> Option<Order> {
        let state = self.lock();
        self.counts.accept();
        state.phase.is_open().then_some(state.order)
    }

    /// Adds an event that was accepted before. Returns it if there is no room or the worker has ended.
    pub(super) fn hold(&self, event: Arc<Event>) -> Result<(), Arc<Event>> {
        let entry = Entry::new(event);
        let mut state = self.lock();
        if state.phase == Phase::Ended {
            return Err(entry.event);
        }
        state.memory.push(entry).map_err(|entry| entry.event)?;
        self.wake(state);
        Ok(())
    }

    /// Wakes the worker if there is something to do, after the backlog has grown or a repair became due.
    pub(super) fn wake_worker(&self) {
        self.wake(self.lock());
    }

    fn wake(&self, mut state: MutexGuard<'_, QueueState>) {
        let wakes = match state.worker {
            WorkerState::Busy => false,
            WorkerState::Gathering => self.has_batch(&state) || self.is_repair_due(),
            WorkerState::Idle => true,
        };
        if wakes {
            state.worker = WorkerState::Busy;
            drop(state);
            self.woken.notify_one();
        }
    }

    fn waiting(&self, state: &QueueState) -> u64 {
        state.memory.len() as u64 + self.backlog_len()
    }

    fn backlog_len(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| backlog.waiting())
    }

    fn is_repair_due(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.is_repair_due())
    }

    fn has_batch(&self, state: &QueueState) -> bool {
        self.waiting(state) >= self.bounds.max_batch as u64 || state.memory.bytes() > self.bounds.bytes / 2
    }

    // Called while events are spilled.

    pub(super) fn len(&self) -> usize {
        self.lock().memory.len()
    }

    /// Removes the oldest event.
    pub(super) fn pop(&self) -> Option<Arc<Event>> {
        self.lock().memory.pop()
    }

    pub(super) fn order(&self) -> Order {
        self.lock().order
    }

    pub(super) fn set_order(&self, order: Order) {
        self.lock().order = order;
    }

    // Called by the worker.

    /// Sleeps until a batch is due. Returns `false` once the queue is closed and empty.
    ///
    /// Calls `on_empty`, under the lock, whenever no events are waiting, and `repair`, without the lock, whenever a repair of
    /// the backlog is due.
    pub(super) fn wait_for_batch(&self, on_empty: impl Fn(), repair: impl Fn()) -> bool {
        let mut state = self.lock_repaired(self.lock(), &repair);
        while self.waiting(&state) == 0 {
            on_empty();
            if !state.phase.is_open() {
                return false;
            }
            state = self.lock_repaired(self.sleep(state, WorkerState::Idle, None), &repair);
        }
        // A delay too long for an `Instant` means no deadline.
        let due = Instant::now().checked_add(self.bounds.max_delay);
        while !self.has_batch(&state) && state.phase.is_open() {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            state = self.lock_repaired(self.sleep(state, WorkerState::Gathering, left), &repair);
        }
        true
    }

    /// Releases the lock for repairs that are due.
    fn lock_repaired<'a>(
        &'a self,
        mut state: MutexGuard<'a, QueueState>,
        repair: impl Fn(),
    ) -> MutexGuard<'a, QueueState> {
        while self.is_repair_due() {
            drop(state);
            repair();
            state = self.lock();
        }
        state
    }

    /// Moves a batch of the oldest events into an empty buffer, unless those in the backlog are older.
    pub(super) fn take(&self, buffer: &mut VecDeque<Entry>) {
        let mut state = self.lock();
        if self.backlog_len() == 0 {
            state.order = Order::MemoryOlder;
        }
        if state.order == Order::MemoryOlder {
            state.memory.take(self.bounds.max_batch, buffer);
        }
    }

    /// Sleeps for a time, or until memory holds a batch, a repair of the backlog is due, or the queue is closed.
    pub(super) fn wait_for_memory(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while state.memory.len() < self.bounds.max_batch && state.phase.is_open() && !self.is_repair_due() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.sleep(state, WorkerState::Gathering, Some(left));
        }
    }

    /// Sleeps for a time, or until the queue is closed.
    pub(super) fn pause(&self, time: Duration) {
        let is_open = |state: &mut QueueState| state.phase.is_open();
        drop(self.woken.wait_timeout_while(self.lock(), time, is_open).unwrap_or_else(PoisonError::into_inner));
    }

    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, QueueState>,
        worker: WorkerState,
        time: Option<Duration>,
    ) -> MutexGuard<'a, QueueState> {
        state.worker = worker;
        state = match time {
            Some(time) => self.woken.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
            None => self.woken.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.worker = WorkerState::Busy;
        state
    }

    // Called at the end.

    /// Accepts no more events, and allows retries until the deadline. The latest deadline applies.
    pub(super) fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        state.phase = match state.phase {
            Phase::Open => Phase::Closing(deadline),
            Phase::Closing(other) => Phase::Closing(deadline.max(other)),
            Phase::Ended => Phase::Ended,
        };
        drop(state);
        self.woken.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        !self.lock().phase.is_open()
    }

    /// Returns the time until which writes are retried, once the queue is closed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.lock().phase {
            Phase::Closing(deadline) => Some(deadline),
            Phase::Open | Phase::Ended => None,
        }
    }

    /// Removes the oldest event. If there is none, ends the queue.
    pub(super) fn pop_or_end(&self) -> Option<Arc<Event>> {
        let mut state = self.lock();
        let event = state.memory.pop();
        if event.is_none() {
            state.phase = Phase::Ended;
            drop(state);
            self.ended.notify_all();
        }
        event
    }

    /// Blocks until the worker has ended. Returns `false` if the deadline passes first.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.phase != Phase::Ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Arc, thread};

    use super::{super::test_backlog::events, Bounds, DropReason, Duration, Entry, Instant, Overflow, Queue};

    fn paths(buffer: VecDeque<Entry>) -> Vec<String> {
        buffer.into_iter().map(|entry| entry.event.path().to_owned()).collect()
    }

    #[test]
    fn displaces_the_oldest_events_when_full() {
        let queue = Queue::new(Bounds { events: 2, overflow: Overflow::DropOldest, ..Bounds::default() }, None);
        let mut dropped = Vec::new();
        for event in events(4) {
            dropped.extend(queue.push(event).err().into_iter().flat_map(|dropped| dropped.events));
        }
        assert_eq!(dropped.iter().map(|event| event.path()).collect::<Vec<_>>(), ["0", "1"]);
        let mut buffer = VecDeque::new();
        queue.take(&mut buffer);
        assert_eq!(paths(buffer), ["2", "3"]);
    }

    #[test]
    fn a_closed_queue_accepts_no_events_and_still_returns_those_in_memory() {
        let queue = Queue::new(Bounds::default(), None);
        let [first, second, third] = events(3).try_into().unwrap();
        assert!(queue.push(first).is_ok());
        queue.close(Instant::now());
        let dropped = queue.push(second).unwrap_err();
        assert_eq!((dropped.reason, dropped.events.len()), (DropReason::Closed, 1));
        assert!(queue.accept().is_none());
        assert_eq!(queue.counts.report("test").accepted, 3);

        // The delay of a batch does not apply, and an event that was accepted before may still arrive.
        assert!(queue.wait_for_batch(|| {}, || {}));
        assert!(queue.hold(Arc::clone(&third)).is_ok());
        let mut buffer = VecDeque::new();
        queue.take(&mut buffer);
        assert_eq!(paths(buffer), ["0", "2"]);
        assert!(!queue.wait_for_batch(|| {}, || {}) && queue.pop_or_end().is_none());
        assert!(queue.hold(third).is_err() && queue.wait_for_end(Instant::now()));
    }

    #[test]
    fn a_full_batch_wakes_the_worker_before_the_delay_is_over() {
        let max_delay = Duration::from_secs(3600);
        let queue = Arc::new(Queue::new(Bounds { max_batch: 3, max_delay, ..Bounds::default() }, None));
        let for_thread = Arc::clone(&queue);
        let worker = thread::spawn(move || {
            let mut buffer = VecDeque::new();
            assert!(for_thread.wait_for_batch(|| {}, || {}));
            for_thread.take(&mut buffer);
            paths(buffer)
        });
        for event in events(3) {
            assert!(queue.push(event).is_ok());
        }
        assert_eq!(worker.join().unwrap(), ["0", "1", "2"]);
    }
}
