/// The counts of a sink's spool. All are zero for a sink without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolReport {
    /// Events written to the spool.
    pub written: u64,
    /// Events that an earlier process left in the spool. They count as accepted.
    pub recovered: u64,
    /// Events that are waiting in the spool. They are included in the events in flight.
    ///
    /// While the directory is gone and cannot be created again, no event is.
    pub waiting: u64,
    /// Size of the spool on disk, in bytes.
    pub bytes: u64,
    /// Damaged places in the spool's files.
    ///
    /// They include a last record that was torn by a crash.
    pub damaged: u64,
}

impl SpoolReport {
    /// Creates a report with all counts zero.
    pub fn new() -> Self {
        Self::default()
    }
}
