use std::collections::BTreeMap;

use super::Basis;

/// The numbers of feedback entries by their value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FeedbackScores {
    /// The number of entries with each value, without values that no entry has.
    pub counts: BTreeMap<i8, u64>,
    /// The data behind the numbers. It is not exact if there is earlier feedback that was not read.
    pub basis: Basis,
}
