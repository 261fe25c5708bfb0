use std::{collections::BTreeMap, time::SystemTime};

use crate::{
    analytics::{Analytics, Grant, Query, QueryError, RowQuery, row_pages::RowPages, row_usage::row_usage},
    registry::Permission,
    row::EventRow,
    usage::{BillableCall, CostOrigin, LlmCall, Money, PriceBook},
};

use super::{NotRepriced, RepriceOptions, Repriced, RepricedGroup, RepricedSums, repriced_sums::NewCost};

/// The largest number of groups that are held in memory.
const MAX_GROUPS: usize = 100_000;

/// Prices stored requests again, and compares the new cost with the old one by group.
///
/// Takes the range, the conditions, and the dimensions of the query, and ignores the rest of it. Reads the requests page by
/// page, so memory is bounded by the number of groups.
///
/// A request is priced as it was when it was recorded, so the same prices return exactly the same costs. Requests without an
/// exact new cost are counted by [reason](NotRepriced). The cost of a single call that a request made is
/// [approximate](RepricedSums::approximate), and counted as such. Responses from a gateway's cache, and calls that the provider does not
/// bill, cost nothing by any prices.
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
            total.add(old, &new);
            if query.group_by.is_empty() {
                continue;
            }
            let values = query.group_by.iter().map(|dimension| dimension.value(row).map(Into::into)).collect();
            groups.entry(values).or_default().add(old, &new);
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
fn new_cost(row: &EventRow, prices: &dyn PriceBook, options: &RepriceOptions) -> Result<NewCost, NotRepriced> {
    let free = NewCost { cost: Money::ZERO, is_approximate: false };
    let is_cached = row.price_source.as_deref() == Some("cache") && row.total_cost_nanos == Some(0);
    let has_own_model = options.model.is_none();
    match row.cost_origin.as_deref().and_then(CostOrigin::from_name).unwrap_or_default() {
        CostOrigin::Waived => return Ok(free),
        _ if is_cached => return Ok(free),
        CostOrigin::SeveralCalls => return Err(NotRepriced::SeveralCalls),
        CostOrigin::RecordedCost => return Err(NotRepriced::RecordedCost),
        CostOrigin::Reported if has_own_model => return Err(NotRepriced::ReportedCost),
        _ if row.llm_calls.is_some_and(|calls| calls > 1) => return Err(NotRepriced::SeveralCalls),
        _ => {}
    }
    let usage = row_usage(row);
    let is_known = matches!(row.usage_status.as_deref(), Some("reported" | "recorded"));
    // Rows hold at most this count.
    let is_exact = usage.iter().all(|(_, count)| count < LlmCall::MAX_USAGE);
    if !is_known || !is_exact || usage.is_empty() {
        return Err(NotRepriced::UsageUnknown);
    }
    let call = billable(row, options)?;
    let breakdown = call.price(prices, &usage);
    let cost = breakdown.cost.ok_or(NotRepriced::NoPrice)?;
    if !breakdown.covers_all_usage {
        return Err(NotRepriced::PartialPrice);
    }
    Ok(NewCost { cost: cost.total.min(LlmCall::MAX_COST), is_approximate: row.llm_calls.is_some() })
}

/// Returns the call as it was priced when it was recorded, except for the changes of the options.
fn billable<'a>(row: &'a EventRow, options: &'a RepriceOptions) -> Result<BillableCall<'a>, NotRepriced> {
    // What the client requested is not that of a call which code recorded.
    let is_recorded = row.cost_origin.as_deref() == Some(CostOrigin::RecordedCall.as_str());
    let requested = |text: &'a Option<String>| text.as_deref().filter(|_| !is_recorded);
    let (provider, response_model, request_model) = match &options.model {
        Some((provider, model)) => (Some(provider.as_str()), Some(model.as_str()), None),
        None => (row.provider.as_deref(), row.response_model.as_deref(), requested(&row.request_model)),
    };
    if response_model.or(request_model).is_none() {
        return Err(NotRepriced::ModelUnknown);
    }
    Ok(BillableCall {
        provider,
        operation: requested(&row.operation),
        response_model,
        request_model,
        service_tier: row.response_tier.as_deref(),
        inference_geo: row.inference_geo.as_deref(),
        time: options.at.and_then(|at| SystemTime::try_from(at).ok()).unwrap_or(row.requested_at),
        metadata: &row.raw_metadata,
    })
}
