use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    event::{Event, EventPool},
    sink::drop_reason::DropReason,
    sync::lock,
};

use super::{backlog::Backlog, memory::Entry, order::Order, queue::Queue};

/// The most events that are spilled at once. A request that finds memory full spills as many to make room.
const SPILLED_AT_ONCE: usize = 32;

/// Moves events from memory to a backlog, and keeps them in [`Order`].
pub(super) struct Spill {
    queue: Arc<Queue>,
    backlog: Arc<dyn Backlog>,
    /// Held while events move to the backlog, or the order changes, so that events keep their order.
    spilling: Mutex<()>,
}

impl Spill {
    pub(super) fn new(queue: Arc<Queue>, backlog: Arc<dyn Backlog>) -> Self {
        Self { queue, backlog, spilling: Mutex::new(()) }
    }

    pub(super) fn backlog(&self) -> &dyn Backlog {
        &*self.backlog
    }

    /// Accepts an event into memory or the backlog.
    pub(super) fn push(&self, event: Arc<Event>) -> Result<(), DropReason> {
        let order = self.queue.accept().ok_or(DropReason::Closed)?;
        if self.backlog.takes_all() {
            return self.push_to_backlog(event);
        }
        let event = match self.hold(event, order) {
            Ok(()) => return Ok(()),
            Err(event) => event,
        };
        let _spilling = lock(&self.spilling);
        // The order may have changed meanwhile.
        let order = self.queue.order();
        if order == Order::MemoryNewer {
            // The oldest events in memory go first.
            self.spill_locked(SPILLED_AT_ONCE);
        }
        match (self.hold(event, order), order) {
            (Ok(()), _) => Ok(()),
            (Err(event), Order::MemoryNewer) => self.append_at_last(&event),
            (Err(event), Order::MemoryOlder) => self.push_to_backlog(event),
        }
    }

    /// Adds an event to memory. Returns it if there is no room, or if newer events are already waiting in the backlog.
    fn hold(&self, event: Arc<Event>, order: Order) -> Result<(), Arc<Event>> {
        let is_overtaken = order == Order::MemoryOlder && self.backlog.waiting() > 0;
        if is_overtaken { Err(event) } else { self.queue.hold(event) }
    }

    /// Appends an event to the backlog, or keeps it in memory if the backlog refuses it.
    fn push_to_backlog(&self, mut event: Arc<Event>) -> Result<(), DropReason> {
        if self.append(&event).is_err() {
            let Err(refused) = self.queue.hold(event) else { return Ok(()) };
            self.append_at_last(&refused)?;
            event = refused;
        }
        EventPool::give_back(event);
        Ok(())
    }

    /// Appends an event for which memory has no room.
    fn append_at_last(&self, event: &Event) -> Result<(), DropReason> {
        self.backlog.repair_and_append(event)?;
        self.queue.wake_worker();
        Ok(())
    }

    fn append(&self, event: &Event) -> Result<(), DropReason> {
        self.backlog.append(event)?;
        self.queue.wake_worker();
        Ok(())
    }

    /// Appends an event to the backlog, which is repaired if necessary. Returns `false` if the backlog refuses it.
    pub(super) fn spill(&self, event: &Event) -> bool {
        self.backlog.repair_and_append(event).is_ok()
    }

    /// Repairs the backlog, and spills what it has refused.
    pub(super) fn repair(&self) {
        self.backlog.repair();
        self.keep_memory_free();
    }

    /// Spills events that were taken from memory, and then memory, which becomes the newer place. Returns the number of these
    /// events that the backlog took.
    ///
    /// Takes none if newer events are waiting in the backlog, unless the events `may_be_late`.
    pub(super) fn spill_batch(&self, events: &[Arc<Event>], may_be_late: bool) -> Option<usize> {
        let spilling = lock(&self.spilling);
        if !may_be_late && self.backlog.waiting() > 0 {
            return None;
        }
        let spilled = events.iter().take_while(|event| self.spill(event)).count();
        if spilled == events.len() {
            self.queue.set_order(Order::MemoryNewer);
            drop(spilling);
            self.spill_present();
        }
        Some(spilled)
    }

    /// Makes memory the newer place, and spills it as far as there is room.
    pub(super) fn spill_memory(&self) {
        let spilling = lock(&self.spilling);
        self.queue.set_order(Order::MemoryNewer);
        drop(spilling);
        self.spill_present();
    }

    /// Moves a batch of the oldest events into an empty buffer, unless those in the backlog are older.
    pub(super) fn take(&self, buffer: &mut VecDeque<Entry>) {
        let _spilling = lock(&self.spilling);
        self.queue.take(buffer);
    }

    /// Spills what has arrived in memory, if memory is the newer place, or only holds events that the backlog refused.
    pub(super) fn keep_memory_free(&self) {
        if self.queue.order() == Order::MemoryNewer || self.backlog.takes_all() {
            self.spill_present();
        }
    }

