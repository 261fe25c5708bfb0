use std::{fmt, sync::Arc};

use crate::{
    event::Event,
    sink::{drop_reason::DropReason, spool_report::SpoolReport},
};

/// The reason that a backlog cannot be used.
#[derive(Debug)]
#[cfg_attr(not(feature = "spool"), allow(dead_code, reason = "only spools have problems"))]
pub(crate) enum Problem {
    NotWritable(String),
    NotReadable(String),
}

/// A place for the events of a queue that do not fit into memory, such as a log on disk.
pub(crate) trait Backlog: Send + Sync + fmt::Debug {
    /// Returns `true` if every event goes to the backlog, not only those that do not fit into memory.
    fn takes_all(&self) -> bool;

    /// Returns the number of events that are waiting in the backlog.
    fn waiting(&self) -> u64;

    /// Returns `true` if there is no room for another event.
    fn is_full(&self) -> bool;

    /// Appends an event. Several threads may call this at the same time.
    ///
    /// It costs little. An event is refused while a [repair](Self::repair) is due.
    fn append(&self, event: &Event) -> Result<(), DropReason>;

    /// Appends an event, after a repair if one is due. This is for the worker, and for events that would be dropped otherwise.
    fn repair_and_append(&self, event: &Event) -> Result<(), DropReason>;

    /// Appends the oldest events to a batch, and returns how many were lost to damage on the way.
    ///
    /// The events remain in the backlog until they are [committed](Self::commit). Only one thread reads.
    fn read(&self, batch: &mut Vec<Arc<Event>>, max: usize) -> u64;

    /// Removes the first `events` of the last batch that was read.
    fn commit(&self, events: usize);

    /// Returns `false` if the last event was refused, although there was room for it. It costs little.
    fn is_writable(&self) -> bool;

    /// Returns the current problem, such as "spool directory /spool is not writable (no space left on device)".
    ///
    /// It is `None` again once the backlog can be used.
    fn problem(&self) -> Option<Problem>;

    /// Looks for problems without an event. It costs little.
    fn check(&self);

    /// Returns `true` if a problem was found since the last [`repair`](Self::repair) began. It costs little.
    fn is_repair_due(&self) -> bool;

    /// Tries again what failed. This may copy files, so that it is for the worker.
    fn repair(&self);

    /// Returns how often the backlog became writable again. It costs little.
    fn recoveries(&self) -> u64;

    /// Returns the current counts.
    fn report(&self) -> SpoolReport;
}
