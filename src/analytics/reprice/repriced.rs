use serde::Serialize;

use super::RepricedSums;

/// The old and the new cost of the requests of a query; see [`reprice`](super::reprice).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Repriced {
    /// The names of the dimensions.
    pub group_by: Vec<String>,
    /// The sums over all requests.
    pub total: RepricedSums,
    /// The groups, in the order of their values.
    pub groups: Vec<RepricedGroup>,
}

/// The old and the new cost of a group of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RepricedGroup {
    /// The values of the dimensions. `None` if the requests have no value.
    pub values: Vec<Option<String>>,
    /// The sums over the requests of the group.
    pub sums: RepricedSums,
}
