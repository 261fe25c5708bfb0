use std::collections::BTreeMap;

use serde::Serialize;

/// Usage of which the cost is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnpricedUsage {
    /// The UTC day, such as `2026-06-01`.
    pub day: String,
    /// The provider, by its id in the price catalog.
    pub provider: Option<String>,
    /// The model that answered, or else the requested one.
    pub model: Option<String>,
    /// The slug of the workspace.
    pub workspace: Option<String>,
    /// The values of the chosen tags.
    pub tags: BTreeMap<String, String>,
    /// The reason, such as `unpriced_model` or `no_usage`.
    pub cost_status: Option<String>,
    /// The number of requests.
    pub requests: u64,
    /// The known counts by disjoint kind, such as `input_tokens`, which are those without cache reads and writes.
    pub quantities: BTreeMap<String, u64>,
}
