use crate::{
    limit::alerts::{
        alert_condition::matches,
        alert_kind::AlertKind,
        alert_rule::AlertRule,
        finding::{Finding, interval_start, timestamp},
    },
    registry::KeyCounters,
    time::signed_micros,
};

use super::Watch;

/// Returns the callers of this process that sent too many tags that they may not set in the current window.
pub(super) fn findings(rule: &AlertRule, key: &str, watch: &Watch<'_>) -> Vec<Finding> {
    let Some(report) = watch.registry.map(crate::registry::Registry::report) else { return Vec::new() };
    let anonymous = (None, report.anonymous);
    let callers = report.keys.into_iter().map(|(name, counts)| (Some(name), counts)).chain([anonymous]);
    callers
        .filter(|(name, _)| is_watched(rule, name.as_deref()))
        .filter_map(|(name, counts)| finding(rule, key, name, counts, watch))
        .collect()
}

fn is_watched(rule: &AlertRule, name: Option<&str>) -> bool {
    let is_met = |condition: &super::super::alert_condition::AlertCondition| {
        name.is_some_and(|name| matches(&condition.condition.patterns, name))
    };
    rule.when.iter().all(is_met) && !rule.exclude.iter().any(is_met)
}

#[allow(clippy::cast_precision_loss, reason = "thresholds are not exact beyond 52 bits")]
fn finding(
    rule: &AlertRule,
    key: &str,
    name: Option<String>,
    counts: KeyCounters,
    watch: &Watch<'_>,
) -> Option<Finding> {
    let now = signed_micros(watch.time);
    let from = interval_start(now, rule.window);
    let count = counts.shadowed.saturating_add(counts.denied_claims);
    let state = serde_json::json!([key, name]).to_string();
    let attempts = watch.state.rise(&state, from, count) as f64;
    let caller = name.as_deref().map_or("callers without a key".to_owned(), |name| format!("API key {name}"));
    (attempts >= rule.threshold()).then(|| Finding {
        kind: AlertKind::Spoofing,
        subject: name,
        group: Vec::new(),
        period: interval_start(now, rule.cooldown),
        cooldown: Some(rule.cooldown),
        threshold: rule.threshold(),
        used: attempts,
        limit: None,
        unit: "tags".to_owned(),
        from,
        to: now,
        headline: format!("{caller}: {attempts} tags that the caller may not set"),
        text: format!(
            "Since {}, requests to one process had {attempts} tags that a trusted tag shadows, or that the claims of the key \
             do not allow. These tags had no effect.",
            timestamp(from)
        ),
        top: Vec::new(),
        count: None,
        amount: None,
    })
}
