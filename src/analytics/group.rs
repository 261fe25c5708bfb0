use serde::Serialize;

use super::Cell;

/// The requests with certain values of the query's dimensions.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// The value of each dimension. `None` if the requests have no value.
    pub values: Vec<Option<String>>,
    /// The sums over the whole range.
    #[serde(rename = "total")]
    pub cell: Cell,
    /// The sums of each bucket. Empty unless the query has a bucket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Cell>,
}
