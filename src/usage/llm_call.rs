use std::{sync::Arc, time::Duration};

use super::{
    cost_origin::CostOrigin, cost_status::CostStatus, model_calls::ModelCalls, money::Money, operation::Operation,
    price::CostLine, quantity::Quantity, signed_money::SignedMoney, usage::Usage, usage_status::UsageStatus,
};

/// The LLM call of a request: model, usage, cost, and timing; see [`Event::llm`](crate::Event::llm).
///
/// Tests of sinks can build one:
///
/// ```
/// use tower_tagging::usage::{Cost, CostStatus, LlmCall, Money, Operation, Usage};
///
/// let call = LlmCall::builder()
///     .provider("openai")
///     .operation(Operation::Chat)
///     .response_model("gpt-4o-2024-08-06")
///     .usage(Usage::tokens(2_006, 300))
///     .cost(Cost::custom(Money::from_nano_usd(5_615_000)))
///     .build();
/// assert_eq!(call.usage().unwrap().output_tokens(), Some(300));
/// assert_eq!(call.cost_status(), CostStatus::Priced);
/// ```
///
/// Serializes as the member `llm` of an event, here without the counts that are unknown:
///
/// ```json
/// {"provider":"openai","operation":"chat","request_model":"gpt-4o","response_model":"gpt-4o-2024-08-06",
///  "response_id":"chatcmpl-1","service_tier":"default","response_tier":"default","inference_geo":null,"stream":true,
///  "error":null,"usage_status":"reported","usage":{"input_tokens":100,"output_tokens":300},"cost_status":"priced",
///  "cost_origin":"call","cost_usd":0.00325,"input_cost_usd":0.00025,"output_cost_usd":0.003,"cost_lines":[
///  {"unit":"input_tokens","quantity":100,"cost_usd":0.00025},{"unit":"output_tokens","quantity":300,"cost_usd":0.003}],
///  "cache_savings_usd":0,"price_source":"genai-prices 0.2","calls":null,"duration_us":4608000,"first_token_us":412000,
///  "output_tokens_per_second":71.5,"quantities":{}}
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LlmCall {
    pub(super) provider: Option<String>,
    pub(super) operation: Option<Operation>,
    pub(super) request_model: Option<String>,
    pub(super) response_model: Option<String>,
    pub(super) response_id: Option<String>,
    pub(super) service_tier: Option<String>,
    pub(super) response_tier: Option<String>,
    pub(super) inference_geo: Option<String>,
    pub(super) stream: bool,
    pub(super) error: Option<String>,
    pub(super) usage_status: UsageStatus,
    pub(super) usage: Option<Usage>,
    pub(super) cost_status: CostStatus,
    pub(super) cost_origin: CostOrigin,
    pub(super) cost: Option<Money>,
    pub(super) input_cost: Option<Money>,
    pub(super) output_cost: Option<Money>,
    pub(super) cost_lines: Option<Vec<CostLine>>,
    pub(super) cache_savings: Option<SignedMoney>,
    pub(super) price_source: Option<Arc<str>>,
    pub(super) quantities: Vec<Quantity>,
    pub(super) calls: Option<u64>,
    pub(super) models: Vec<ModelCalls>,
    pub(super) duration: Option<Duration>,
    pub(super) first_token: Option<Duration>,
    pub(super) output_tokens_per_second: Option<f64>,
    /// Contradictions in the reported or recorded counts.
    pub(super) inconsistencies: Vec<String>,
    /// The reason why the cost is not the computed one.
    pub(super) clamped: Option<String>,
    /// The call runs in the background, and its usage will be reported by another response.
    pub(super) is_pending: bool,
}

impl LlmCall {
    /// The largest cost of a single call: one million US dollars.
    ///
    /// A higher cost is an error in a price or a count. It is clamped to this amount, and the event gets the diagnostic
    /// [`CostClamped`](crate::metadata::DiagnosticCode::CostClamped).
    pub const MAX_COST: Money = Money::from_nano_usd(1_000_000 * 1_000_000_000);

    /// The largest count of a unit of usage that stores keep: 10¹².
    ///
    /// A larger count is an error of a provider, and would overflow sums. The event has it as it was reported, with the
    /// diagnostic [`UsageClamped`](crate::metadata::DiagnosticCode::UsageClamped).
    pub const MAX_USAGE: u64 = 1_000_000_000_000;

