use jiff::Timestamp;
use serde::Serialize;

use super::{Basis, Cell, Group};

/// The answer to a [`Query`](super::Query).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// The names of the dimensions.
    pub group_by: Vec<String>,
    /// The names of the measures, in the order of the values of each [`Cell`].
    pub measures: Vec<String>,
    /// The start of each bucket. Empty unless the query has a bucket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<Timestamp>,
    /// The sums over all requests that meet the conditions, also of groups that are not returned.
    pub total: Cell,
    /// The sums of each bucket over all these requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Cell>,
    /// The groups, in the order of the query.
    pub groups: Vec<Group>,
    /// The number of all groups.
    pub group_count: u64,
    /// The cursor of the next groups. `None` after the last one.
    ///
    /// The next page begins after the place of the last group of this one. A group that requests move past this place in
    /// the meantime is on two pages or on none.
    pub next: Option<String>,
    /// The range that was summed, and how complete the data is.
    pub basis: Basis,
}
