use crate::{
    analytics::Measure,
    limit::alerts::{
        alert_error::AlertError,
        alert_kind::AlertKind,
        alert_rule::AlertRule,
        finding::{Finding, interval_start, percent, timestamp},
    },
    store::Dimension,
};

use super::{Found, Watch, full_window::FullWindow};

/// The requests of a window, and those with the tag.
struct Covered {
    requests: u64,
    with_tag: u64,
    cost: u64,
    cost_with_tag: u64,
}

/// Compares the share of requests and of cost that carries a tag with the window before.
pub(super) async fn found(rule: &AlertRule, tag: &str, key: &str, watch: &Watch<'_>) -> Result<Found, AlertError> {
    let window = FullWindow::before(watch.time, rule.window);
    let Some(window) = window.filter(|window| !watch.state.has_evaluated(key, window.to)) else {
        return Ok(Found::default());
    };
    let now = covered(rule, tag, window, watch).await?;
    let before = covered(rule, tag, window.previous(), watch).await?;
    let mut found = Found { evaluated: Some(window.to), ..Found::default() };
    if now.requests < rule.minimum_requests || before.requests < rule.minimum_requests {
        return Ok(found);
    }
    let shares = [
        ("requests", share(now.with_tag, now.requests), share(before.with_tag, before.requests)),
        ("cost", share(now.cost_with_tag, now.cost), share(before.cost_with_tag, before.cost)),
    ];
    let drops = shares.into_iter().filter_map(|(of, now, before)| Some((of, now?, before?)));
    let largest = drops.max_by(|one, other| (one.2 - one.1).total_cmp(&(other.2 - other.1)));
    if let Some((of, now, before)) = largest.filter(|(_, now, before)| before - now >= rule.threshold()) {
        found.findings.push(finding(rule, tag, window, of, now, before));
    }
    Ok(found)
}

async fn covered(rule: &AlertRule, tag: &str, window: FullWindow, watch: &Watch<'_>) -> Result<Covered, AlertError> {
    let (range, measures) = (window.range()?, [Measure::Requests, Measure::Cost]);
    let mut scope = rule.scope();
    let all = scope.total(watch.analytics, &range, &measures).await?;
    scope.require(Dimension::tag(tag));
    let with_tag = scope.total(watch.analytics, &range, &measures).await?;
    Ok(Covered {
        requests: all.requests,
        with_tag: with_tag.requests,
        cost: all.cost_nanos,
        cost_with_tag: with_tag.cost_nanos,
    })
}

#[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn finding(rule: &AlertRule, tag: &str, window: FullWindow, of: &str, now: f64, before: f64) -> Finding {
    Finding {
        kind: AlertKind::Coverage,
        subject: Some(tag.to_owned()),
        group: Vec::new(),
        period: interval_start(window.to, rule.cooldown),
        cooldown: Some(rule.cooldown),
        threshold: rule.threshold(),
        used: now,
        limit: Some(before),
        unit: "share".to_owned(),
        from: window.from,
        to: window.to,
        headline: format!("tag {tag}: coverage dropped to {} % of {of}", percent(now)),
        text: format!(
            "From {} to {}, {} % of the {of} carried the tag {tag}. In the window before, it was {} %.",
            timestamp(window.from),
            timestamp(window.to),
            percent(now),
            percent(before)
        ),
        top: Vec::new(),
        count: None,
        amount: None,
    }
}
