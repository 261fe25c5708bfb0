use std::{fmt, sync::Arc};

use crate::{
    event::Event,
    sink::{DropReason, SpoolReport},
};

/// Where the events of a queue wait that find no room in memory: a log on disk.
pub(crate) trait Backlog: Send + Sync + fmt::Debug {
    /// Whether every event goes there, not only what finds no room.
    fn takes_all(&self) -> bool;

    /// Events that wait there. While there are any, later ones go there too, so that the order is kept.
    fn waiting(&self) -> u64;

    /// Whether there is no room for any event.
    fn is_full(&self) -> bool;

    /// Takes an event. May be called from many threads.
    fn append(&self, event: &Event) -> Result<(), DropReason>;

    /// The events that wait longest, for one batch; they stay until [`commit`](Self::commit). Only one thread reads. Returns
    /// how many were lost to damage on the way.
    fn read(&self, batch: &mut Vec<Arc<Event>>, max: usize) -> u64;

    /// The first `events` of the last batch that was read wait no longer.
    fn commit(&self, events: usize);

    fn report(&self) -> SpoolReport;
}
