use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use crossbeam_queue::ArrayQueue;

use super::Event;

/// Events that were delivered, kept for the next requests.
///
/// An event is filled on one thread and freed on another, and memory that changes threads is the largest single cost of
/// an event (measured by `benches/layer.rs`); so a delivery thread gives events back with their buffers instead.
#[derive(Debug)]
pub(crate) struct EventPool {
    spare: ArrayQueue<Arc<Event>>,
    /// Events hold on to their pool, so a pool that is closed must let go of its events.
    closed: AtomicBool,
}

/// A pool that is closed when its owner is gone.
#[derive(Debug)]
pub(crate) struct EventPoolOwner(Arc<EventPool>);

impl EventPoolOwner {
    pub(crate) fn new() -> Self {
        let spare = ArrayQueue::new(EventPool::CAPACITY);
        Self(Arc::new(EventPool { spare, closed: AtomicBool::new(false) }))
    }

    /// An event with nothing in it, which nobody else has.
    pub(crate) fn take(&self) -> Arc<Event> {
        self.0.spare.pop().unwrap_or_else(|| Arc::new(Event { home: Some(Arc::clone(&self.0)), ..Event::default() }))
    }
}

impl Drop for EventPoolOwner {
    fn drop(&mut self) {
        self.0.closed.store(true, SeqCst);
        self.0.clear();
    }
}

impl EventPool {
    /// Most events kept.
    const CAPACITY: usize = 1024;

    /// Gives an event back if nobody else has it; drops it otherwise.
    pub(crate) fn give_back(mut event: Arc<Event>) {
        let Some(unshared) = Arc::get_mut(&mut event) else { return };
        unshared.reset();
        let Some(home) = unshared.home.clone() else { return };
        // A full pool drops it.
        let _ = home.spare.push(event);
        if home.closed.load(SeqCst) {
            home.clear();
        }
    }

    fn clear(&self) {
        while self.spare.pop().is_some() {}
    }
}
