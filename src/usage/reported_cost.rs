//! Costs that providers and gateways report.

use serde_json::{Map, Value};

use super::{money::Money, price::Cost, response_report::ResponseReport};

/// Returns the cost that a gateway or the provider reported.
///
/// Responses from a gateway's cache cost nothing. LiteLLM reports costs in a header, which is used only for responses that
/// are not streams: the head of a stream is sent before the cost is known.
pub(super) fn reported_cost(provider: Option<&str>, report: &ResponseReport, is_stream: bool) -> Option<Cost> {
    if report.headers.is_from_cache {
        return Some(Cost::custom(Money::ZERO).parts(Money::ZERO, Money::ZERO).source("cache"));
    }
    let by_provider = || Some(Cost::custom(provider_cost(provider?, &report.usage)?).source("provider"));
    let by_litellm = || Some(Cost::custom(report.headers.cost.filter(|_| !is_stream)?).source("litellm"));
    by_provider().or_else(by_litellm)
}

/// Returns the cost in a provider's usage report. It covers more than tokens.
fn provider_cost(provider: &str, report: &Map<String, Value>) -> Option<Money> {
    match provider {
        "openrouter" | "vercel" => gateway_cost(report),
        "perplexity" => {
            let cost = report.get("cost")?.as_object()?;
            let is_usd = cost.get("currency").is_none_or(|currency| currency == "USD");
            dollars(cost.get("total_cost").filter(|_| is_usd)?)
        }
        // A dollar is ten billion ticks.
        "x-ai" => Some(Money::from_nano_usd(report.get("cost_in_usd_ticks")?.as_u64()?.saturating_add(5) / 10)),
        _ => None,
    }
}

/// Returns the fee of a gateway, plus the upstream provider's charge if the caller brought their own key.
fn gateway_cost(report: &Map<String, Value>) -> Option<Money> {
    let has_own_key = report.get("is_byok") == Some(&Value::Bool(true));
    let upstream = report.get("cost_details").and_then(|details| details.get("upstream_inference_cost"));
    let upstream = upstream.filter(|_| has_own_key).and_then(dollars);
    Some(dollars(report.get("cost")?)? + upstream.unwrap_or_default())
}

fn dollars(value: &Value) -> Option<Money> {
    Money::from_usd(value.as_f64()?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::provider_cost;

    fn cost(provider: &str, report: &Value) -> Option<String> {
        provider_cost(provider, report.as_object().unwrap()).map(|cost| cost.to_string())
    }

    #[test]
    fn adds_the_upstream_charge_only_for_callers_with_their_own_key() {
        let report =
            |is_byok: bool| json!({"cost": 0.5, "is_byok": is_byok, "cost_details": {"upstream_inference_cost": 2}});
        assert_eq!(cost("openrouter", &report(false)).as_deref(), Some("0.5"));
        assert_eq!(cost("openrouter", &report(true)).as_deref(), Some("2.5"));
    }

    #[test]
    fn ignores_other_currencies_and_invalid_amounts() {
        assert_eq!(cost("perplexity", &json!({"cost": {"total_cost": 1}})).as_deref(), Some("1"));
        assert_eq!(cost("perplexity", &json!({"cost": {"total_cost": 1, "currency": "EUR"}})), None);
        assert_eq!(cost("openrouter", &json!({"cost": -1})), None);
        assert_eq!(cost("openai", &json!({"cost": 1})), None);
    }

    #[test]
    fn rounds_ticks_to_nano_dollars() {
        assert_eq!(cost("x-ai", &json!({"cost_in_usd_ticks": 14})).as_deref(), Some("0.000000001"));
        assert_eq!(cost("x-ai", &json!({"cost_in_usd_ticks": 15})).as_deref(), Some("0.000000002"));
    }
}
