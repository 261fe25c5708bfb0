use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConfigError, usage::Money};

use super::{
    super::{
        rules::{Amount, LimitRule, LimitRuleBuilder, LimitUnit},
        window::{CalendarUnit, Window},
    },
    policy_condition::PolicyCondition,
    policy_key::PolicyKey,
    policy_options::{DecisionOption, MissingOption, ModeOption},
};

/// The largest limit in dollars, tokens, or requests.
const MAX_LIMIT: f64 = 1e9;
const MAX_COUNT: f64 = 1e15;
const MAX_RESET_DAYS: u16 = 365;
/// The days of a limit that holds for ever: more than a century.
const FOR_EVER: u16 = u16::MAX;

/// A usage limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageLimitForm {
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
    /// `cost`, `tokens`, or `requests`.
    #[serde(rename = "type")]
    pub(crate) unit: UsageType,
    /// The limit: at least 1 US dollar, 100 tokens, or 1 request.
    pub(crate) credit_limit: f64,
    /// The amount at which an alert is raised, once per group and period. Less than the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alert_threshold: Option<f64>,
    /// `weekly` (from Monday) or `monthly`. Without it and `periodic_reset_days`, the limit holds for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) periodic_reset: Option<PeriodicReset>,
    /// Periods of 1 to 365 days from the creation on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) periodic_reset_days: Option<u16>,
    /// The workspace whose requests are limited. Those of all workspaces by default. Keys of a workspace limit only its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workspace_id: Option<String>,
    /// The IANA time zone of `periodic_reset`. The default is UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// The handling of requests without a property. The default is `skip`: they are not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_missing: Option<MissingOption>,
    /// The decision about calls of models without a price. The default is `allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_unpriced: Option<DecisionOption>,
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

/// The unit that a usage limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UsageType {
    Cost,
    Tokens,
    Requests,
}

/// When a usage limit begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PeriodicReset {
    Weekly,
    Monthly,
}

impl UsageType {
    /// Returns the amount of a number.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number was checked to be positive and not too large"
    )]
    fn amount(self, number: f64) -> Amount {
        match self {
            Self::Cost => Amount::cost(Money::from_nano_usd((number * 1e9).round() as u64)),
            Self::Tokens => Amount::tokens(number as u64),
            Self::Requests => Amount::requests(number as u64),
        }
    }

    fn min(self) -> f64 {
        match self {
            Self::Cost | Self::Requests => 1.0,
            Self::Tokens => 100.0,
        }
    }
}

impl UsageLimitForm {
    /// Returns the rule without its conditions.
    pub(super) fn rule(&self, id: &str, created_at: Timestamp) -> Result<LimitRuleBuilder, ConfigError> {
        Ok(LimitRule::budget(id, self.limit()?, self.window(created_at)?))
    }

    fn limit(&self) -> Result<Amount, ConfigError> {
        let (number, min) = (self.credit_limit, self.unit.min());
        let max = if self.unit == UsageType::Cost { MAX_LIMIT } else { MAX_COUNT };
        if !(min..=max).contains(&number) {
            return Err(ConfigError::new(format!(
                "credit_limit: expected a number from {min} to {max}, found {number}"
            )));
        }
        if self.unit != UsageType::Cost && number.fract() != 0.0 {
            return Err(ConfigError::new(format!("credit_limit: expected a whole number, found {number}")));
        }
        Ok(self.unit.amount(number))
    }

    /// Returns the amount at which an alert is raised.
    pub(crate) fn alert_at(&self) -> Result<Option<Amount>, ConfigError> {
        let Some(number) = self.alert_threshold else { return Ok(None) };
        // Zero would raise an alert without any use.
        if !(number > 0.0 && number < self.credit_limit) {
            return Err(ConfigError::new(format!(
                "alert_threshold: expected more than 0 and less than the limit {}, found {number}",
                self.credit_limit
            )));
        }
        Ok(Some(self.unit.amount(number)))
    }

    fn window(&self, created_at: Timestamp) -> Result<Window, ConfigError> {
        let zone = match &self.zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| {
                ConfigError::new(format!("zone: expected an IANA time zone, such as Europe/Berlin, found {name:?}"))
            })?,
        };
        if self.zone.is_some() && self.periodic_reset.is_none() {
            return Err(ConfigError::new("zone: expected periodic_reset as well, which has days in this time zone"));
        }
        let calendar = |unit| Window::Calendar { unit, zone, fiscal_start: (1, 1) };
        match (self.periodic_reset, self.periodic_reset_days) {
            (Some(_), Some(_)) => {
                Err(ConfigError::new("periodic_reset and periodic_reset_days: expected one of them, found both"))
            }
            (Some(PeriodicReset::Weekly), None) => Ok(calendar(CalendarUnit::Week)),
            (Some(PeriodicReset::Monthly), None) => Ok(calendar(CalendarUnit::Month)),
            (None, Some(days @ 1..=MAX_RESET_DAYS)) => Ok(Window::Days { days, anchor: created_at }),
            (None, Some(days)) => {
                Err(ConfigError::new(format!("periodic_reset_days: expected 1 to {MAX_RESET_DAYS}, found {days}")))
            }
            (None, None) => Ok(Window::Days { days: FOR_EVER, anchor: created_at }),
        }
    }
}

/// Returns the type of a usage limit that counts a unit.
pub(crate) fn usage_type(unit: &LimitUnit) -> &str {
    match unit {
        LimitUnit::Cost => "cost",
        other => other.as_str(),
    }
}

/// Returns `true` if a window never ends in practice.
pub(crate) fn is_for_ever(window: &Window) -> bool {
    matches!(window, Window::Days { days: FOR_EVER, .. })
}
