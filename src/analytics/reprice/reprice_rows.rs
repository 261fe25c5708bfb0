use std::{collections::BTreeMap, time::SystemTime};

use crate::{
    analytics::{Analytics, Grant, Query, QueryError, RowQuery, row_pages::RowPages, row_usage::row_usage},
    registry::Permission,
    row::EventRow,
    usage::{Money, PriceBook, PriceQuery},
};

use super::{NotRepriced, RepriceOptions, Repriced, RepricedGroup, RepricedSums};

/// The largest number of groups that are held in memory.
const MAX_GROUPS: usize = 100_000;

/// Prices stored requests again, and compares the new cost with the old one by group.
///
/// Takes the range, the conditions, and the dimensions of the query, and ignores the rest of it. Reads the requests page by
/// page, so memory is bounded by the number of groups.
///
/// Rows do not have the region of the inference. Surcharges for it are not part of the new cost. Responses from a gateway's
/// cache cost nothing by any prices.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_tagging::{
///     analytics::{Analytics, Field, Grant, Query, TimeRange, reprice::{RepriceOptions, reprice}},
///     store::MemoryStore,
///     usage::{Money, OverlayPrices, Rates, price_fn},
/// };
///
/// let analytics = Analytics::new(MemoryStore::new());
/// let june = TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "UTC")?;
/// let rates = Rates::per_million(Money::from_nano_usd(150_000_000), Money::from_nano_usd(600_000_000));
/// let offer = OverlayPrices::over(price_fn(|_| None)).with("openai", "gpt-4o", rates);
/// let query = Query::new(june).group_by(Field::Model);
/// let repriced = reprice(&analytics, &query, &offer, &RepriceOptions::new(), &Grant::everything()).await?;
/// assert_eq!(repriced.total.difference.nano_usd(), 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns [`QueryError::TooLarge`] if there are more than 100,000 groups, and otherwise as [`Analytics::run`] does.
pub async fn reprice(
    analytics: &Analytics,
    query: &Query,
    prices: &dyn PriceBook,
    options: &RepriceOptions,
    grant: &Grant,
) -> Result<Repriced, QueryError> {
    let mut rows = RowQuery::new(query.range.clone());
    rows.filters.clone_from(&query.filters);
    let mut pages = RowPages::new(analytics, &rows, grant, Permission::AnalyticsView);
    let mut total = RepricedSums::default();
    let mut groups: BTreeMap<Vec<Option<String>>, RepricedSums> = BTreeMap::new();
    while let Some(rows) = pages.next().await? {
        for row in rows.iter().filter(|row| row.usage_status.is_some()) {
            let old = row.total_cost_nanos.map(Money::from_nano_usd);
            let new = new_cost(row, prices, options);
            total.add(old, new);
            if query.group_by.is_empty() {
                continue;
            }
            let values = query.group_by.iter().map(|dimension| dimension.value(row).map(Into::into)).collect();
            groups.entry(values).or_default().add(old, new);
            if groups.len() > MAX_GROUPS {
                return Err(QueryError::TooLarge(format!(
                    "the answer has more than {MAX_GROUPS} groups: add a filter, or use fewer dimensions"
                )));
            }
        }
    }
    Ok(Repriced {
        group_by: query.group_by.iter().map(ToString::to_string).collect(),
        total,
        groups: groups.into_iter().map(|(values, sums)| RepricedGroup { values, sums }).collect(),
    })
}

/// Returns the cost of a request by the new prices.
fn new_cost(row: &EventRow, prices: &dyn PriceBook, options: &RepriceOptions) -> Result<Money, NotRepriced> {
    let source = row.price_source.as_deref().unwrap_or_default();
    if source == "cache" {
        return Ok(Money::ZERO);
    }
    if row.llm_calls.is_some_and(|calls| calls > 1) {
        return Err(NotRepriced::SeveralCalls);
    }
    if !matches!(row.usage_status.as_deref(), Some("reported" | "recorded")) {
        return Err(NotRepriced::UsageUnknown);
    }
    let usage = row_usage(row);
    // A cost that code recorded has no lines, and its name follows that of the price book.
    let has_recorded_cost = source.ends_with(" and custom") || (source == "custom" && !row.quantities.is_empty());
    if has_recorded_cost && row.cost_lines.is_none() {
        return Err(NotRepriced::RecordedCost);
    }
    if usage.is_empty() {
        return Err(NotRepriced::UsageUnknown);
    }
    let (provider, models) = match &options.model {
        Some((provider, model)) => (Some(provider.as_str()), [Some(model.as_str()), None]),
        None => (row.provider.as_deref(), models(row)),
    };
    if models.iter().all(Option::is_none) {
        return Err(NotRepriced::ModelUnknown);
    }
    let usage = usage.consistent();
    let price = |model| {
        prices.price(&PriceQuery {
            provider,
            requested_model: row.request_model.as_deref().filter(|_| options.model.is_none()),
            service_tier: row.service_tier.as_deref(),
            time: options.at.and_then(|at| SystemTime::try_from(at).ok()).unwrap_or(row.requested_at),
            metadata: Some(&row.raw_metadata),
            ..PriceQuery::new(None, model, &usage)
        })
    };
    let cost = models.into_iter().flatten().find_map(price).ok_or(NotRepriced::NoPrice)?;
    Ok(cost.total)
}

/// Returns the models to look up, in their order.
fn models(row: &EventRow) -> [Option<&str>; 2] {
    let provider = row.provider.as_deref();
    let mut models = [row.response_model.as_deref(), row.request_model.as_deref()];
    if provider == Some("aws") {
        // The requested model names the region, and the price depends on it.
        models.reverse();
    }
    models.map(|model| model.map(|model| PriceQuery::bare_model(provider, model)))
}
