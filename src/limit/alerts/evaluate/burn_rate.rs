use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    analytics::{Filter, Measure, TimeRange},
    limit::{
        alerts::{
            alert_error::AlertError,
            alert_kind::AlertKind,
            alert_rule::AlertRule,
            finding::{Finding, interval_start, timestamp},
            query_scope::QueryScope,
        },
        policies::is_for_ever,
        rules::{Amount, LimitKind, LimitMode, LimitRule, LimitUnit, OnMissing},
        window::Window,
    },
    store::{Field, Totals},
    time::signed_micros,
};

use super::{Found, Watch};

const SHORT: Duration = Duration::from_secs(60 * 60);
const LONG: Duration = Duration::from_secs(6 * 60 * 60);
/// How often rules are evaluated.
const STEP: Duration = Duration::from_secs(5 * 60);

/// Finds budgets whose speed of spending is too high both in the last hour and in the last six hours.
///
/// The long window ignores short peaks. The short one ends the alert soon after spending slows down. See
/// <https://sre.google/workbook/alerting-on-slos/>.
pub(super) async fn found(rule: &AlertRule, key: &str, watch: &Watch<'_>) -> Found {
    let now = interval_start(signed_micros(watch.time), STEP);
    let mut found = Found { evaluated: Some(now), ..Found::default() };
    if watch.state.has_evaluated(key, now) {
        return found;
    }
    for limit in watch.limiter.rules() {
        if limit.mode() != LimitMode::Off {
            // One budget that cannot be queried does not silence the others.
            match of_budget(rule, &limit, now, watch).await {
                Ok(findings) => found.findings.extend(findings),
                Err(error) => found.errors.push(error),
            }
        }
    }
    found
}

/// Returns the groups of a budget that burn too fast.
async fn of_budget(
    rule: &AlertRule,
    limit: &Arc<LimitRule>,
    now: i64,
    watch: &Watch<'_>,
) -> Result<Vec<Finding>, AlertError> {
    let LimitKind::Budget { window, .. } = limit.kind() else { return Ok(Vec::new()) };
    if is_for_ever(window) {
        // No speed lasts exactly as long as a window without an end.
        return Ok(Vec::new());
    }
    let measures: &[Measure] = match limit.unit() {
        LimitUnit::Cost => &[Measure::Cost],
        LimitUnit::Tokens => &[Measure::TotalTokens],
        LimitUnit::Requests => &[Measure::Requests],
        // Sums of recorded quantities are not stored.
        LimitUnit::Quantity(_) => return Ok(Vec::new()),
    };
    let mut scope = QueryScope::new(&limit.when, &limit.exclude);
    scope.extend(rule.scope());
    if *limit.unit() == LimitUnit::Requests {
        scope.filter(Filter::is_not(Field::Outcome, "rejected"));
    }
    let sums = |length: Duration| {
        let range = TimeRange::new(timestamp(now - micros(length)), timestamp(now));
        let scope = &scope;
        async move { Ok::<_, AlertError>(scope.sums(watch.analytics, &range?, limit.group_by(), measures).await?) }
    };
    let (long, short) = (sums(LONG).await?, sums(SHORT).await?);
    let limits: BTreeMap<_, _> = current_limits(limit, watch);
    let mut findings = Vec::new();
    for (group, totals) in long {
        if limit.on_missing != OnMissing::Bucket && group.iter().any(Option::is_none) {
            continue;
        }
        let amount = limits.get(&group).cloned().unwrap_or_else(|| limit.amount_at(watch.time));
        let used = [(used(limit, &totals), LONG), (short.get(&group).map_or(0, |totals| used(limit, totals)), SHORT)];
        let burn = used.map(|(used, length)| burn_rate(used, length, &amount, window, now));
        let burn = burn[0].min(burn[1]);
        if burn >= rule.threshold() {
            findings.push(finding(rule, limit, group, now, &amount, used[0].0, burn));
        }
    }
    Ok(findings)
}

/// Returns the limits of the groups that the ledger has, with raises and credits.
fn current_limits(limit: &Arc<LimitRule>, watch: &Watch<'_>) -> BTreeMap<Vec<Option<String>>, Amount> {
    let current = watch.usage.first().into_iter().flat_map(|(_, usages)| usages);
    let own = current.filter(|usage| usage.rule.name() == limit.name());
    own.map(|usage| (usage.group.iter().map(|(_, value)| value.clone()).collect(), usage.limit.clone())).collect()
}

fn used(limit: &LimitRule, totals: &Totals) -> u64 {
    match limit.unit() {
        LimitUnit::Cost => totals.cost_nanos,
        LimitUnit::Tokens => totals.input_tokens.saturating_add(totals.output_tokens),
        LimitUnit::Requests => totals.requests,
        LimitUnit::Quantity(_) => 0,
    }
}

/// Returns the factor by which spending is faster than the speed at which the budget lasts exactly as long as its window.
#[allow(clippy::cast_precision_loss, reason = "the rate is an estimate")]
fn burn_rate(used: u64, length: Duration, amount: &Amount, window: &Window, now: i64) -> f64 {
    let whole = match window {
        Window::Rolling(length) => length.as_secs_f64(),
        window => {
            let period = window.period(now);
            (period.end - period.from) as f64 / 1e6
        }
    };
    let sustainable = amount.count().max(1) as f64 / whole;
    (used as f64 / length.as_secs_f64()) / sustainable
}

fn finding(
    rule: &AlertRule,
    limit: &Arc<LimitRule>,
    group: Vec<Option<String>>,
    now: i64,
    amount: &Amount,
    used: u64,
    burn: f64,
) -> Finding {
    let used = Amount::of_count(limit.unit().clone(), i64::try_from(used).unwrap_or(i64::MAX));
    Finding {
        kind: AlertKind::BurnRate,
        subject: Some(limit.name().to_owned()),
        group: limit.group_by().iter().cloned().zip(group).collect(),
        period: interval_start(now, rule.cooldown),
        cooldown: Some(rule.cooldown),
        threshold: rule.threshold(),
        used: burn,
        limit: Some(1.0),
        unit: "burn rate".to_owned(),
        from: now - micros(LONG),
        to: now,
        headline: format!("budget {}: spending {burn:.1} times too fast", limit.title()),
        text: format!(
            "{used} were used in the last six hours. At the speed of the last hour and of the last six hours, the limit of \
             {amount} is reached at least {burn:.1} times in its window."
        ),
        top: Vec::new(),
        count: None,
        amount: None,
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}
