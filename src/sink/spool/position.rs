/// A place between two records of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The number of the segment.
    pub(super) segment: u64,
    /// The offset within the segment, in bytes.
    pub(super) offset: u64,
    /// The number of records in the segment before this position, not counting those delivered by earlier processes.
    pub(super) records: u64,
}

impl Position {
    pub(super) fn start_of(segment: u64) -> Self {
        Self { segment, offset: 0, records: 0 }
    }
}
