use std::time::SystemTime;

/// A comparison of the sums of a range with its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// The time at which it ended.
    pub time: SystemTime,
    /// The first instant of the range, at the start of a day in UTC.
    pub from: SystemTime,
    /// The instant after the last one of the range, at the end of a day in UTC.
    pub to: SystemTime,
    /// The number of differences.
    pub differences: u64,
    /// The first differences, one per line, or an empty text. They contain values of tags and names of workspaces.
    pub details: String,
    /// `true` if the sums were computed again from the rows, so that there are no differences.
    pub is_rebuild: bool,
}