    /// Creates a call about which nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            provider: None,
            operation: None,
            request_model: None,
            response_model: None,
            response_id: None,
            service_tier: None,
            response_tier: None,
            inference_geo: None,
            stream: false,
            error: None,
            usage_status: UsageStatus::Absent,
            usage: None,
            cost_status: CostStatus::NoUsage,
            cost_origin: CostOrigin::Call,
            cost: None,
            input_cost: None,
            output_cost: None,
            cost_lines: None,
            cache_savings: None,
            price_source: None,
            quantities: Vec::new(),
            calls: None,
            models: Vec::new(),
            duration: None,
            first_token: None,
            output_tokens_per_second: None,
            inconsistencies: Vec::new(),
            clamped: None,
            is_pending: false,
        }
    }

    /// Returns `true` if the call runs in the background, so that another response will report its usage.
    pub(crate) fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Returns the approximate memory use, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        let names = [&self.provider, &self.request_model, &self.response_model, &self.response_id];
        let names = names.into_iter().chain([&self.service_tier, &self.response_tier, &self.inference_geo]);
        let texts = names.chain([&self.error]).flatten().map(String::capacity).sum::<usize>();
        let quantities = self.quantities.iter().map(|quantity| size_of::<Quantity>() + quantity.name().len());
        let models = self.models.iter().map(|of| size_of::<ModelCalls>() + of.heap_bytes()).sum::<usize>();
        size_of::<Self>()
            + models
            + self.cost_lines.as_ref().map_or(0, |lines| lines.capacity() * size_of::<CostLine>())
            + texts
            + self.usage.as_ref().map_or(0, Usage::approximate_bytes)
            + quantities.sum::<usize>()
    }

    /// Returns the id of the provider, such as `openai`, `anthropic`, or `google`.
    ///
    /// The ids are those of the `genai-prices` catalog.
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// Returns the requested operation.
    pub fn operation(&self) -> Option<&Operation> {
        self.operation.as_ref()
    }

    /// Returns the model that the client requested.
    ///
    /// `None` if nothing read the request body; see [`RequestBodyLayer`](crate::tagging::RequestBodyLayer).
    pub fn request_model(&self) -> Option<&str> {
        self.request_model.as_deref()
    }

    /// Returns the model that answered.
    pub fn response_model(&self) -> Option<&str> {
        self.response_model.as_deref()
    }

    /// Returns the provider's id of the response.
    pub fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    /// Returns the service tier of the response, or else the requested one.
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// Returns the service tier of the response, whose rates apply.
    pub fn response_tier(&self) -> Option<&str> {
        self.response_tier.as_deref()
    }

    /// Returns the region of the inference, such as `us`, if the provider reported it. Anthropic does.
    pub fn inference_geo(&self) -> Option<&str> {
        self.inference_geo.as_deref()
    }

    /// Returns `true` if the response was a stream.
    ///
    /// If there is no readable response, returns `true` if the client requested a stream.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// Returns the error that the provider reported inside a response, including responses with status 200.
    ///
    /// The text is the error's type or code and its message, at most 256 characters. A stream that ends before its last event
    /// is an error too, unless the client disconnected.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Rewrites the error.
    pub(crate) fn change_error(&mut self, change: impl FnOnce(&str) -> String) {
        self.error = self.error.take().map(|error| change(&error));
    }

    /// Returns the number of LLM calls that the request made, if calls were rolled up to the request.
    ///
    /// Then the operation, provider, and models of this call are those of the last one, and [`models`](Self::models)
    /// distinguishes them. The response id, the time to the first token (from the start of the call), and the rate are known
    /// only if there was a single call. The errors of calls are on their own events and spans, and do not make the request an
    /// error.
    pub fn calls(&self) -> Option<u64> {
        self.calls
    }

    /// Returns the rolled-up calls by provider, operation, and model, in the order of their first call.
    ///
    /// At most 256 kinds are distinguished. Empty unless calls were rolled up.
    pub fn models(&self) -> &[ModelCalls] {
        &self.models
    }

    /// Returns the time spent waiting for the LLM calls of the request.
    ///
    /// If calls were rolled up, this is the time in which at least one of them ran; the rest of the event's
    /// [`duration`](crate::Event::duration) is the latency of the service itself. Otherwise, it is the duration of the call
    /// itself. `None` if the usage was only recorded.
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Returns where the [`usage`](Self::usage) comes from, and whether it is complete.
    pub fn usage_status(&self) -> UsageStatus {
        self.usage_status
    }

    /// Returns `true` if the usage is missing or incomplete, and its cost is not known otherwise.
    pub(crate) fn lacks_usage(&self) -> bool {
        self.cost_status != CostStatus::Priced && !self.usage_status.is_complete()
    }

    /// Returns the known usage.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Returns whether the [`cost`](Self::cost) is known and covers the whole call.
    pub fn cost_status(&self) -> CostStatus {
        self.cost_status
    }

    /// Returns how the [`cost`](Self::cost) follows from the [`usage`](Self::usage).
    pub fn cost_origin(&self) -> CostOrigin {
        self.cost_origin
    }

    /// Returns the cost, at most [`MAX_COST`](Self::MAX_COST). `None` if it is unknown, never zero in its place.
    pub fn cost(&self) -> Option<Money> {
        self.cost
    }

    /// Returns the part of the cost that is due to input.
    pub fn input_cost(&self) -> Option<Money> {
        self.input_cost
    }

    /// Returns the part of the cost that is due to output.
    pub fn output_cost(&self) -> Option<Money> {
        self.output_cost
    }

    /// Returns the cost of each kind of usage, which add up to the cost. `None` if the price book does not split it.
    pub fn cost_lines(&self) -> Option<&[CostLine]> {
        self.cost_lines.as_deref()
    }

    /// Returns what reads from a prompt cache saved, minus what writes to it cost above the price of plain input.
    pub fn cache_savings(&self) -> Option<SignedMoney> {
        self.cache_savings
    }

    /// Returns the source of the price: a catalog with its version, `provider`, `cache`, or `custom`, joined by ` and `.
    pub fn price_source(&self) -> Option<&str> {
        self.price_source.as_deref()
    }

    /// Returns the quantities that code recorded with [`Tags::record_cost`](crate::Tags::record_cost).
    pub fn quantities(&self) -> &[Quantity] {
        &self.quantities
    }

    /// Returns the time from the request head to the first event of a stream that has content.
    pub fn time_to_first_token(&self) -> Option<Duration> {
        self.first_token
    }

    /// Returns the output tokens per second of a stream, from its first content to its end.
    pub fn output_tokens_per_second(&self) -> Option<f64> {
        self.output_tokens_per_second
    }
}
