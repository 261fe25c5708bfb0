use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    analytics::{Analytics, Grant, QueryError, RowQuery, row_pages::RowPages, row_usage::disjoint_counts},
    registry::Permission,
    row::EventRow,
    usage::{CostOrigin, Money, Unit},
};

use super::{
    LineKey, OurLine,
    tier::{STANDARD, billed_tier},
};

/// The largest number of lines that are held in memory.
const MAX_LINES: usize = 100_000;

/// Sums the stored LLM calls of a query by UTC day, provider, model, kind of usage, and service tier.
///
/// Takes the range and the conditions of the query. Reads the requests page by page. A cost that is not split by kind is in
/// a line without a kind. Several calls of a request whose service tiers differ, or are unknown, are in a line without a
/// tier. Calls without a provider are in lines of the provider `unknown`.
///
/// # Errors
/// Returns [`QueryError::TooLarge`] if there are more than 100,000 lines, and otherwise as [`Analytics::run`] does.
pub async fn our_lines(analytics: &Analytics, query: &RowQuery, grant: &Grant) -> Result<Vec<OurLine>, QueryError> {
    let mut lines = BTreeMap::new();
    let mut pages = RowPages::new(analytics, query, grant, Permission::AnalyticsView);
    while let Some(rows) = pages.next().await? {
        for row in rows.iter().filter(|row| row.usage_status.is_some()) {
            add(&mut lines, row)?;
            if lines.len() > MAX_LINES {
                return Err(QueryError::TooLarge(format!(
                    "there are more than {MAX_LINES} lines: use a shorter range or a filter"
                )));
            }
        }
    }
    Ok(lines.into_values().collect())
}

fn add(lines: &mut BTreeMap<LineKey, OurLine>, row: &EventRow) -> Result<(), QueryError> {
    let time = Timestamp::try_from(row.requested_at).map_err(|error| QueryError::invalid(error.to_string()))?;
    let key = LineKey {
        day: TimeZone::UTC.to_datetime(time).date(),
        provider: row.provider.clone().unwrap_or_else(|| "unknown".to_owned()),
        model: row.model.clone(),
        unit: None,
        service_tier: service_tier(row).map(str::to_owned),
    };
    let mut line = |unit: Option<Unit>, add: &dyn Fn(&mut OurLine)| {
        let key = LineKey { unit, ..key.clone() };
        let line = lines.entry(key.clone()).or_insert_with(|| OurLine::new(key));
        add(line);
    };
    match (row.total_cost_nanos, &row.cost_lines) {
        (Some(_), Some(known)) if !known.is_empty() => {
            for cost in known {
                line(Some(billed_unit(cost.unit)), &|line| line.add_priced(cost.quantity, cost.cost));
            }
        }
        (Some(total), _) => line(None, &|line| line.add_priced(0, Money::from_nano_usd(total))),
        (None, _) => {
            for (unit, count) in disjoint_counts(row) {
                line(Some(billed_unit(unit)), &|line| line.add_unpriced(count));
            }
        }
    }
    Ok(())
}

/// Returns the tier under which the provider bills the calls of a request. `None` if they may have several.
///
/// A tier that was only requested may not be the one that served the call.
fn service_tier(row: &EventRow) -> Option<&str> {
    let is_sum = row.cost_origin.as_deref() == Some(CostOrigin::SeveralCalls.as_str());
    let has_several_calls = is_sum || row.llm_calls.is_some_and(|calls| calls > 1);
    row.response_tier.as_deref().map(billed_tier).or((!has_several_calls).then_some(STANDARD))
}

/// Returns the kind under which providers bill a unit.
fn billed_unit(unit: Unit) -> Unit {
    match unit {
        Unit::ReasoningTokens => Unit::OutputTokens,
        Unit::CacheWrite5mTokens => Unit::CacheWriteTokens,
        unit => unit,
    }
}
