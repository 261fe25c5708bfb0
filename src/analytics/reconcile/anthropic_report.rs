use jiff::Timestamp;
use serde_json::Value;

use crate::usage::Unit;

use super::{
    BilledLine, LineKey, ReportError,
    report_json::{amount, for_each_result, require_usd, text, utc_day},
};

const PROVIDER: &str = "anthropic";
const CENTS_PER_DOLLAR: f64 = 100.0;

/// Reads a page of Anthropic's cost report or of its usage report for messages.
///
/// Costs are [`/v1/organizations/cost_report`](https://platform.claude.com/docs/en/api/admin/cost_report). Group them by
/// `description`, which adds the model and the kind of tokens. Usage is
/// [`/v1/organizations/usage_report/messages`](https://platform.claude.com/docs/en/api/admin/usage_report/retrieve_messages),
/// with a `bucket_width` of `1d`, grouped by `model` and `service_tier`. To compare quantities too, pass the lines of both to
/// [`reconcile`](super::reconcile). The cost report lacks the priority tier. Lines that differ only by their context window or
/// by the region of the inference are added up.
///
/// # Errors
/// Returns an error if the text is not such a page, or has amounts in another currency.
pub fn anthropic_report(page: &str) -> Result<Vec<BilledLine>, ReportError> {
    let start = |bucket: &Value| text(bucket, "starting_at")?.parse::<Timestamp>().ok().map(utc_day);
    let mut lines = Vec::new();
    for_each_result(page, start, |day, result| {
        let key = LineKey::new(day, PROVIDER);
        let key = text(result, "model").map_or(key.clone(), |model| key.model(model));
        let key = text(result, "service_tier").map_or(key.clone(), |tier| key.service_tier(tier));
        if result.get("amount").is_some() {
            lines.push(cost(key, result)?);
        } else if result.get("output_tokens").is_some() {
            lines.extend(usage(&key, result));
        } else {
            return Err(ReportError::new("expected costs or usage of messages"));
        }
        Ok(())
    })?;
    Ok(lines)
}

fn cost(key: LineKey, result: &Value) -> Result<BilledLine, ReportError> {
    require_usd(text(result, "currency"))?;
    let amount = amount(result.get("amount").unwrap_or(&Value::Null), CENTS_PER_DOLLAR)?;
    let unit = match (text(result, "token_type"), text(result, "cost_type")) {
        (Some("uncached_input_tokens"), _) => Some(Unit::InputTokens),
        (Some("output_tokens"), _) => Some(Unit::OutputTokens),
        (Some("cache_read_input_tokens"), _) => Some(Unit::CacheReadTokens),
        (Some("cache_creation.ephemeral_5m_input_tokens"), _) => Some(Unit::CacheWriteTokens),
        (Some("cache_creation.ephemeral_1h_input_tokens"), _) => Some(Unit::CacheWrite1hTokens),
        (None, Some("web_search")) => Some(Unit::WebSearches),
        _ => None,
    };
    let line = BilledLine::new(LineKey { unit, ..key }).amount(amount);
    // What is not billed by tokens or searches has no counterpart among requests, so its name distinguishes it.
    let description = text(result, "description");
    let line = match (text(result, "cost_type"), description) {
        (Some(kind), _) if unit.is_none() && kind != "tokens" => {
            BilledLine { key: line.key.clone().model(kind), ..line }
        }
        _ => line,
    };
    Ok(match description {
        Some(name) => line.description(name),
        None => line,
    })
}

fn usage(key: &LineKey, result: &Value) -> Vec<BilledLine> {
    let count = |value: Option<&Value>, name: &str| value.and_then(|value| value.get(name)).and_then(Value::as_u64);
    let (writes, tools) = (result.get("cache_creation"), result.get("server_tool_use"));
    let quantities = [
        (Unit::InputTokens, count(Some(result), "uncached_input_tokens")),
        (Unit::OutputTokens, count(Some(result), "output_tokens")),
        (Unit::CacheReadTokens, count(Some(result), "cache_read_input_tokens")),
        (Unit::CacheWriteTokens, count(writes, "ephemeral_5m_input_tokens")),
        (Unit::CacheWrite1hTokens, count(writes, "ephemeral_1h_input_tokens")),
        (Unit::WebSearches, count(tools, "web_search_requests")),
    ];
    let known =
        quantities.into_iter().filter_map(|(unit, quantity)| Some((unit, quantity.filter(|count| *count > 0)?)));
    known
        .map(|(unit, quantity)| {
            // Searches are billed without a model and a tier.
            let is_search = unit == Unit::WebSearches;
            let key = if is_search { LineKey { model: None, service_tier: None, ..key.clone() } } else { key.clone() };
            BilledLine::new(key.unit(unit)).quantity(quantity)
        })
        .collect()
}