    /// Spills what has arrived in memory before a batch is taken, if older events are waiting in the backlog.
    pub(super) fn prepare_batch(&self) {
        if self.backlog.waiting() > 0 {
            self.keep_memory_free();
        }
    }

    /// Spills the events that are in memory now. Events that arrive meanwhile could keep this from ever ending.
    fn spill_present(&self) {
        let mut left = self.queue.len();
        while left > 0 && self.spill_some(left.min(SPILLED_AT_ONCE)) {
            left = left.saturating_sub(SPILLED_AT_ONCE);
            // A request that finds memory full waits for this lock.
            thread::yield_now();
        }
    }

    /// Spills up to `max` events. Returns `false` if there are no more, or no room for them.
    fn spill_some(&self, max: usize) -> bool {
        let _spilling = lock(&self.spilling);
        self.spill_locked(max)
    }

    fn spill_locked(&self, max: usize) -> bool {
        for _ in 0..max {
            // An event that the backlog refuses would lose its place.
            if self.backlog.is_full() || !self.backlog.is_writable() {
                return false;
            }
            let Some(event) = self.queue.pop() else { return false };
            if self.backlog.append(&event).is_err() {
                self.put_back(event);
                return false;
            }
            EventPool::give_back(event);
        }
        true
    }

    /// Puts an event back that the backlog refused. It becomes the newest one; its old place may be taken.
    fn put_back(&self, event: Arc<Event>) {
        if let Err(event) = self.queue.hold(event)
            && let Err(reason) = self.append_at_last(&event)
        {
            self.queue.counts.drop_for(reason, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use super::{
        super::{
            bounds::Bounds,
            test_backlog::{TestBacklog, events},
        },
        Backlog, Order, Queue, Spill,
    };

    fn spill(max_events: usize, backlog: &Arc<TestBacklog>) -> Spill {
        let backlog: Arc<dyn Backlog> = Arc::<TestBacklog>::clone(backlog);
        let bounds = Bounds { events: max_events, ..Bounds::default() };
        Spill::new(Arc::new(Queue::new(bounds, Some(Arc::clone(&backlog)))), backlog)
    }

    /// Empties memory and returns the paths of its events, oldest first.
    fn memory(spill: &Spill) -> Vec<String> {
        std::iter::from_fn(|| spill.queue.pop()).map(|event| event.path().to_owned()).collect()
    }

    #[test]
    fn events_follow_those_that_wait_in_the_backlog() {
        let backlog = TestBacklog::new(100);
        let spill = spill(2, &backlog);
        for event in events(5) {
            spill.push(event).unwrap();
        }
        assert_eq!(backlog.paths(), ["2", "3", "4"]);
        // Memory has room again, but older events are waiting.
        let mut buffer = VecDeque::new();
        spill.queue.take(&mut buffer);
        assert_eq!(buffer.len(), 2);
        spill.push(events(1).remove(0)).unwrap();
        assert_eq!((backlog.paths().last().map(String::as_str), spill.queue.len()), (Some("0"), 0));
    }

    #[test]
    fn spills_the_oldest_events_once_memory_is_newer() {
        let backlog = TestBacklog::new(100);
        let spill = spill(2, &backlog);
        let mut events = events(6).into_iter();
        for event in events.by_ref().take(2) {
            spill.push(event).unwrap();
        }
        spill.spill_memory();
        assert_eq!((backlog.paths(), spill.queue.len()), (vec!["0".to_owned(), "1".to_owned()], 0));
        for event in events {
            spill.push(event).unwrap();
        }
        // The backlog is not read past memory: together they are in order.
        let order = [backlog.paths(), memory(&spill)].concat();
        assert_eq!(order, ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(spill.queue.order(), Order::MemoryNewer);
    }

    #[test]
    fn events_that_arrive_while_a_batch_is_spilled_do_not_overtake_it() {
        for _ in 0..50 {
            let backlog = TestBacklog::new(1_000);
            let spill = spill(40, &backlog);
            let mut events = events(200).into_iter();
            for event in events.by_ref().take(40) {
                spill.push(event).unwrap();
            }
            // Half of memory is in a batch that cannot be written.
            let batch: Vec<_> = (0..20).filter_map(|_| spill.queue.pop()).collect();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while backlog.waiting() == 0 {
                        std::thread::yield_now();
                    }
                    events.for_each(|event| spill.push(event).unwrap());
                });
                assert_eq!(spill.spill_batch(&batch, false), Some(batch.len()));
            });
            let order = [backlog.paths(), memory(&spill)].concat();
            assert_eq!(order, (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn keeps_events_in_memory_that_the_backlog_refuses() {
        let backlog = TestBacklog::new(1);
        let spill = spill(3, &backlog);
        for event in events(3) {
            spill.push(event).unwrap();
        }
        spill.spill_memory();
        assert_eq!(backlog.paths(), ["0"]);
        // The refused event becomes the newest one.
        assert_eq!(memory(&spill), ["2", "1"]);
        assert_eq!(spill.queue.counts.report("test").dropped(), 0);
    }
}
