//! The JSON of an LLM call: the member `llm` of a serialized event.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use crate::time::micros;

use super::{
    cost_origin::CostOrigin,
    cost_status::CostStatus,
    llm_call::LlmCall,
    model_calls::ModelCalls,
    money::Money,
    operation::Operation,
    price::{CostLine, add_up},
    quantity::Quantity,
    signed_money::SignedMoney,
    unit::Unit,
    usage::Usage,
    usage_status::UsageStatus,
};

struct Quantities<'a>(&'a [Quantity]);

impl Serialize for Quantities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|quantity| (quantity.name(), quantity.amount())))
    }
}

impl Serialize for LlmCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("LlmCall", 25 + usize::from(!self.models.is_empty()))?;
        object.serialize_field("provider", &self.provider)?;
        object.serialize_field("operation", &self.operation.as_ref().map(Operation::as_str))?;
        object.serialize_field("request_model", &self.request_model)?;
        object.serialize_field("response_model", &self.response_model)?;
        object.serialize_field("response_id", &self.response_id)?;
        object.serialize_field("service_tier", &self.service_tier)?;
        object.serialize_field("response_tier", &self.response_tier)?;
        object.serialize_field("inference_geo", &self.inference_geo)?;
        object.serialize_field("stream", &self.stream)?;
        object.serialize_field("error", &self.error)?;
        object.serialize_field("usage_status", self.usage_status.as_str())?;
        object.serialize_field("usage", &self.usage)?;
        object.serialize_field("cost_status", self.cost_status.as_str())?;
        object.serialize_field("cost_origin", self.cost_origin.as_str())?;
        object.serialize_field("cost_usd", &self.cost)?;
        object.serialize_field("input_cost_usd", &self.input_cost)?;
        object.serialize_field("output_cost_usd", &self.output_cost)?;
        object.serialize_field("cost_lines", &self.cost_lines)?;
        object.serialize_field("cache_savings_usd", &self.cache_savings)?;
        object.serialize_field("price_source", &self.price_source.as_deref())?;
        object.serialize_field("calls", &self.calls)?;
        if !self.models.is_empty() {
            object.serialize_field("models", &self.models)?;
        }
        object.serialize_field("duration_us", &self.duration.map(micros))?;
        object.serialize_field("first_token_us", &self.first_token.map(micros))?;
        object.serialize_field("output_tokens_per_second", &self.output_tokens_per_second)?;
        object.serialize_field("quantities", &Quantities(&self.quantities))?;
        object.end()
    }
}

impl LlmCall {
    /// Reads the JSON that `Serialize` writes.
    ///
    /// The diagnostics of the call are not part of it. They are among the diagnostics of the event.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let owned = |name: &str| text(name).map(str::to_owned);
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        let money = |name: &str| {
            let amount = value.get(name).and_then(Value::as_f64).and_then(Money::from_usd);
            amount.map(|amount| amount.min(Self::MAX_COST))
        };
        let usage_status = text("usage_status")?;
        let cost_status = text("cost_status")?;
        Some(Self {
            provider: owned("provider"),
            operation: text("operation").map(Operation::of_name),
            request_model: owned("request_model"),
            response_model: owned("response_model"),
            response_id: owned("response_id"),
            service_tier: owned("service_tier"),
            response_tier: owned("response_tier"),
            inference_geo: owned("inference_geo"),
            stream: value.get("stream")?.as_bool()?,
            error: owned("error"),
            usage_status: *UsageStatus::ALL.iter().find(|status| status.as_str() == usage_status)?,
            usage: usage(value),
            cost_status: *CostStatus::ALL.iter().find(|status| status.as_str() == cost_status)?,
            cost_origin: text("cost_origin").map_or(Some(CostOrigin::Call), CostOrigin::from_name)?,
            cost: money("cost_usd"),
            cost_lines: cost_lines(value, money("cost_usd")),
            cache_savings: value.get("cache_savings_usd").and_then(Value::as_f64).and_then(SignedMoney::from_usd),
            input_cost: money("input_cost_usd"),
            output_cost: money("output_cost_usd"),
            price_source: text("price_source").map(Arc::from),
            calls: number("calls"),
            models: models(value),
            duration: number("duration_us").map(Duration::from_micros),
            first_token: number("first_token_us").map(Duration::from_micros),
            output_tokens_per_second: value.get("output_tokens_per_second").and_then(Value::as_f64),
            quantities: quantities(value),
            ..Self::unknown()
        })
    }
}

