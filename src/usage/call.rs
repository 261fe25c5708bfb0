use std::{borrow::Cow, sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use crate::time::micros;

use super::{Money, Operation, Unit, Usage};

/// Whether the usage on an event is what the provider said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageStatus {
    /// The provider reported it.
    Reported,
    /// The stream ended before the provider reported the whole; what it said so far.
    Partial,
    /// The provider reported none.
    Absent,
    /// The response could not be read.
    Unparsed,
    /// Code recorded it.
    Recorded,
}

impl UsageStatus {
    /// Every status there is.
    pub const ALL: &'static [Self] = &[Self::Reported, Self::Partial, Self::Absent, Self::Unparsed, Self::Recorded];

    /// The name as it stands in a serialized event, such as `reported`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Partial => "partial",
            Self::Absent => "absent",
            Self::Unparsed => "unparsed",
            Self::Recorded => "recorded",
        }
    }
}

/// Whether the cost on an event is the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostStatus {
    /// All usage is priced.
    Priced,
    /// A part is: usage is partial, or one of several calls has no price.
    Partial,
    /// No price is known for the model, or the catalog can't price these counts of it.
    UnpricedModel,
    /// There is no usage to price.
    NoUsage,
    /// Pricing is switched off.
    Off,
}

impl CostStatus {
    /// Every status there is.
    pub const ALL: &'static [Self] = &[Self::Priced, Self::Partial, Self::UnpricedModel, Self::NoUsage, Self::Off];

    /// The name as it stands in a serialized event, such as `unpriced_model`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priced => "priced",
            Self::Partial => "partial",
            Self::UnpricedModel => "unpriced_model",
            Self::NoUsage => "no_usage",
            Self::Off => "off",
        }
    }
}

/// An amount of something that was used up beside tokens: rows, seconds, bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    pub(crate) name: Cow<'static, str>,
    pub(crate) amount: f64,
}

impl Quantity {
    /// What is counted.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much of it.
    pub fn amount(&self) -> f64 {
        self.amount
    }
}

/// The LLM usage and cost of a request; see [`Event::llm`](crate::Event::llm).
#[derive(Clone, Debug, PartialEq)]
pub struct LlmCall {
    pub(super) provider: Option<String>,
    pub(super) operation: Option<Operation>,
    pub(super) request_model: Option<String>,
    pub(super) response_model: Option<String>,
    pub(super) response_id: Option<String>,
    pub(super) service_tier: Option<String>,
    pub(super) stream: bool,
    pub(super) error: Option<String>,
    pub(super) usage_status: UsageStatus,
    pub(super) usage: Option<Usage>,
    pub(super) cost_status: CostStatus,
    pub(super) cost: Option<Money>,
    pub(super) input_cost: Option<Money>,
    pub(super) output_cost: Option<Money>,
    pub(super) price_source: Option<Arc<str>>,
    pub(super) quantities: Vec<Quantity>,
    pub(super) calls: Option<u64>,
    pub(super) duration: Option<Duration>,
    pub(super) first_token: Option<Duration>,
    pub(super) output_tokens_per_second: Option<f64>,
    /// What about the report does not add up, for the event's diagnostics.
    pub(super) inconsistencies: Vec<String>,
}

impl LlmCall {
    /// Who served it, by its id in the `genai-prices` catalog: `openai`, `anthropic`, `google`, …
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// What was asked for.
    pub fn operation(&self) -> Option<&Operation> {
        self.operation.as_ref()
    }

    /// The model that the client asked for. `None` when nothing read the request body: see
    /// [`RequestBodyLayer`](crate::tagging::RequestBodyLayer).
    pub fn request_model(&self) -> Option<&str> {
        self.request_model.as_deref()
    }

    /// The model that answered.
    pub fn response_model(&self) -> Option<&str> {
        self.response_model.as_deref()
    }

    /// The provider's id of the response.
    pub fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    /// The tier that served it, else the one that was asked for.
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// Whether the response was a stream; whether one was asked for, where there is none, or none that can be read.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// Returns the error that the provider reported inside a response, including responses with status 200: its type or
    /// code and its message, at most 256 characters.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Returns the number of LLM calls that the request made, if calls were rolled up to the request.
    pub fn calls(&self) -> Option<u64> {
        self.calls
    }

    /// Returns the time spent in the LLM calls of the request: the sum over rolled-up calls, otherwise the duration of the
    /// call itself.
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Whether [`usage`](Self::usage) is what the provider said.
    pub fn usage_status(&self) -> UsageStatus {
        self.usage_status
    }

    /// What was used, as far as it is known.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Whether [`cost`](Self::cost) is the whole.
    pub fn cost_status(&self) -> CostStatus {
        self.cost_status
    }

