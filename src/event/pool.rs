use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use super::Event;

/// Events that were delivered, kept for the next requests.
///
/// An event is filled on one thread and freed on another, and memory that changes threads is the largest single cost of
/// an event (measured by `benches/layer.rs`); so a delivery thread gives events back with their buffers instead.
#[derive(Debug)]
pub(crate) struct EventPool {
    spare: ArrayQueue<Arc<Event>>,
}

impl EventPool {
    /// Most events kept.
    const CAPACITY: usize = 1024;

    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { spare: ArrayQueue::new(Self::CAPACITY) })
    }

    /// An event with nothing in it, which nobody else has.
    pub(crate) fn take(self: &Arc<Self>) -> Arc<Event> {
        let mut event = self.spare.pop().unwrap_or_default();
        if let Some(event) = Arc::get_mut(&mut event) {
            event.home = Some(Arc::clone(self));
        }
        event
    }

    /// Gives an event back if nobody else has it; drops it otherwise.
    pub(crate) fn give_back(mut event: Arc<Event>) {
        let home = Arc::get_mut(&mut event).and_then(|event| {
            event.reset();
            event.home.take()
        });
        if let Some(home) = home {
            // A full pool drops it.
            let _ = home.spare.push(event);
        }
    }
}
