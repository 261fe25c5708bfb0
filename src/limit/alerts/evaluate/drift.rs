use crate::{
    limit::alerts::{
        alert_kind::AlertKind,
        alert_rule::AlertRule,
        finding::{Finding, interval_start, timestamp},
        ledger_drift::LedgerDrift,
    },
    time::signed_micros,
};

use super::{Watch, thresholds::applies_to};

/// Returns the differences between the ledger and the stored requests that a check has reported.
pub(super) fn findings(rule: &AlertRule, watch: &Watch<'_>) -> Vec<Finding> {
    let drifts = watch.drifts.iter().filter(|drift| applies_to(rule, &drift.rule, &drift.group));
    drifts.filter_map(|drift| finding(rule, drift, watch)).collect()
}

#[allow(clippy::cast_precision_loss, reason = "thresholds are not exact beyond 52 bits")]
fn finding(rule: &AlertRule, drift: &LedgerDrift, watch: &Watch<'_>) -> Option<Finding> {
    let difference = drift.ledger.count().abs_diff(drift.rows.count()) as f64;
    let (now, from) = (signed_micros(watch.time), signed_micros(drift.from));
    (difference >= rule.threshold()).then(|| Finding {
        kind: AlertKind::Drift,
        subject: Some(drift.rule.name().to_owned()),
        group: drift.group.clone(),
        period: interval_start(now, rule.cooldown),
        cooldown: Some(rule.cooldown),
        threshold: rule.threshold(),
        used: drift.ledger.as_f64(),
        limit: Some(drift.rows.as_f64()),
        unit: drift.rows.unit().to_string(),
        from,
        to: now,
        headline: format!("budget {}: the ledger differs from the stored requests", drift.rule.title()),
        text: format!(
            "In the window from {}, the ledger has {}, and the stored requests add up to {}.",
            timestamp(from),
            drift.ledger,
            drift.rows
        ),
        top: Vec::new(),
        count: None,
        amount: None,
    })
}
