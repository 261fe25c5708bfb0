use crate::{
    analytics::Measure,
    limit::alerts::{
        alert_error::AlertError,
        alert_kind::AlertKind,
        alert_rule::AlertRule,
        finding::{Contributor, Finding, interval_start, percent, timestamp},
    },
    store::{Dimension, Field, Totals},
};

use super::{Found, Watch, full_window::FullWindow};

/// The number of models that an alert names.
const MAX_TOP: u32 = 5;

/// Finds out whether too many LLM calls of the last full window have no known price.
pub(super) async fn found(rule: &AlertRule, key: &str, watch: &Watch<'_>) -> Result<Found, AlertError> {
    let window = FullWindow::before(watch.time, rule.window);
    let Some(window) = window.filter(|window| !watch.state.has_evaluated(key, window.to)) else {
        return Ok(Found::default());
    };
    let (range, measures) = (window.range()?, [Measure::LlmCalls, Measure::UnpricedRequests]);
    let scope = rule.scope();
    let totals = scope.total(watch.analytics, &range, &measures).await?;
    let mut found = Found { evaluated: Some(window.to), ..Found::default() };
    let share = share(&totals);
    if totals.unpriced == 0 || totals.llm_calls < rule.minimum_requests || share < rule.threshold() {
        return Ok(found);
    }
    let model = Dimension::from(Field::Model);
    let models = scope.largest(watch.analytics, &range, &model, &Measure::UnpricedRequests, MAX_TOP).await?;
    let mut models: Vec<(String, u64)> = models
        .into_iter()
        .map(|(model, totals)| (model, totals.unpriced))
        .filter(|(_, unpriced)| *unpriced > 0)
        .collect();
    models.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let top = models.into_iter().map(|(value, unpriced)| Contributor {
        dimension: model.clone(),
        value: Some(value),
        amount: number(unpriced),
        usual: None,
    });
    found.findings.push(finding(rule, window, &totals, share, top.collect()));
    Ok(found)
}

fn finding(rule: &AlertRule, window: FullWindow, totals: &Totals, share: f64, top: Vec<Contributor>) -> Finding {
    Finding {
        kind: AlertKind::Unpriced,
        subject: None,
        group: Vec::new(),
        period: interval_start(window.to, rule.cooldown),
        cooldown: Some(rule.cooldown),
        threshold: rule.threshold(),
        used: share,
        limit: None,
        unit: "share".to_owned(),
        from: window.from,
        to: window.to,
        headline: format!("{} % of LLM calls have no known price", percent(share)),
        text: format!(
            "From {} to {}, the cost of {} of {} LLM calls is unknown. Budgets do not count it.",
            timestamp(window.from),
            timestamp(window.to),
            totals.unpriced,
            totals.llm_calls
        ),
        top,
        count: None,
        amount: None,
    }
}

fn share(totals: &Totals) -> f64 {
    if totals.llm_calls == 0 { 0.0 } else { number(totals.unpriced) / number(totals.llm_calls) }
}

#[allow(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn number(count: u64) -> f64 {
    count as f64
}
