use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    event::{Event, EventPool},
    sink::{counts::Counts, delivery_source::DeliverySource, drop_reason::DropReason, sink_report::SinkReport},
    sync::lock,
};

use super::{
    backlog::{Backlog, Problem},
    bounds::Bounds,
    drop_notifier::{DropNotifier, Observer},
    memory::Entry,
    order::Order,
    queue::Queue,
    spill::Spill,
    worker_health::WorkerHealth,
};

/// The time for which writes are retried once the last sink is dropped, without a shutdown.
const UNATTENDED: Duration = Duration::from_secs(10);
/// The delay before the worker reads again from a backlog that could not be read.
const UNREADABLE_DELAY: Duration = Duration::from_secs(1);

/// Everything that both halves of a [`Queued`](super::Queued) share: requests push events, and one worker takes them.
pub(super) struct Pipeline {
    name: String,
    queue: Arc<Queue>,
    spill: Option<Spill>,
    drop_notifier: DropNotifier,
    pub(super) health: WorkerHealth,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// The origin of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Memory,
    Backlog,
}

impl Pipeline {
    pub(super) fn new(name: String, bounds: Bounds, observer: Observer, backlog: Option<Arc<dyn Backlog>>) -> Self {
        let queue = Arc::new(Queue::new(bounds, backlog.clone()));
        if let Some(backlog) = &backlog {
            // Events that an earlier process left.
            queue.counts.accept_all(backlog.waiting());
        }
        Self {
            name,
            spill: backlog.map(|backlog| Spill::new(Arc::clone(&queue), backlog)),
            queue,
            drop_notifier: DropNotifier::new(observer),
            health: WorkerHealth::new(bounds.stalled_after),
            worker: Mutex::new(None),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.queue.counts
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn spill(&self) -> Option<&Spill> {
        self.spill.as_ref()
    }

    /// Accepts an event.
    pub(super) fn push(&self, event: Arc<Event>) {
        let Some(spill) = &self.spill else { return self.push_to_memory(event) };
        if let Err(reason) = spill.push(event) {
            self.counts().drop_for(reason, 1);
        }
    }

    fn push_to_memory(&self, event: Arc<Event>) {
        let Err(mut dropped) = self.queue.push(event) else { return };
        let count = dropped.events.len();
        self.counts().drop_for(dropped.reason, count);
        if dropped.reason == DropReason::QueueFull {
            // Without the lock: this takes a while, and may merge tags to count them.
            EventPool::give_back_all(&mut dropped.events);
            self.drop_notifier.add(&self.name, count);
        }
    }

    pub(super) fn notify_of_drops(&self) {
        self.drop_notifier.notify_if_due(&self.name);
    }

    /// Fills an empty batch. Blocks until there is something to do. Returns `None` when there will be no more batches.
    ///
    /// `buffer` is reused from call to call.
    pub(super) fn next_batch(&self, batch: &mut Vec<Arc<Event>>, buffer: &mut VecDeque<Entry>) -> Option<Source> {
        loop {
            let repair = || self.spill.iter().for_each(Spill::repair);
            if !self.queue.wait_for_batch(|| self.health.set_oldest(None), repair) {
                return None;
            }
            match &self.spill {
                Some(spill) => {
                    spill.prepare_batch();
                    spill.take(buffer);
                }
                None => self.queue.take(buffer),
            }
            batch.extend(buffer.drain(..).map(|entry| entry.event));
            let source = if batch.is_empty() { Source::Backlog } else { Source::Memory };
            if source == Source::Backlog && !self.read_backlog(batch) {
                return None;
            }
            if let Some(oldest) = batch.first() {
                self.health.set_oldest(Some(oldest));
                return Some(source);
            }
        }
    }

    /// Reads a batch from the backlog. Returns `false` if it cannot be read and the queue is closed.
    fn read_backlog(&self, batch: &mut Vec<Arc<Event>>) -> bool {
        let Some(spill) = &self.spill else { return true };
        let lost = spill.backlog().read(batch, self.queue.max_batch());
        self.counts().drop_for(DropReason::SpoolFailed, usize::try_from(lost).unwrap_or(usize::MAX));
        if !batch.is_empty() || lost > 0 {
            return true;
        }
        if self.queue.is_closed() {
            // The next process may be able to read it.
            return false;
        }
        // Events in memory do not have to wait until it can be read.
        self.queue.set_order(Order::MemoryOlder);
        self.queue.wait_for_memory(UNREADABLE_DELAY);
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Closes the queue after the last sink is gone.
    pub(super) fn abandon(&self) {
        self.queue.close(Instant::now() + UNATTENDED);
    }

    pub(super) fn worker_started(&self, worker: JoinHandle<()>) {
        *lock(&self.worker) = Some(worker);
    }

    /// Ends the queue. Events that are left in memory go to the backlog or are dropped.
    pub(super) fn worker_ended(&self) {
        self.queue.close(Instant::now());
        // Reports are exact once the queue has ended.
        self.drop_notifier.notify(&self.name);
        self.health.set_oldest(None);
        if let Some(spill) = &self.spill {
            spill.backlog().repair();
        }
        while let Some(event) = self.queue.pop_or_end() {
            if !self.spill.as_ref().is_some_and(|spill| spill.spill(&event)) {
                self.counts().drop_for(DropReason::Closed, 1);
            }
        }
    }
}

impl DeliverySource for Pipeline {
    fn report(&self) -> Option<SinkReport> {
        let is_closed = self.queue.is_closed();
        let backlog = self.spill.as_ref().map(Spill::backlog);
        if let Some(backlog) = backlog.filter(|_| !is_closed) {
            // A problem shows before the next event. The worker ends it.
            backlog.check();
            if backlog.is_repair_due() {
                self.queue.wake_worker();
            }
        }
        let mut report = self.counts().report(&self.name);
        report.spool = backlog.map(Backlog::report).unwrap_or_default();
        let has_events = report.in_flight() > 0;
        report.oldest_age = self.health.oldest_age(has_events);
        report.health = self.health.get(is_closed, has_events);
        report.last_error = self.health.last_error();
        match backlog.and_then(Backlog::problem) {
            Some(Problem::NotWritable(text)) => {
                report.set_spool_problem(&text, report.in_memory(), "held in memory only");
            }
            Some(Problem::NotReadable(text)) => {
                report.set_spool_problem(&text, report.spool.waiting, "waiting in it");
            }
            None => {}
        }
        Some(report)
    }

    fn close(&self, deadline: Instant) {
        self.queue.close(deadline);
    }

    fn wait(&self, deadline: Instant) {
        if !self.queue.wait_for_end(deadline) {
            // The writer hangs. Events that it has not been given are safe on disk.
            if let Some(spill) = &self.spill {
                spill.backlog().repair();
                spill.spill_memory();
            }
            return;
        }
        // Once the thread has ended, it does not hold the spool's files anymore.
        let worker = lock(&self.worker).take();
        if let Some(worker) = worker {
            // Its panics are its own.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("name", &self.name).finish_non_exhaustive()
    }
}
