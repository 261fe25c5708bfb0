use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        policies::{Policy, PolicyCondition, PolicyForm, PolicyKey, unit_of},
        rules::LimitKind,
    },
    policies::Listed,
    usage_shape::CommonShape,
};

/// A rate limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RateLimitShape {
    id: String,
    /// Always `policy_rate_limits`.
    object: &'static str,
    name: Option<String>,
    description: Option<String>,
    conditions: Vec<PolicyCondition>,
    group_by: Vec<PolicyKey>,
    /// `requests`, `tokens`, `USD`, or the name of a quantity.
    #[serde(rename = "type")]
    quantity: String,
    /// `rps`, `rpm`, `rph`, `rpd`, `rpw`, `concurrent` for requests that run at the same time, or the seconds of another time.
    unit: String,
    value: f64,
    /// Always `llm`.
    target: &'static str,
    /// Always `active`.
    status: &'static str,
    #[serde(flatten)]
    common: CommonShape,
}

impl RateLimitShape {
    pub(super) fn new(listed: &Listed) -> Self {
        let rule = &*listed.rule;
        let description = match &listed.policy {
            Some(Policy { form: PolicyForm::Rate(form), .. }) => form.description.clone(),
            _ => None,
        };
        Self {
            id: rule.name().to_owned(),
            object: "policy_rate_limits",
            name: listed.name(),
            description,
            conditions: listed.conditions(),
            group_by: listed.group_by(),
            quantity: rule.unit().as_str().to_owned(),
            unit: unit_text(rule.kind()),
            value: value(rule.kind()),
            target: "llm",
            status: "active",
            common: CommonShape::new(listed),
        }
    }
}

/// Returns the unit of a rate.
pub(super) fn unit_text(kind: &LimitKind) -> String {
    match kind {
        LimitKind::Rate { per, .. } => {
            unit_of(*per).map_or_else(|| format!("{} s", per.as_secs_f64()), ToOwned::to_owned)
        }
        LimitKind::Concurrency { .. } => "concurrent".to_owned(),
        LimitKind::Budget { .. } => String::new(),
    }
}

/// Returns the number of a rate.
pub(super) fn value(kind: &LimitKind) -> f64 {
    match kind {
        LimitKind::Rate { amount, .. } | LimitKind::Budget { amount, .. } => amount.as_f64(),
        LimitKind::Concurrency { requests } => f64::from(*requests),
    }
}
