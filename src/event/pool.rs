use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Event;

/// Events that were delivered, kept for the next requests.
///
/// An event is filled on one thread and freed on another, and memory that changes threads is the largest single cost of
/// an event (measured by `benches/layer.rs`); so a delivery thread gives events back with their buffers instead. The last
/// ones that came back go out first: they are more likely to be in the cache.
#[derive(Debug)]
pub(crate) struct EventPool {
    /// `None` once the owner is gone. Events hold on to their pool, so it must let go of its events then.
    spare: Mutex<Option<Vec<Arc<Event>>>>,
}

/// A pool that is closed when its owner is gone.
#[derive(Debug)]
pub(crate) struct EventPoolOwner(Arc<EventPool>);

impl EventPoolOwner {
    pub(crate) fn new() -> Self {
        Self(Arc::new(EventPool { spare: Mutex::new(Some(Vec::new())) }))
    }

    /// Creates a pool that keeps no events.
    pub(crate) fn disabled() -> Self {
        Self(Arc::new(EventPool { spare: Mutex::new(None) }))
    }

    /// Creates an empty pool that is disabled if this one is.
    pub(crate) fn renewed(&self) -> Self {
        if self.0.spare().is_some() { Self::new() } else { Self::disabled() }
    }

    /// An event with nothing in it, which nobody else has.
    pub(crate) fn take(&self) -> Arc<Event> {
        let spare = self.0.spare().as_mut().and_then(Vec::pop);
        spare.unwrap_or_else(|| Arc::new(Event { home: Some(Arc::clone(&self.0)), ..Event::default() }))
    }
}

impl Drop for EventPoolOwner {
    fn drop(&mut self) {
        let spare = self.0.spare().take();
        drop(spare);
    }
}

impl EventPool {
    /// Most events kept.
    const CAPACITY: usize = 1024;

    fn spare(&self) -> MutexGuard<'_, Option<Vec<Arc<Event>>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as many as there is room for; the caller drops the others, without the lock.
    fn keep(&self, events: &mut impl Iterator<Item = Arc<Event>>) {
        if let Some(spare) = &mut *self.spare() {
            let room = Self::CAPACITY.saturating_sub(spare.len());
            spare.extend(events.take(room));
        }
    }

    /// Gives an event back if nobody else has it; drops it otherwise.
    pub(crate) fn give_back(mut event: Arc<Event>) {
        let Some(unshared) = Arc::get_mut(&mut event) else { return };
        unshared.reset();
        let Some(home) = unshared.home.clone() else { return };
        home.keep(&mut std::iter::once(event));
    }

    /// Gives back those of the events that nobody else has; drops the others.
    pub(crate) fn give_back_all(events: &mut Vec<Arc<Event>>) {
        events.retain_mut(|event| Arc::get_mut(event).map(Event::reset).is_some());
        while let Some(last) = events.last() {
            let Some(home) = last.home.clone() else {
                events.pop();
                continue;
            };
            let is_at_home = |event: &Arc<Event>| event.home.as_ref().is_some_and(|other| Arc::ptr_eq(other, &home));
            let count = events.iter().rev().take_while(|event| is_at_home(event)).count();
            home.keep(&mut events.drain(events.len() - count..));
        }
    }
}
