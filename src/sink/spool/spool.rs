use std::sync::Arc;

use crate::sink::{QueuedBuilder, queued::backlog::Backlog};

use super::log::Log;

/// A directory in which events wait for delivery.
///
/// See the [module documentation](super) for an example.
#[derive(Debug)]
pub struct Spool {
    log: Arc<Log>,
}

impl Spool {
    pub(super) fn new(log: Log) -> Self {
        Self { log: Arc::new(log) }
    }
}

impl<W> QueuedBuilder<W> {
    /// Stores events in a spool.
    ///
    /// Depending on the mode, these are all events or only those that do not fit in memory.
    ///
    /// See the [module documentation](crate::sink::spool) for the modes and guarantees.
    pub fn spool(self, spool: Spool) -> Self {
        self.with_backlog(spool.log as Arc<dyn Backlog>)
    }
}
