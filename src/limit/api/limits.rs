use std::{collections::BTreeMap, time::SystemTime};

use axum::{Extension, Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    analytics::api::{ApiError, ApiState, Caller, LIMITS, Paging, time_text},
    registry::Permission,
};

use super::{
    super::{
        limiter::Limiter,
        policies::{key_of, usage_type},
        report::{BudgetEntry, RateEntry},
    },
    rate_shape::{unit_text, value},
};

/// Budgets by group, those with the largest used share first, and rates.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsShape {
    /// Always `list`.
    object: &'static str,
    /// The number of groups of budgets on all pages.
    total: u64,
    data: Vec<BudgetShape>,
    /// All rates. They are not paged.
    rates: Vec<RateShape>,
    /// The names of limits with more than 10,000 groups. Only the first 10,000 groups of each are in the report.
    truncated: Vec<String>,
}

/// The usage of a budget by a group in its current window. Amounts are US dollars, tokens, requests, or the quantity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetShape {
    /// The name of the limit.
    rule: String,
    title: String,
    /// `api` or `config`.
    source: &'static str,
    /// `enforce`, `shadow`, or `off`.
    mode: &'static str,
    /// `cost`, `tokens`, `requests`, or the name of a quantity.
    #[serde(rename = "type")]
    unit: String,
    /// The window as text.
    window: String,
    from: String,
    /// `null` if the window rolls, or never ends.
    to: Option<String>,
    /// The values of the group. `null` is a missing value.
    group: BTreeMap<String, Option<String>>,
    limit: f64,
    settled: f64,
    /// The amount that running requests have reserved.
    reserved: f64,
    remaining: f64,
    /// The used share of the limit, from 0 to 100 and above.
    used_percent: f64,
    /// The settled amount at the end of the window, if usage continues at its current speed. `null` for rolling windows, and
    /// for a window that has only begun.
    projection: Option<f64>,
    /// The requests that the limit rejected in the window. `null` if that is not known.
    rejected: Option<u64>,
}

/// A rate.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RateShape {
    rule: String,
    title: String,
    /// `api` or `config`.
    source: &'static str,
    /// `enforce`, `shadow`, or `off`.
    mode: &'static str,
    /// `requests`, `tokens`, or another quantity.
    #[serde(rename = "type")]
    quantity: String,
    /// `rps`, `rpm`, `rph`, `rpd`, `rpw`, `concurrent`, or the seconds of another time.
    unit: String,
    value: f64,
    group_by: Vec<String>,
    /// The requests that the limit rejected in the last 24 hours. `null` if that is not known.
    rejected_in_24_hours: Option<u64>,
}

/// Answers `GET /limits`.
pub(super) async fn limits(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
) -> Result<Json<LimitsShape>, ApiError> {
    let parameters = caller.require(Permission::AnalyticsView, LIMITS)?;
    let paging = Paging::read(&parameters)?;
    let length = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let page = (length(paging.skip), length(paging.size));
    let mut report = limiter.report(&caller.grant, parameters.get("rule"), page, SystemTime::now()).await?;
    let mut answers = Vec::new();
    for query in report.queries() {
        // What is not known is `null`.
        answers.push(api.analytics.run(&query, &caller.grant).await.ok());
    }
    report.add_rejections(&answers);
    Ok(Json(LimitsShape {
        object: "list",
        total: report.total as u64,
        data: report.budgets.iter().map(|entry| budget(entry, report.now)).collect(),
        rates: report.rates.iter().map(rate).collect(),
        truncated: report.cut.into_iter().map(|(name, _)| name).collect(),
    }))
}

fn budget(entry: &BudgetEntry, now: SystemTime) -> BudgetShape {
    let (usage, rule) = (&entry.usage, &entry.usage.rule);
    BudgetShape {
        rule: rule.name().to_owned(),
        title: rule.title().to_owned(),
        source: entry.source.as_str(),
        mode: rule.mode.as_str(),
        unit: usage_type(rule.unit()).to_owned(),
        window: entry.window_text(),
        from: time_text(usage.from),
        to: entry.end().map(time_text),
        group: usage.group.iter().map(|(dimension, value)| (key_of(dimension), value.clone())).collect(),
        limit: usage.limit.as_f64(),
        settled: usage.settled.as_f64(),
        reserved: usage.reserved.as_f64(),
        remaining: entry.remaining().as_f64(),
        used_percent: entry.share() * 100.0,
        projection: entry.projection(now).map(|amount| amount.as_f64()),
        rejected: entry.rejected,
    }
}

fn rate(entry: &RateEntry) -> RateShape {
    let rule = &entry.rule;
    RateShape {
        rule: rule.name().to_owned(),
        title: rule.title().to_owned(),
        source: entry.source.as_str(),
        mode: rule.mode.as_str(),
        quantity: usage_type(rule.unit()).to_owned(),
        unit: unit_text(rule.kind()),
        value: value(rule.kind()),
        group_by: rule.group_by.iter().map(key_of).collect(),
        rejected_in_24_hours: entry.rejected,
    }
}
