use std::{sync::Arc, thread};

use crate::event::Event;

/// Events after which a writer yields to other threads: about 100 microseconds of work.
const CHUNK: usize = 32;

/// Iterates over the events of a batch, and yields to other threads after every few of them.
///
/// For a writer that does work for each event. If all cores are busy, a long piece of work delays the requests of one
/// core, and those on other cores that wait for them.
pub(crate) fn yielding_chunks(events: &[Arc<Event>]) -> impl Iterator<Item = &Arc<Event>> {
    events.chunks(CHUNK).enumerate().flat_map(|(index, chunk)| {
        if index > 0 {
            thread::yield_now();
        }
        chunk
    })
}
