use std::time::Duration;

/// The limits of reading rows one by one.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(dead_code, reason = "queries on rows in memory have no limits")
)]
pub(crate) struct RowLimits {
    /// The number of rows.
    pub(crate) rows: u64,
    /// The time that reading them may take.
    pub(crate) time: Duration,
}
