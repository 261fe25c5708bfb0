use std::time::Duration;

/// The schedule on which a [`Spool`](super::Spool) flushes its files to the disk.
///
/// Flushing protects against power failure, not against a killed process. See
/// [When files are flushed](super#when-files-are-flushed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// Flushes after every event. Events written during a flush share the next one.
    Always,
    /// Flushes this long after the first unflushed event.
    Interval(Duration),
    /// Leaves flushing to the operating system.
    Never,
}
