use std::{sync::Arc, time::Duration};

use super::{
    cost_origin::CostOrigin, cost_status::CostStatus, llm_call::LlmCall, operation::Operation, price::Cost,
    quantity::Quantity, usage::Usage, usage_status::UsageStatus,
};

/// Builds an [`LlmCall`], for code that creates events, such as tests of sinks.
///
/// Everything is unknown until it is set.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LlmCallBuilder {
    call: LlmCall,
}

impl LlmCall {
    /// Returns a builder for a call.
    pub fn builder() -> LlmCallBuilder {
        LlmCallBuilder { call: Self::unknown() }
    }
}

impl LlmCallBuilder {
    /// Sets the provider, by its id in the price catalog, such as `openai`.
    pub fn provider(mut self, provider: impl Into<String>) -> Self {
        self.call.provider = Some(provider.into());
        self
    }

    /// Sets the requested operation.
    pub fn operation(mut self, operation: Operation) -> Self {
        self.call.operation = Some(operation);
        self
    }

    /// Sets the model that the client requested.
    pub fn request_model(mut self, model: impl Into<String>) -> Self {
        self.call.request_model = Some(model.into());
        self
    }

    /// Sets the model that answered.
    pub fn response_model(mut self, model: impl Into<String>) -> Self {
        self.call.response_model = Some(model.into());
        self
    }

    /// Sets the provider's id of the response.
    pub fn response_id(mut self, id: impl Into<String>) -> Self {
        self.call.response_id = Some(id.into());
        self
    }

    /// Sets the service tier of the response, such as `flex`.
    pub fn service_tier(mut self, tier: impl Into<String>) -> Self {
        let tier = tier.into();
        self.call.response_tier = Some(tier.clone());
        self.call.service_tier = Some(tier);
        self
    }

    /// Sets the region of the inference, such as `us`.
    pub fn inference_geo(mut self, geo: impl Into<String>) -> Self {
        self.call.inference_geo = Some(geo.into());
        self
    }

    /// Sets whether the response was a stream. The default is `false`.
    pub fn stream(mut self, stream: bool) -> Self {
        self.call.stream = stream;
        self
    }

    /// Sets the error that the provider reported inside the response.
    pub fn error(mut self, error: impl Into<String>) -> Self {
        self.call.error = Some(error.into());
        self
    }

    /// Sets the usage, with the status [`Reported`](UsageStatus::Reported).
    pub fn usage(mut self, usage: Usage) -> Self {
        self.call.usage = Some(usage);
        self.usage_status(UsageStatus::Reported)
    }

    /// Sets the usage status. The default is [`Absent`](UsageStatus::Absent), or `Reported` after [`usage`](Self::usage).
    pub fn usage_status(mut self, status: UsageStatus) -> Self {
        self.call.usage_status = status;
        self
    }

    /// Sets the cost with its parts and its source, and the status [`Priced`](CostStatus::Priced).
    ///
    /// A cost above [`LlmCall::MAX_COST`] is clamped when the call is built. If no price book returned the cost, set its
    /// [origin](Self::cost_origin) too, so that stored requests with it are not priced again.
    pub fn cost(mut self, cost: Cost) -> Self {
        let Cost { total, input, output, lines, cache_savings, source } = cost;
        (self.call.cost_lines, self.call.cache_savings) = (lines, cache_savings);
        (self.call.cost, self.call.input_cost, self.call.output_cost) = (Some(total), input, output);
        self.call.price_source = Some(source);
        self.cost_status(CostStatus::Priced)
    }

    /// Sets the cost status. The default is [`NoUsage`](CostStatus::NoUsage), or `Priced` after [`cost`](Self::cost).
    pub fn cost_status(mut self, status: CostStatus) -> Self {
        self.call.cost_status = status;
        self
    }

    /// Sets how the cost follows from the usage. The default is [`Call`](CostOrigin::Call).
    pub fn cost_origin(mut self, origin: CostOrigin) -> Self {
        self.call.cost_origin = origin;
        self
    }

    /// Sets the source of the price alone, for a call without a cost.
    pub fn price_source(mut self, source: impl Into<Arc<str>>) -> Self {
        self.call.price_source = Some(source.into());
        self
    }

    /// Adds a quantity.
    pub fn quantity(mut self, quantity: Quantity) -> Self {
        self.call.quantities.push(quantity);
        self
    }

    /// Sets the number of calls that were rolled up.
    pub fn calls(mut self, calls: u64) -> Self {
        self.call.calls = Some(calls);
        self
    }

    /// Sets the time spent in LLM calls.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.call.duration = Some(duration);
        self
    }

    /// Sets the time from the request head to the first content of a stream.
    pub fn time_to_first_token(mut self, time: Duration) -> Self {
        self.call.first_token = Some(time);
        self
    }

    /// Sets the output tokens per second of a stream.
    pub fn output_tokens_per_second(mut self, rate: f64) -> Self {
        self.call.output_tokens_per_second = Some(rate);
        self
    }

    /// Builds the call.
    #[must_use]
    pub fn build(mut self) -> LlmCall {
        self.call.clamp_cost();
        self.call.round_times();
        self.call
    }
}

#[cfg(test)]
mod tests {
    use crate::{metadata::DiagnosticCode, usage::Money};

    use super::{Cost, CostStatus, LlmCall, Usage, UsageStatus};

    #[test]
    fn derives_statuses_from_usage_and_cost() {
        let call = LlmCall::builder().build();
        assert_eq!((call.usage_status(), call.cost_status()), (UsageStatus::Absent, CostStatus::NoUsage));
        let call = LlmCall::builder().usage(Usage::tokens(1, 2)).cost(Cost::custom(Money::ZERO)).build();
        assert_eq!((call.usage_status(), call.cost_status()), (UsageStatus::Reported, CostStatus::Priced));
        assert_eq!(call.price_source(), Some("custom"));
    }

    #[test]
    fn clamps_costs_above_a_million_dollars() {
        let cost = |dollars: &str| Cost::custom(dollars.parse().unwrap()).parts(Money::ZERO, dollars.parse().unwrap());
        let call = LlmCall::builder().cost(cost("1000000")).build();
        assert_eq!(call.clone().take_diagnostics().count(), 0);
        let call = LlmCall::builder().cost(cost("1000000.000000001")).build();
        assert_eq!((call.cost(), call.output_cost()), (Some(LlmCall::MAX_COST), Some(LlmCall::MAX_COST)));
        assert_eq!(call.input_cost(), Some(Money::ZERO));
        let diagnostic = call.clone().take_diagnostics().next().unwrap();
        assert_eq!(diagnostic.code(), DiagnosticCode::CostClamped);
        let detail = "1000000.000000001 US dollars exceed the limit of 1000000 for one call";
        assert_eq!(diagnostic.detail(), Some(detail));
    }
}