    /// What it cost. `None` where there is no price; never zero for want of one.
    pub fn cost(&self) -> Option<Money> {
        self.cost
    }

    /// What the input cost of it.
    pub fn input_cost(&self) -> Option<Money> {
        self.input_cost
    }

    /// What the output cost of it.
    pub fn output_cost(&self) -> Option<Money> {
        self.output_cost
    }

    /// Where the price comes from: a catalog and its version, `provider` or `custom`.
    pub fn price_source(&self) -> Option<&str> {
        self.price_source.as_deref()
    }

    /// What code recorded beside tokens.
    pub fn quantities(&self) -> &[Quantity] {
        &self.quantities
    }

    /// From the request head to the first event of a stream that bears content.
    pub fn time_to_first_token(&self) -> Option<Duration> {
        self.first_token
    }

    /// What about the report does not add up.
    pub(crate) fn inconsistencies(&self) -> &[String] {
        &self.inconsistencies
    }

    /// Output tokens for each second of a stream, from its first content to its end.
    pub fn output_tokens_per_second(&self) -> Option<f64> {
        self.output_tokens_per_second
    }
}

impl LlmCall {
    /// Reads what `Serialize` writes.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let owned = |name: &str| text(name).map(str::to_owned);
        let money = |name: &str| value.get(name).and_then(Value::as_f64).and_then(Money::from_usd);
        let usage = value.get("usage").and_then(Value::as_object).map(|counts| {
            let known = Unit::ALL.iter().filter_map(|unit| Some((*unit, counts.get(unit.as_str())?.as_u64()?)));
            known.fold(Usage::new(), |usage, (unit, count)| usage.with(unit, count))
        });
        let quantities = value.get("quantities").and_then(Value::as_object).into_iter().flatten();
        let usage_status = text("usage_status")?;
        let cost_status = text("cost_status")?;
        Some(Self {
            provider: owned("provider"),
            operation: text("operation").map(Operation::of_name),
            request_model: owned("request_model"),
            response_model: owned("response_model"),
            response_id: owned("response_id"),
            service_tier: owned("service_tier"),
            stream: value.get("stream")?.as_bool()?,
            error: owned("error"),
            calls: value.get("calls").and_then(Value::as_u64),
            duration: value.get("duration_us").and_then(Value::as_u64).map(Duration::from_micros),
            usage_status: *UsageStatus::ALL.iter().find(|status| status.as_str() == usage_status)?,
            usage,
            cost_status: *CostStatus::ALL.iter().find(|status| status.as_str() == cost_status)?,
            cost: money("cost_usd"),
            input_cost: money("input_cost_usd"),
            output_cost: money("output_cost_usd"),
            price_source: text("price_source").map(Arc::from),
            quantities: quantities
                .filter_map(|(name, amount)| Some(Quantity { name: name.clone().into(), amount: amount.as_f64()? }))
                .collect(),
            first_token: value.get("first_token_us").and_then(Value::as_u64).map(Duration::from_micros),
            output_tokens_per_second: value.get("output_tokens_per_second").and_then(Value::as_f64),
            // They stand among the event's diagnostics.
            inconsistencies: Vec::new(),
        })
    }
}

struct Quantities<'a>(&'a [Quantity]);

impl Serialize for Quantities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|quantity| (quantity.name(), quantity.amount)))
    }
}

impl Serialize for LlmCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("LlmCall", 20)?;
        object.serialize_field("provider", &self.provider)?;
        object.serialize_field("operation", &self.operation.as_ref().map(Operation::as_str))?;
        object.serialize_field("request_model", &self.request_model)?;
        object.serialize_field("response_model", &self.response_model)?;
        object.serialize_field("response_id", &self.response_id)?;
        object.serialize_field("service_tier", &self.service_tier)?;
        object.serialize_field("stream", &self.stream)?;
        object.serialize_field("error", &self.error)?;
        object.serialize_field("usage_status", self.usage_status.as_str())?;
        object.serialize_field("usage", &self.usage)?;
        object.serialize_field("cost_status", self.cost_status.as_str())?;
        object.serialize_field("cost_usd", &self.cost)?;
        object.serialize_field("input_cost_usd", &self.input_cost)?;
        object.serialize_field("output_cost_usd", &self.output_cost)?;
        object.serialize_field("price_source", &self.price_source.as_deref())?;
        object.serialize_field("calls", &self.calls)?;
        object.serialize_field("duration_us", &self.duration.map(micros))?;
        object.serialize_field("first_token_us", &self.first_token.map(micros))?;
        object.serialize_field("output_tokens_per_second", &self.output_tokens_per_second)?;
        object.serialize_field("quantities", &Quantities(&self.quantities))?;
        object.end()
    }
}
