use std::time::Duration;

use jiff::{Span, Timestamp, tz::TimeZone};

use crate::{
    analytics::{Filter, Measure, TimeRange},
    limit::alerts::{
        alert_error::AlertError,
        alert_kind::AlertKind,
        alert_rule::AlertRule,
        finding::{Contributor, Finding, interval_start, timestamp},
        query_scope::QueryScope,
    },
    store::{Dimension, Field, Totals},
    usage::Money,
};

use super::{
    Found, Watch,
    full_window::FullWindow,
    statistics::{median, robust_z},
};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// The number of earlier weeks.
const WEEKS: i64 = 4;
/// The number of earlier weeks that must have data.
const MIN_WEEKS: usize = 3;
/// The smallest deviation, as a share of the usual cost or of the minimum cost.
const MIN_DEVIATION: f64 = 0.1;
/// The number of values that an alert names.
const MAX_TOP: usize = 5;
/// The number of values of a property that are compared.
const MAX_COMPARED: u32 = 50;

/// Compares the cost of the last full hour with that of the same hour of the week in earlier weeks.
pub(super) async fn found(rule: &AlertRule, key: &str, watch: &Watch<'_>) -> Result<Found, AlertError> {
    let hour = FullWindow::before(watch.time, HOUR).filter(|hour| !watch.state.has_evaluated(key, hour.to));
    let Some(hour) = hour else { return Ok(Found::default()) };
    let (scope, done) = (rule.scope(), Found { evaluated: Some(hour.to), ..Found::default() });
    let cost = cost_of(&scope, watch, &hour.range()?).await?;
    if cost < rule.minimum_cost {
        return Ok(done);
    }
    let earlier = earlier_hours(hour, watch.zone);
    let since = first_data(&scope, watch, &earlier, hour).await?;
    let mut costs = Vec::new();
    for range in earlier.iter().filter(|range| since.is_some_and(|since| range.from() >= since)) {
        costs.push(usd(cost_of(&scope, watch, range).await?));
    }
    if costs.len() < MIN_WEEKS {
        return Ok(done);
    }
    let usual = median(&costs).unwrap_or_default();
    let floor = MIN_DEVIATION * usual.max(usd(rule.minimum_cost));
    let z = robust_z(usd(cost), &costs, floor).unwrap_or_default();
    if z < rule.threshold() {
        return Ok(done);
    }
    let top =
        contributors(&scope, watch, &hour.range()?, earlier.get(earlier.len() - costs.len()..).unwrap_or_default())
            .await?;
    Ok(Found { findings: vec![finding(rule, hour, cost, usual, z, top)], ..done })
}

fn finding(rule: &AlertRule, hour: FullWindow, cost: u64, usual: f64, z: f64, top: Vec<Contributor>) -> Finding {
    Finding {
        kind: AlertKind::Anomaly,
        subject: None,
        group: Vec::new(),
        period: interval_start(hour.to, rule.cooldown),
        cooldown: Some(rule.cooldown),
        threshold: rule.threshold(),
        used: usd(cost),
        limit: Some(usual),
        unit: "USD".to_owned(),
        from: hour.from,
        to: hour.to,
        headline: "unusual cost in an hour".to_owned(),
        text: format!(
            "Requests of the hour from {} cost {} USD. In the same hour of earlier weeks, they cost {} USD (median). \
             The robust z-score is {z:.1}.",
            timestamp(hour.from),
            Money::from_nano_usd(cost),
            Money::from_usd(usual).unwrap_or_default(),
        ),
        top,
        count: None,
        amount: None,
    }
}

