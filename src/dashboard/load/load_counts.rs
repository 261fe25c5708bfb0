/// How many queries were asked for, and what became of them, since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoadCounts {
    pub(crate) asked: u64,
    /// The rest was answered together with equal queries that were in flight.
    pub(crate) executed: u64,
    pub(crate) failed: u64,
    /// The number of queries that are being executed.
    pub(crate) running: u64,
    /// The largest number of queries that were executed at a time.
    pub(crate) most_running: u64,
}
