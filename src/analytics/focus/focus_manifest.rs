use jiff::Timestamp;
use serde::Serialize;

use crate::usage::Money;

use super::{FocusVersion, UnpricedUsage};

/// The content of a FOCUS file, and the usage without a price that it lacks. Store it next to the file, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FocusManifest {
    /// The version of the specification.
    pub focus_version: FocusVersion,
    /// The names of the columns, in their order.
    pub columns: &'static [&'static str],
    /// The start of the range.
    pub from: Timestamp,
    /// The end of the range, excluded.
    pub to: Timestamp,
    /// The keys of the tags that the rows distinguish.
    pub tag_keys: Vec<String>,
    /// The number of rows of the file.
    pub rows: u64,
    /// The SHA-256 of the file, in lowercase hex digits. It shows which file the manifest belongs to.
    pub sha256: String,
    /// The sum of the column `BilledCost`, in nano-dollars. It is the known cost of all requests of the range.
    pub billed_cost_nanos: u64,
    /// LLM calls and other requests with a known cost.
    pub priced_requests: u64,
    /// Those of them of whose cost only a part is known.
    pub partially_priced_requests: u64,
    /// LLM calls without a known cost.
    pub unpriced_requests: u64,
    /// The usage of these calls.
    pub unpriced: Vec<UnpricedUsage>,
}

impl FocusManifest {
    /// Returns the sum of the column `BilledCost`.
    pub fn billed_cost(&self) -> Money {
        Money::from_nano_usd(self.billed_cost_nanos)
    }
}