fn usage(call: &Value) -> Option<Usage> {
    let counts = call.get("usage")?.as_object()?;
    let known = Unit::ALL.iter().filter_map(|unit| Some((*unit, counts.get(unit.as_str())?.as_u64()?)));
    Some(known.fold(Usage::new(), |usage, (unit, count)| usage.with(unit, count)))
}

/// Reads lines that add up to the cost.
fn cost_lines(call: &Value, cost: Option<Money>) -> Option<Vec<CostLine>> {
    let lines: Vec<_> = call.get("cost_lines")?.as_array()?.iter().map(CostLine::from_json).collect::<Option<_>>()?;
    add_up(&lines, cost?).then_some(lines)
}

fn models(call: &Value) -> Vec<ModelCalls> {
    let models = call.get("models").and_then(Value::as_array).into_iter().flatten();
    models.filter_map(ModelCalls::from_json).collect()
}

fn quantities(call: &Value) -> Vec<Quantity> {
    let amounts = call.get("quantities").and_then(Value::as_object).into_iter().flatten();
    amounts.filter_map(|(name, amount)| Some(Quantity::new(name.clone(), amount.as_f64()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::usage::{Cost, CostLine, LlmCall, ModelCalls, Money, Operation, Quantity, SignedMoney, Unit, Usage};

    #[test]
    fn reads_what_it_writes() {
        let nanos = Money::from_nano_usd;
        let lines = [(Unit::InputTokens, 10, nanos(10)), (Unit::OutputTokens, 20, nanos(20))];
        let cost = Cost::custom(nanos(30))
            .parts(nanos(10), nanos(20))
            .lines(lines.map(|(unit, quantity, cost)| CostLine::new(unit, quantity, cost)))
            .cache_savings(SignedMoney::from_nano_usd(-5));
        let full = LlmCall::builder()
            .provider("openai")
            .operation(Operation::Other("moderation".into()))
            .request_model("gpt-4o")
            .response_model("gpt-4o-2024-08-06")
            .response_id("chatcmpl-1")
            .service_tier("flex")
            .stream(true)
            .error("overloaded")
            .usage(Usage::tokens(10, 20).with(Unit::WebSearches, 3))
            .cost(cost)
            .quantity(Quantity::new("rows", 2.5))
            .calls(2)
            .duration(Duration::from_micros(40))
            .time_to_first_token(Duration::from_micros(50))
            .output_tokens_per_second(60.5)
            .build();
        let of_model = ModelCalls {
            provider: Some("openai".to_owned()),
            operation: Some(Operation::Embeddings),
            model: Some("text-embedding-3-small".to_owned()),
            calls: 2,
            input_tokens: Some(10),
            output_tokens: None,
            cost: Some(Money::from_nano_usd(30)),
        };
        let full = LlmCall { models: vec![of_model], ..full };
        for call in [full, LlmCall::builder().build()] {
            let json = serde_json::to_value(&call).unwrap();
            assert_eq!(LlmCall::from_json(&json).as_ref(), Some(&call), "{json}");
        }
    }

    #[test]
    fn rejects_unknown_statuses() {
        let mut json = serde_json::to_value(LlmCall::builder().build()).unwrap();
        json["cost_status"] = "free".into();
        assert_eq!(LlmCall::from_json(&json), None);
    }
}
