use crate::{
    limit::alerts::{
        alert_kind::AlertKind,
        alert_rule::AlertRule,
        finding::{Finding, interval_start},
    },
    sink::SinkReport,
    time::signed_micros,
};

use super::Watch;

/// Returns the sinks of this process that dropped events which were not reported yet.
pub(super) fn findings(rule: &AlertRule, key: &str, watch: &Watch<'_>) -> Vec<Finding> {
    watch.delivery.report().sinks.iter().filter_map(|sink| finding(rule, key, sink, watch)).collect()
}

#[allow(clippy::cast_precision_loss, reason = "thresholds are not exact beyond 52 bits")]
fn finding(rule: &AlertRule, key: &str, sink: &SinkReport, watch: &Watch<'_>) -> Option<Finding> {
    let state = serde_json::json!([key, sink.name]).to_string();
    let dropped = sink.dropped();
    let lost = dropped.saturating_sub(watch.state.reported(&state)) as f64;
    if lost < rule.threshold() {
        return None;
    }
    let now = signed_micros(watch.time);
    let reasons: Vec<String> = sink.drops.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    Some(Finding {
        kind: AlertKind::SinkLoss,
        subject: Some(sink.name.clone()),
        group: Vec::new(),
        period: interval_start(now, rule.cooldown),
        cooldown: Some(rule.cooldown),
        threshold: rule.threshold(),
        used: lost,
        limit: None,
        unit: "events".to_owned(),
        from: now,
        to: now,
        headline: format!("sink {}: {lost} events lost", sink.name),
        text: format!(
            "One process dropped {lost} events since the last report. Since its start, it dropped {dropped}: {}.",
            reasons.join(", ")
        ),
        top: Vec::new(),
        count: Some((state, dropped)),
        amount: None,
    })
}