/// Returns the same hour of the week in earlier weeks on the clocks of a zone, the oldest first.
fn earlier_hours(hour: FullWindow, zone: &TimeZone) -> Vec<TimeRange> {
    let weeks_before = |micros: i64, weeks: i64| -> Option<Timestamp> {
        let local = zone.to_datetime(timestamp(micros)).checked_sub(Span::new().try_weeks(weeks).ok()?).ok()?;
        zone.to_timestamp(local).ok()
    };
    let range = |weeks| {
        let from = weeks_before(hour.from, weeks)?;
        // An hour that the clocks skip or repeat still has one hour.
        let to = from.checked_add(HOUR).ok()?;
        TimeRange::new(from, to).ok()
    };
    (1..=WEEKS).rev().filter_map(range).collect()
}

/// Returns the start of the hour of the first request since the oldest of the earlier hours began.
async fn first_data(
    scope: &QueryScope,
    watch: &Watch<'_>,
    earlier: &[TimeRange],
    hour: FullWindow,
) -> Result<Option<Timestamp>, AlertError> {
    let Some(oldest) = earlier.first() else { return Ok(None) };
    let range = TimeRange::new(oldest.from(), timestamp(hour.from))?;
    let totals = scope.total(watch.analytics, &range, &[Measure::Requests, Measure::FirstSeen]).await?;
    let first = i64::try_from(totals.first_seen_micros).unwrap_or(i64::MAX);
    Ok((totals.requests > 0).then(|| timestamp(interval_start(first, HOUR))))
}

async fn cost_of(scope: &QueryScope, watch: &Watch<'_>, range: &TimeRange) -> Result<u64, AlertError> {
    Ok(scope.total(watch.analytics, range, &[Measure::Cost]).await?.cost_nanos)
}

/// Returns the values of active keys and models whose cost rose the most.
async fn contributors(
    scope: &QueryScope,
    watch: &Watch<'_>,
    range: &TimeRange,
    earlier: &[TimeRange],
) -> Result<Vec<Contributor>, AlertError> {
    let keys = watch.analytics.keys().await?.into_iter().filter(|key| key.is_active);
    let dimensions = keys.map(|key| Dimension::tag(key.name)).chain([Field::Model.into()]);
    let mut risen: Vec<Contributor> = Vec::new();
    for dimension in dimensions {
        risen.extend(risen_values(scope, watch, range, earlier, &dimension).await?);
    }
    let rise = |top: &Contributor| top.amount - top.usual.unwrap_or_default();
    risen.retain(|top| rise(top) > 0.0);
    risen.sort_by(|one, other| {
        rise(other)
            .total_cmp(&rise(one))
            .then_with(|| (&one.dimension, &one.value).cmp(&(&other.dimension, &other.value)))
    });
    risen.truncate(MAX_TOP);
    Ok(risen)
}

/// Compares the most expensive values of a property with their average in earlier hours.
async fn risen_values(
    scope: &QueryScope,
    watch: &Watch<'_>,
    range: &TimeRange,
    earlier: &[TimeRange],
    dimension: &Dimension,
) -> Result<Vec<Contributor>, AlertError> {
    let by = [dimension.clone()];
    let now = scope.largest(watch.analytics, range, dimension, &Measure::Cost, MAX_COMPARED).await?;
    if now.is_empty() {
        return Ok(Vec::new());
    }
    let mut usual = vec![0; now.len()];
    let mut known = scope.clone();
    known.filter(Filter::In(dimension.clone(), now.keys().cloned().collect()));
    for range in earlier {
        let sums = known.sums(watch.analytics, range, &by, &[Measure::Cost]).await?;
        for (value, usual) in now.keys().zip(&mut usual) {
            *usual += sums.get(&vec![Some(value.clone())]).map_or(0, |totals| totals.cost_nanos);
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "there are at most four")]
    let hours = earlier.len().max(1) as f64;
    let contributor = |((value, totals), usual): ((String, Totals), u64)| Contributor {
        dimension: dimension.clone(),
        value: Some(value),
        amount: usd(totals.cost_nanos),
        usual: Some(usd(usual) / hours),
    };
    Ok(now.into_iter().zip(usual).map(contributor).collect())
}

fn usd(nanos: u64) -> f64 {
    Money::from_nano_usd(nanos).usd()
}
