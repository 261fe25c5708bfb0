use super::Measure;

/// The order of groups.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// By a measure, the largest first. Groups without a value are last, and equal groups are ordered by their values.
    Descending(Measure),
    /// By a measure, the smallest first. Groups without a value are last, and equal groups are ordered by their values.
    Ascending(Measure),
    /// By the values of the group.
    Values,
}
