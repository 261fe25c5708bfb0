use std::time::{Duration, SystemTime};

use crate::{
    limit::{
        alerts::{
            alert_kind::AlertKind,
            alert_rule::AlertRule,
            finding::{Finding, interval_start, percent, timestamp},
        },
        limiter::LimitUsage,
        rules::{Amount, LimitKind, LimitMode, LimitRule},
        window::Window,
    },
    registry::Glob,
    time::signed_micros,
};

use super::Watch;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns each threshold that a group of a budget has reached. All of them are found as long as this is so.
pub(super) fn findings(rule: &AlertRule, name: &str, watch: &Watch<'_>) -> Vec<Finding> {
    let usages = watch.usages().filter(|(_, usage)| is_named(name, usage.rule.name()) && applies(rule, usage));
    usages.flat_map(|(time, usage)| reached(rule, usage, time)).collect()
}

/// Returns each amount of a limit from the store that a group has reached.
pub(in crate::limit::alerts) fn stored_amounts(watch: &Watch<'_>) -> Vec<Finding> {
    let amounts = watch.limiter.stored_alerts();
    let usages = watch.usages().filter_map(|(time, usage)| Some((time, usage, amounts.get(usage.rule.name())?)));
    usages.filter_map(|(time, usage, amount)| stored_amount(usage, amount, time)).collect()
}

#[allow(clippy::cast_precision_loss, reason = "thresholds are not exact beyond 52 bits")]
fn stored_amount(usage: &LimitUsage, amount: &Amount, time: SystemTime) -> Option<Finding> {
    // A reset adds what was used to the limit. The amount counts from there.
    let credit = usage.limit.count().saturating_sub(usage.rule.amount_at(time).count());
    let reached = amount.count().saturating_add(credit);
    (usage.settled.count() >= reached).then(|| Finding {
        headline: format!("budget {}: {amount} used", usage.rule.title()),
        amount: Some(amount.count()),
        ..finding(usage, reached as f64 / usage.limit.count().max(1) as f64, time)
    })
}

/// Returns `true` if a name, or a pattern with `*`, selects a rule.
pub(in crate::limit::alerts) fn is_named(name: &str, rule: &str) -> bool {
    name == rule || name.contains('*') && Glob::parse(name).is_some_and(|glob| glob.matches(rule))
}

fn applies(rule: &AlertRule, usage: &LimitUsage) -> bool {
    applies_to(rule, &usage.rule, &usage.group)
}

/// Returns `false` if the conditions of an alert exclude a group. Conditions that nothing decides do not restrict.
pub(super) fn applies_to(
    alert: &AlertRule,
    rule: &LimitRule,
    group: &[(crate::store::Dimension, Option<String>)],
) -> bool {
    alert.when.iter().all(|condition| condition.on_group(rule, group) != Some(false))
        && alert.exclude.iter().all(|condition| condition.on_group(rule, group) != Some(true))
}

#[allow(clippy::cast_precision_loss, reason = "thresholds are not exact beyond 52 bits")]
fn reached(rule: &AlertRule, usage: &LimitUsage, time: SystemTime) -> Vec<Finding> {
    let (settled, limit) = (usage.settled.count(), usage.limit.count().max(0));
    let is_reached = |threshold: &&f64| settled > 0 && settled as f64 >= **threshold * limit as f64;
    rule.thresholds.iter().filter(is_reached).map(|threshold| finding(usage, *threshold, time)).collect()
}

fn finding(usage: &LimitUsage, threshold: f64, time: SystemTime) -> Finding {
    let (from, to) = (signed_micros(usage.from), signed_micros(usage.to));
    // The start of a rolling window moves all the time.
    let period = match usage.rule.kind() {
        LimitKind::Budget { window: Window::Rolling(_), .. } => interval_start(signed_micros(time), DAY),
        _ => from,
    };
    let (used, limit) = (usage.settled.as_f64(), usage.limit.as_f64());
    let share = if limit > 0.0 { format!(" ({} %)", percent(used / limit)) } else { String::new() };
    let shadow = if usage.rule.mode() == LimitMode::Shadow { " The rule is in shadow mode." } else { "" };
    Finding {
        kind: AlertKind::Limit,
        subject: Some(usage.rule.name().to_owned()),
        group: usage.group.clone(),
        period,
        cooldown: None,
        threshold,
        used,
        limit: Some(limit),
        unit: usage.limit.unit().to_string(),
        from,
        to,
        headline: format!("budget {}: {} % used", usage.rule.title(), percent(threshold)),
        text: format!(
            "{} of {} are used{share}, in the window from {} to {}.{shadow}",
            usage.settled,
            usage.limit,
            timestamp(from),
            timestamp(to)
        ),
        top: Vec::new(),
        count: None,
        amount: None,
    }
}
