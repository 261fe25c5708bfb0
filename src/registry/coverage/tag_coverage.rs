use std::fmt;

use crate::usage::Money;

/// The requests that carry a tag, since the process or the contract that names the tag has started.
///
/// ```
/// # use tower_tagging::registry::TagCoverage;
/// fn is_ready_to_reject(coverage: &TagCoverage) -> bool {
///     coverage.share_of_requests().is_some_and(|share| share > 0.999)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagCoverage {
    /// The key of the tag.
    pub key: String,
    /// The number of requests.
    pub requests: u64,
    /// The number of requests that have a value for the tag that is not empty when contracts are checked. A tag that a handler
    /// sets comes too late, and does not count.
    pub requests_with_tag: u64,
    /// The known cost of the requests.
    pub cost: Money,
    /// The known cost of the requests that carry the tag.
    pub cost_with_tag: Money,
}

impl TagCoverage {
    /// Returns the share of requests that carry the tag, from 0 to 1. `None` without requests.
    pub fn share_of_requests(&self) -> Option<f64> {
        share(self.requests_with_tag, self.requests)
    }

    /// Returns the share of the known cost that carries the tag, from 0 to 1. `None` without a cost.
    pub fn share_of_cost(&self) -> Option<f64> {
        share(self.cost_with_tag.nano_usd(), self.cost.nano_usd())
    }
}

impl fmt::Display for TagCoverage {
    /// Writes one line: `coverage of _user: 95.0 % of 20 requests, 98.2 % of the cost`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "coverage of {}: ", self.key)?;
        match self.share_of_requests() {
            Some(share) => write!(f, "{:.1} % of {} requests", share * 100.0, self.requests)?,
            None => return f.write_str("no requests"),
        }
        match self.share_of_cost() {
            Some(share) => write!(f, ", {:.1} % of the cost", share * 100.0),
            None => Ok(()),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
