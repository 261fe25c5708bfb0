use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    event::Event,
    sink::{drop_reason::DropReason, spool_report::SpoolReport},
    sync::lock,
};

use super::backlog::{Backlog, Problem};

/// A backlog for tests that keeps a limited number of events in memory.
#[derive(Debug)]
pub(super) struct TestBacklog {
    events: Mutex<VecDeque<Arc<Event>>>,
    /// Further events are refused, although the backlog is not full.
    accepts: usize,
}

impl TestBacklog {
    pub(super) fn new(accepts: usize) -> Arc<Self> {
        Arc::new(Self { events: Mutex::default(), accepts })
    }

    /// Returns the paths of the events, oldest first.
    pub(super) fn paths(&self) -> Vec<String> {
        lock(&self.events).iter().map(|event| event.path().to_owned()).collect()
    }
}

impl Backlog for TestBacklog {
    fn takes_all(&self) -> bool {
        false
    }

    fn waiting(&self) -> u64 {
        lock(&self.events).len() as u64
    }

    fn is_full(&self) -> bool {
        false
    }

    fn append(&self, event: &Event) -> Result<(), DropReason> {
        let mut events = lock(&self.events);
        if events.len() >= self.accepts {
            return Err(DropReason::SpoolFailed);
        }
        events.push_back(Arc::new(event.clone()));
        drop(events);
        // Others may append now, unless something keeps them from doing so.
        thread::yield_now();
        Ok(())
    }

    fn repair_and_append(&self, event: &Event) -> Result<(), DropReason> {
        self.append(event)
    }

    fn read(&self, batch: &mut Vec<Arc<Event>>, max: usize) -> u64 {
        batch.extend(lock(&self.events).iter().take(max).cloned());
        0
    }

    fn commit(&self, events: usize) {
        lock(&self.events).drain(..events);
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn problem(&self) -> Option<Problem> {
        None
    }

    fn check(&self) {}

    fn is_repair_due(&self) -> bool {
        false
    }

    fn repair(&self) {}

    fn recoveries(&self) -> u64 {
        0
    }

    fn report(&self) -> SpoolReport {
        SpoolReport { waiting: self.waiting(), ..SpoolReport::default() }
    }
}

/// Returns events with the paths `0`, `1`, …
pub(super) fn events(count: usize) -> Vec<Arc<Event>> {
    (0..count).map(|index| Arc::new(Event::builder().path(index.to_string()).build())).collect()
}
