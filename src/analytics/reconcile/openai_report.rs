use jiff::Timestamp;
use serde_json::Value;

use crate::usage::{SignedMoney, Unit};

use super::{
    BilledLine, LineKey, ReportError,
    report_json::{amount, for_each_result, require_usd, text, utc_day},
    tier::STANDARD,
};

const PROVIDER: &str = "openai";

/// Reads a page of OpenAI's costs or of its usage of completions.
///
/// Costs are [`/v1/organization/costs`](https://platform.openai.com/docs/api-reference/usage/costs). Group them by
/// `line_item`, which names the model and the kind of tokens. Usage is
/// [`/v1/organization/usage/completions`](https://platform.openai.com/docs/api-reference/usage/completions), with a
/// `bucket_width` of `1d`, grouped by `model`. To compare quantities too, pass the lines of both to
/// [`reconcile`](super::reconcile). Lines of several projects are added up. To compare one project, restrict the reports to it.
///
/// If a line item of the page names a service tier, the items of models without one are of the tier `standard`.
///
/// # Errors
/// Returns an error if the text is not such a page, or has amounts in another currency.
pub fn openai_report(page: &str) -> Result<Vec<BilledLine>, ReportError> {
    let start = |bucket: &Value| Timestamp::from_second(bucket.get("start_time")?.as_i64()?).ok().map(utc_day);
    let mut lines = Vec::new();
    for_each_result(page, start, |day, result| {
        let key = LineKey::new(day, PROVIDER);
        match text(result, "object") {
            Some("organization.costs.result") => lines.push(cost(key, result)?),
            Some("organization.usage.completions.result") => lines.extend(usage(&key, result)),
            other => return Err(ReportError::new(format!("expected costs or usage of completions, found {other:?}"))),
        }
        Ok(())
    })?;
    if lines.iter().any(|line| line.amount.is_some() && line.key.service_tier.is_some()) {
        for line in lines.iter_mut().filter(|line| line.description.as_deref().is_some_and(is_of_model)) {
            line.key.service_tier.get_or_insert_with(|| STANDARD.to_owned());
        }
    }
    Ok(lines)
}

fn cost(key: LineKey, result: &Value) -> Result<BilledLine, ReportError> {
    let money = result.get("amount").unwrap_or(&Value::Null);
    require_usd(text(money, "currency"))?;
    // A result without a value is an amount of zero.
    let amount = money.get("value").map_or(Ok(SignedMoney::ZERO), |value| amount(value, 1.0))?;
    let line_item = text(result, "line_item");
    let line = BilledLine::new(line_item.map_or(key.clone(), |name| key_of(key, name))).amount(amount);
    Ok(match line_item {
        Some(name) => line.description(name),
        None => line,
    })
}

/// Returns `true` if a line item names a model and a kind of tokens.
fn is_of_model(line_item: &str) -> bool {
    line_item.contains(", ")
}

/// Returns the key of a line item, such as `gpt-4o-2024-08-06, cached input` or `web search tool calls`.
fn key_of(key: LineKey, line_item: &str) -> LineKey {
    let lower = line_item.to_lowercase();
    let Some((model, kind)) = line_item.rsplit_once(", ") else {
        return match lower.as_str() {
            name if name.contains("web search") => key.unit(Unit::WebSearches),
            name if name.contains("file search") => key.unit(Unit::FileSearches),
            // Storage, images, and other items that are not calls of a model.
            _ => key.model(line_item),
        };
    };
    // The name of a line item may contain a tier, such as `batch input`.
    let (tiers, kind): (Vec<_>, Vec<_>) =
        kind.split(' ').map(str::to_lowercase).partition(|word| ["batch", "flex", "priority"].contains(&word.as_str()));
    let key = key.model(model);
    let key = tiers.first().map_or(key.clone(), |tier| key.service_tier(tier));
    match kind.join(" ").as_str() {
        "input" | "text input" => key.unit(Unit::InputTokens),
        "cached input" | "cached text input" => key.unit(Unit::CacheReadTokens),
        "cache write" | "cache writes" | "cache write input" => key.unit(Unit::CacheWriteTokens),
        "output" | "text output" => key.unit(Unit::OutputTokens),
        "audio input" => key.unit(Unit::InputAudioTokens),
        "audio output" => key.unit(Unit::OutputAudioTokens),
        "image input" => key.unit(Unit::InputImageTokens),
        "image output" => key.unit(Unit::OutputImageTokens),
        _ => key,
    }
}

fn usage(key: &LineKey, result: &Value) -> Vec<BilledLine> {
    let count = |name: &str| result.get(name).and_then(Value::as_u64).unwrap_or(0);
    let key = text(result, "model").map_or(key.clone(), |model| key.clone().model(model));
    let is_batch = result.get("batch") == Some(&Value::Bool(true));
    let tier = if is_batch { Some("batch") } else { text(result, "service_tier") };
    let key = tier.map_or(key.clone(), |tier| key.service_tier(tier));
    let (cached, written) = (count("input_cached_tokens"), count("input_cache_write_tokens"));
    let quantities = [
        (Unit::InputTokens, count("input_tokens").saturating_sub(cached.saturating_add(written))),
        (Unit::CacheReadTokens, cached),
        (Unit::CacheWriteTokens, written),
        (Unit::OutputTokens, count("output_tokens")),
    ];
    let known = quantities.into_iter().filter(|(_, quantity)| *quantity > 0);
    known.map(|(unit, quantity)| BilledLine::new(key.clone().unit(unit)).quantity(quantity)).collect()
}
