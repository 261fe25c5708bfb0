use std::sync::Arc;

use super::{
    Event,
    facts::Facts,
    pool::{Pool, PoolOwner},
    settle::Settle,
};

/// Delivered events, kept for the next requests.
pub(crate) type EventPool = Pool<Event>;
/// The owner of an [`EventPool`].
pub(crate) type EventPoolOwner = PoolOwner<Event>;

/// An event under construction. No other code holds it until it is finished.
pub(crate) struct Draft {
    event: Arc<Event>,
}

impl Draft {
    /// Creates an empty draft that is not recycled.
    pub(crate) fn new() -> Self {
        Self { event: Arc::new(Event::empty()) }
    }

    /// Creates an empty draft with the buffers of a delivered event, if there is one.
    pub(crate) fn recycled(pool: &EventPoolOwner) -> Self {
        Self { event: pool.take(Event::pooled) }
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.event.facts
    }

    pub(crate) fn facts_mut(&mut self) -> &mut Facts {
        // The only reference: nothing is copied.
        &mut Arc::make_mut(&mut self.event).facts
    }

    /// Takes the buffers that an earlier request left in this draft.
    pub(crate) fn take_recycled(&mut self) -> Option<Box<dyn Settle>> {
        Arc::get_mut(&mut self.event)?.unsettled.get_mut().ok()?.take()
    }

    /// Completes the event. The lazy step runs when the first reader asks for its result.
    pub(crate) fn finish(mut self, unsettled: Box<dyn Settle>) -> Arc<Event> {
        let event = Arc::make_mut(&mut self.event);
        event.facts.round_times();
        event.content_bytes = unsettled.approximate_bytes();
        event.unsettled = Some(unsettled).into();
        self.event
    }
}
