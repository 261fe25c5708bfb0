use std::{collections::BTreeMap, time::SystemTime};

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    analytics::api::time_text,
    time::{signed_micros, time_of_micros},
};

use super::{
    super::{
        limiter::LimitUsage,
        policies::{Excludes, Policy, PolicyCondition, PolicyForm, PolicyKey, Values, is_for_ever, key_of, usage_type},
        report::LimitSource,
        rules::{Condition, LimitKind},
        window::{CalendarUnit, Window},
    },
    policies::Listed,
};

/// A usage limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageLimitShape {
    id: String,
    /// Always `policy_usage_limits`.
    object: &'static str,
    name: Option<String>,
    description: Option<String>,
    conditions: Vec<PolicyCondition>,
    group_by: Vec<PolicyKey>,
    /// `cost`, `tokens`, `requests`, or the name of a quantity.
    #[serde(rename = "type")]
    unit: String,
    /// In US dollars, tokens, requests, or the quantity.
    credit_limit: f64,
    alert_threshold: Option<f64>,
    /// `weekly`, `monthly`, or `null`.
    periodic_reset: Option<&'static str>,
    periodic_reset_days: Option<u16>,
    /// The end of the current window. `null` if it never ends.
    next_usage_reset_at: Option<String>,
    /// The start of the current window.
    last_reset_at: Option<String>,
    /// The window as text, such as `month UTC`.
    window: String,
    /// Always `active`.
    status: &'static str,
    #[serde(flatten)]
    common: CommonShape,
    /// With `include_usage`: the usage of up to 1,000 groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_key_usage_map: Option<BTreeMap<String, UsageShape>>,
}

/// The common members of usage limits and rate limits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommonShape {
    workspace_id: Option<String>,
    /// Always `null`.
    organisation_id: Option<String>,
    /// `null` for limits from the configuration.
    created_at: Option<String>,
    last_updated_at: Option<String>,
    created_by: Option<String>,
    /// `api` or `config`.
    source: &'static str,
    /// `skip`, `deny`, or `bucket`.
    on_missing: &'static str,
    /// `allow` or `deny`.
    on_unpriced: &'static str,
    /// `allow` or `deny`.
    on_store_error: &'static str,
    /// `enforce`, `shadow`, or `off`.
    mode: &'static str,
    rejection_status: u16,
}

/// The usage of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageShape {
    current_usage: f64,
    /// `active` or `exhausted`.
    status: &'static str,
}

impl UsageLimitShape {
    pub(super) fn new(listed: &Listed, now: SystemTime) -> Self {
        let rule = &*listed.rule;
        let form = match &listed.policy {
            Some(Policy { form: PolicyForm::Usage(form), .. }) => Some(form),
            _ => None,
        };
        let (amount, window) = match rule.kind() {
            LimitKind::Budget { amount, window } => (amount.as_f64(), Some(window)),
            _ => (0.0, None),
        };
        let micros = signed_micros(now);
        let period = window.filter(|window| !is_for_ever(window)).map(|window| window.period(micros));
        let text = |micros: i64| time_text(time_of_micros(micros));
        Self {
            id: rule.name().to_owned(),
            object: "policy_usage_limits",
            name: listed.name(),
            description: form.and_then(|form| form.description.clone()),
            conditions: listed.conditions(),
            group_by: listed.group_by(),
            unit: usage_type(rule.unit()).to_owned(),
            credit_limit: amount,
            alert_threshold: form.and_then(|form| form.alert_threshold),
            periodic_reset: window.and_then(reset),
            periodic_reset_days: match window {
                Some(window @ Window::Days { days, .. }) if !is_for_ever(window) => Some(*days),
                _ => None,
            },
            next_usage_reset_at: period.map(|period| text(period.end)),
            last_reset_at: period.map(|period| text(period.from)),
            window: match window {
                Some(window) if is_for_ever(window) => "for ever".to_owned(),
                Some(window) => window.to_string(),
                None => String::new(),
            },
            status: "active",
            common: CommonShape::new(listed),
            value_key_usage_map: None,
        }
    }

    /// Adds the usage of groups.
    pub(super) fn with_usage(mut self, usage: BTreeMap<String, UsageShape>) -> Self {
        self.value_key_usage_map = Some(usage);
        self
    }
}

impl UsageShape {
    pub(super) fn new(current_usage: f64, is_exhausted: bool) -> Self {
        Self { current_usage, status: if is_exhausted { "exhausted" } else { "active" } }
    }
}

impl CommonShape {
    pub(super) fn new(listed: &Listed) -> Self {
        let rule = &*listed.rule;
        let record = listed.policy.as_ref().map(|policy| &policy.record);
        Self {
            workspace_id: listed.workspace(),
            organisation_id: None,
            created_at: record.map(|record| time_text(record.created_at)),
            last_updated_at: record.map(|record| time_text(record.updated_at)),
            created_by: record.and_then(|record| record.created_by.clone()),
            source: listed.source().as_str(),
            on_missing: rule.on_missing.as_str(),
            on_unpriced: rule.on_unpriced.as_str(),
            on_store_error: rule.on_store_error.as_str(),
            mode: rule.mode.as_str(),
            rejection_status: rule.status.as_u16(),
        }
    }
}

fn reset(window: &Window) -> Option<&'static str> {
    match window {
        Window::Calendar { unit: CalendarUnit::Week, .. } => Some("weekly"),
        Window::Calendar { unit: CalendarUnit::Month, .. } => Some("monthly"),
        _ => None,
    }
}

impl Listed {
    pub(super) fn source(&self) -> LimitSource {
        if self.policy.is_some() { LimitSource::Api } else { LimitSource::Config }
    }

    pub(super) fn name(&self) -> Option<String> {
        match &self.policy {
            Some(policy) => policy.form.name().map(ToOwned::to_owned),
            None => Some(self.rule.title().to_owned()),
        }
    }

    pub(super) fn conditions(&self) -> Vec<PolicyCondition> {
        if let Some(policy) = &self.policy {
            return policy.form.conditions().to_vec();
        }
        let shape = |condition: &Condition, excludes: Option<Excludes>| PolicyCondition {
            key: key_of(&condition.dimension),
            value: Values::Many(condition.patterns.iter().map(ToString::to_string).collect()),
            excludes,
        };
        let when = self.rule.when.iter().map(|condition| shape(condition, None));
        when.chain(self.rule.exclude.iter().map(|condition| shape(condition, Some(Excludes::Condition(true)))))
            .collect()
    }

    pub(super) fn group_by(&self) -> Vec<PolicyKey> {
        self.rule.group_by.iter().map(|dimension| PolicyKey { key: key_of(dimension) }).collect()
    }
}

/// Returns the text of a group as Portkey has it: pairs of key and value, joined by `-`, or `default` without groups.
pub(super) fn value_key(usage: &LimitUsage) -> String {
    let pairs = usage
        .group
        .iter()
        .map(|(dimension, value)| format!("{}:{}", key_of(dimension), value.as_deref().unwrap_or_default()));
    let text = pairs.collect::<Vec<_>>().join("-");
    if text.is_empty() { "default".to_owned() } else { text }
}
