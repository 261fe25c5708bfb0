use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ConfigError;

use super::{
    super::rules::{Amount, LimitRule, LimitRuleBuilder},
    policy_condition::PolicyCondition,
    policy_key::PolicyKey,
    policy_options::{DecisionOption, MissingOption, ModeOption},
};

/// The largest number of requests or tokens per time.
const MAX_VALUE: u64 = 1_000_000_000_000;

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitForm {
    /// A name for people, at most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// At most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// The requests that are limited. All conditions must hold.
    #[serde(default)]
    pub(crate) conditions: Vec<PolicyCondition>,
    /// The keys whose values are counted on their own.
    #[serde(default)]
    pub(crate) group_by: Vec<PolicyKey>,
    /// `requests` or `tokens`.
    #[serde(rename = "type")]
    pub(crate) quantity: RateType,
    /// `rps`, `rpm`, `rph`, `rpd`, or `rpw`: per second, minute, hour, day, or week.
    pub(crate) unit: RateUnit,
    /// The number of requests or tokens per time, at least 1.
    pub(crate) value: u64,
    /// `llm`, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<RateTarget>,
    /// The workspace whose requests are limited. Those of all workspaces by default. Keys of a workspace limit only its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workspace_id: Option<String>,
    /// The handling of requests without a property. The default is `skip`: they are not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_missing: Option<MissingOption>,
    /// The decision while the ledger is not available. The default is `allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_store_error: Option<DecisionOption>,
    /// The effect. The default is `enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<ModeOption>,
    /// The status of rejections. The default is 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rejection_status: Option<u16>,
}

/// The unit that a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RateType {
    Requests,
    Tokens,
}

/// The time of a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RateUnit {
    Rps,
    Rpm,
    Rph,
    Rpd,
    Rpw,
}

/// The kind of requests that a rate limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RateTarget {
    Llm,
    McpTools,
}

/// The names of units with their seconds.
const UNITS: &[(RateUnit, &str, u64)] = &[
    (RateUnit::Rps, "rps", 1),
    (RateUnit::Rpm, "rpm", 60),
    (RateUnit::Rph, "rph", 3_600),
    (RateUnit::Rpd, "rpd", 86_400),
    (RateUnit::Rpw, "rpw", 604_800),
];

/// Returns the unit of a time. `None` if it has none.
pub(crate) fn unit_of(per: Duration) -> Option<&'static str> {
    UNITS.iter().find(|(_, _, seconds)| Duration::from_secs(*seconds) == per).map(|(_, name, _)| *name)
}

impl RateLimitForm {
    /// Returns the rule without its conditions.
    pub(super) fn rule(&self, id: &str) -> Result<LimitRuleBuilder, ConfigError> {
        if self.target == Some(RateTarget::McpTools) {
            return Err(ConfigError::new("target: expected llm: calls of MCP tools cannot be limited"));
        }
        if !(1..=MAX_VALUE).contains(&self.value) {
            return Err(ConfigError::new(format!("value: expected 1 to {MAX_VALUE}, found {}", self.value)));
        }
        let amount = match self.quantity {
            RateType::Requests => Amount::requests(self.value),
            RateType::Tokens => Amount::tokens(self.value),
        };
        let seconds = UNITS.iter().find(|(unit, _, _)| *unit == self.unit).map_or(1, |(_, _, seconds)| *seconds);
        Ok(LimitRule::rate(id, amount, Duration::from_secs(seconds)))
    }
}
