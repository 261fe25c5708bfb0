use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::{
    analytics::{
        Grant,
        api::{KeyLimits, LimitsOfKey},
    },
    registry::VirtualKey,
    sync::lock,
};

use super::{
    super::{
        limiter::Limiter,
        policies::{KeyBudgets, usage_type},
        report::sees_rule,
        rules::{LimitKind, LimitMode, LimitRule},
        window::{CalendarUnit, Window},
    },
    rate_shape::unit_text,
};

/// The limits of virtual keys for `GET /virtual-keys`.
pub(super) struct LimitsOfKeys(pub(super) Limiter);

impl KeyLimits for LimitsOfKeys {
    fn limits<'a>(
        &'a self,
        keys: &'a [VirtualKey],
        grant: &'a Grant,
        now: SystemTime,
    ) -> BoxFuture<'a, Vec<LimitsOfKey>> {
        Box::pin(async move {
            let set = Arc::clone(&self.0.current());
            let exhausted = self.0.exhausted_keys(keys, now).await.unwrap_or_else(|error| {
                tracing::warn!(target: "tower_tagging::limit", %error, "the ledger failed to report the use of virtual keys");
                BTreeSet::new()
            });
            // The same limits as in the report.
            let is_shown = |rule: &&LimitRule| rule.mode == LimitMode::Enforce && sees_rule(grant, rule);
            let rules: Vec<&LimitRule> = set.rules().map(|compiled| &*compiled.rule).filter(is_shown).collect();
            let of_key = |key: &VirtualKey| {
                let selected = rules.iter().filter(|rule| KeyBudgets(rule).selects(key.slug()));
                // A budget of a part of the requests is not that of the key.
                let mut covering = rules.iter().filter(|rule| KeyBudgets(rule).covers(key));
                LimitsOfKey {
                    usage: covering.find_map(|rule| self.usage(rule)),
                    rates: selected.filter_map(|rule| rate(rule)).collect(),
                    is_exhausted: exhausted.contains(key.slug()),
                }
            };
            keys.iter().map(of_key).collect()
        })
    }
}

impl LimitsOfKeys {
    fn usage(&self, rule: &LimitRule) -> Option<Value> {
        let LimitKind::Budget { amount, window } = rule.kind() else { return None };
        let reset = match window {
            Window::Calendar { unit: CalendarUnit::Week, .. } => Some("weekly"),
            Window::Calendar { unit: CalendarUnit::Month, .. } => Some("monthly"),
            _ => None,
        };
        let alert_at = lock(&self.0.shared.stored.alerts).get(rule.name()).map(super::super::rules::Amount::as_f64);
        Some(json!({
            "type": usage_type(rule.unit()),
            "credit_limit": amount.as_f64(),
            "alert_threshold": alert_at,
            "periodic_reset": reset,
            "policy_id": rule.name(),
        }))
    }
}

fn rate(rule: &LimitRule) -> Option<Value> {
    let LimitKind::Rate { amount, .. } = rule.kind() else { return None };
    Some(json!({
        "type": usage_type(rule.unit()),
        "unit": unit_text(rule.kind()),
        "value": amount.as_f64(),
        "policy_id": rule.name(),
    }))
}
