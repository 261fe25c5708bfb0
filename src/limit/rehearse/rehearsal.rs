use jiff::Timestamp;

use crate::usage::Money;

use super::rehearsed_rule::RehearsedRule;

/// The result of running rules over stored requests.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rehearsal {
    /// The start of the range.
    pub from: Timestamp,
    /// The end of the range, excluded.
    pub to: Timestamp,
    /// The requests that were considered.
    pub requests: u64,
    /// The known cost of these requests.
    pub cost: Money,
    /// The requests that were rejected at the time, which were not considered.
    pub already_rejected: u64,
    /// The requests that at least one enforced rule would have rejected.
    pub rejected: u64,
    /// The known cost of the rejected requests.
    pub saved: Money,
    /// The result for each rule, in the order of the rules.
    pub rules: Vec<RehearsedRule>,
}
