use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    row::EventRow,
    usage::{CostLine, Money},
};

use super::log_shape::time_text;

/// The cost of a request, line by line. Amounts are US dollars as decimal numbers in text, without rounding.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogCost {
    id: String,
    created_at: String,
    trace_id: String,
    ai_org: Option<String>,
    ai_model: Option<String>,
    /// The service tier whose rates apply, if the response reported it.
    service_tier: Option<String>,
    /// `reported`, `partial`, `absent`, `unparsed`, or `recorded`. `null` if the request is not an LLM call.
    usage_status: Option<String>,
    /// `priced`, `partial`, `unpriced_model`, `no_usage`, or `off`. `null` if the request is not an LLM call.
    cost_status: Option<String>,
    /// `true` if this is an LLM call whose cost is unknown. A call that the provider refused has no cost.
    is_unpriced: bool,
    /// `call`, `recorded_call`, `several_calls`, `waived`, `reported`, or `recorded_cost`.
    cost_origin: Option<String>,
    /// The source of the prices: a catalog and its version, `provider`, or `custom`.
    price_source: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    /// The kinds of usage, whose costs add up to the total. `null` if the lines are not known.
    lines: Option<Vec<LogCostLine>>,
    /// `null` if it is unknown.
    input_cost_usd: Option<String>,
    /// `null` if it is unknown.
    output_cost_usd: Option<String>,
    /// The cost of the request. `null` if it is unknown.
    total_usd: Option<String>,
    /// Always `log-cost`.
    object: &'static str,
}

/// A kind of usage with its cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogCostLine {
    /// Such as `input_tokens`. Kinds are disjoint: cached tokens are not input tokens.
    unit: String,
    quantity: u64,
    /// The price of a million, which the cost implies. `null` if the quantity is 0.
    usd_per_million: Option<f64>,
    cost_usd: String,
}

impl LogCost {
    pub(crate) fn of(row: &EventRow) -> Self {
        let money = |nanos: Option<u64>| nanos.map(|nanos| Money::from_nano_usd(nanos).to_string());
        Self {
            id: row.id.to_string(),
            created_at: time_text(row.requested_at),
            trace_id: row.trace_id.clone(),
            ai_org: row.provider.clone(),
            ai_model: row.model.clone(),
            service_tier: row.response_tier.clone(),
            usage_status: row.usage_status.clone(),
            cost_status: row.cost_status.clone(),
            is_unpriced: row.is_unpriced(),
            cost_origin: row.cost_origin.clone(),
            price_source: row.price_source.clone(),
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            lines: row.cost_lines.as_ref().map(|lines| lines.iter().map(LogCostLine::of).collect()),
            input_cost_usd: money(row.input_cost_nanos),
            output_cost_usd: money(row.output_cost_nanos),
            total_usd: money(row.total_cost_nanos),
            object: "log-cost",
        }
    }
}

impl LogCostLine {
    #[allow(clippy::cast_precision_loss, reason = "the price is not exact")]
    fn of(line: &CostLine) -> Self {
        let nanos = line.cost.nano_usd() as f64;
        Self {
            unit: line.unit.as_str().to_owned(),
            quantity: line.quantity,
            // Nano-dollars per unit are thousandths of a dollar per million units.
            usd_per_million: (line.quantity > 0).then(|| nanos / line.quantity as f64 / 1e3),
            cost_usd: line.cost.to_string(),
        }
    }
}
