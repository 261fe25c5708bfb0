use std::time::Duration;

/// What a query may read row by row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowLimits {
    /// The number of rows.
    pub(crate) rows: u64,
    /// The time that reading them may take.
    pub(crate) time: Duration,
}
