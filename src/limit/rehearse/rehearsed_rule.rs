use std::sync::Arc;

use jiff::Timestamp;

use crate::usage::Money;

use super::{super::rules::LimitRule, affected::Affected};

/// The result of a rehearsal for one rule.
///
/// If several rules reject a request, it counts for each of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RehearsedRule {
    /// The rule.
    pub rule: Arc<LimitRule>,
    /// The requests that the rule applies to.
    pub requests: u64,
    /// The known cost of these requests.
    pub cost: Money,
    /// The requests that the rule would have rejected.
    pub rejected: u64,
    /// The known cost of the rejected requests.
    pub saved: Money,
    /// The number of days with rejections, in the zone of the range.
    pub days: u32,
    /// The time of the first rejection.
    pub first_rejection: Option<Timestamp>,
    /// The time of the last rejection.
    pub last_rejection: Option<Timestamp>,
    /// The API keys of the rejected requests.
    pub api_keys: Affected,
    /// The workspaces of the rejected requests.
    pub workspaces: Affected,
    /// The groups of the rejected requests, if the rule groups by properties.
    pub groups: Affected,
}
