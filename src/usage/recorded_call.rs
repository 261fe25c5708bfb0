use super::{
    cost_origin::CostOrigin, cost_status::CostStatus, llm_call::LlmCall, model_calls::ModelCalls, operation::Operation,
    price::Cost, usage_record::UsageRecord, usage_status::UsageStatus,
};

/// A recorded LLM call, or several of the same kind.
#[derive(Debug)]
pub(super) struct RecordedCall {
    pub(super) record: UsageRecord,
    pub(super) status: UsageStatus,
    /// The calls that were read and priced for separate events. `None` if code recorded the usage.
    pub(super) rolled_up: Option<RolledUp>,
}

/// The part of a recorded call that another event has too.
#[derive(Debug)]
pub(super) struct RolledUp {
    pub(super) calls: u64,
    operation: Option<Operation>,
    request_model: Option<String>,
    /// The tier of the responses. `None` if they differ.
    response_tier: Option<String>,
    /// The region of the inference. `None` if the calls have several.
    inference_geo: Option<String>,
    /// How the cost follows from the usage.
    pub(super) origin: CostOrigin,
    pub(super) cost: Option<Cost>,
    pub(super) has_unpriced_calls: bool,
    pub(super) has_partial_costs: bool,
    pub(super) has_calls_without_usage: bool,
}

impl RecordedCall {
    /// Creates a call whose usage code recorded.
    pub(super) fn by_code(record: UsageRecord) -> Self {
        Self { status: record.status(), record, rolled_up: None }
    }

    /// Creates a call that was read and priced for a separate event.
    pub(super) fn of(call: &LlmCall) -> Self {
        let source = || call.price_source.clone().unwrap_or_else(|| "custom".into());
        let cost = call.cost.map(|total| Cost {
            input: call.input_cost,
            output: call.output_cost,
            lines: call.cost_lines.clone(),
            cache_savings: call.cache_savings,
            ..Cost::custom(total).source(source())
        });
        let rolled_up = RolledUp {
            // A call that made calls itself counts as these.
            calls: call.calls.unwrap_or(1),
            operation: call.operation.clone(),
            request_model: call.request_model.clone(),
            response_tier: call.response_tier.clone(),
            inference_geo: call.inference_geo.clone(),
            origin: call.cost_origin,
            cost,
            has_unpriced_calls: call.cost_status == CostStatus::UnpricedModel,
            has_partial_costs: call.cost_status == CostStatus::Partial,
            has_calls_without_usage: call.cost_status == CostStatus::NoUsage,
        };
        let record = UsageRecord {
            usage: call.usage.clone().unwrap_or_default(),
            provider: call.provider.clone(),
            model: call.response_model.clone(),
            reported: None,
        };
        Self { record, status: call.usage_status, rolled_up: Some(rolled_up) }
    }

    /// Returns `true` if both calls were rolled up, and had the same provider, operation, and model.
    pub(super) fn is_same_kind(&self, other: &Self) -> bool {
        let (Some(one), Some(two)) = (&self.rolled_up, &other.rolled_up) else { return false };
        self.record.provider == other.record.provider && one.operation == two.operation && self.model() == other.model()
    }

    /// Returns the model that answered, or else the requested one.
    fn model(&self) -> Option<&str> {
        let requested = || self.rolled_up.as_ref()?.request_model.as_deref();
        self.record.model.as_deref().or_else(requested)
    }

    /// Returns the tier of the response, if it is known.
    pub(super) fn response_tier(&self) -> Option<&str> {
        let reported = || self.record.reported.as_ref()?.call().response_tier.as_deref();
        self.rolled_up.as_ref().map_or_else(reported, |call| call.response_tier.as_deref())
    }

    /// Returns the region of the inference, if it is known.
    pub(super) fn inference_geo(&self) -> Option<&str> {
        let reported = || self.record.reported.as_ref()?.call().inference_geo.as_deref();
        self.rolled_up.as_ref().map_or_else(reported, |call| call.inference_geo.as_deref())
    }

    /// Returns `true` if a request that is described like this had the same call.
    ///
    /// The request itself may be a call of another model than the recorded one. The operation and the requested model do not
    /// matter for usage that code recorded.
    pub(super) fn is_described_by(&self, call: &LlmCall) -> bool {
        let is_same_request = |one: &RolledUp| {
            (&one.operation, &one.request_model) == (&call.operation, &call.request_model)
                || one.origin == CostOrigin::RecordedCall
        };
        (&self.record.provider, &self.record.model) == (&call.provider, &call.response_model)
            && self.rolled_up.as_ref().is_none_or(is_same_request)
    }

    /// Adds another call. Both were rolled up, or both were recorded by code.
    pub(super) fn add(&mut self, other: Self) {
        self.record.usage.add_all(&other.record.usage);
        // The sum is not what a response reported.
        self.record.reported = None;
        self.status = self.status.and(other.status);
        if let (Some(sum), Some(call)) = (&mut self.rolled_up, other.rolled_up) {
            sum.calls = sum.calls.saturating_add(call.calls);
            sum.origin = CostOrigin::SeveralCalls;
            sum.response_tier = sum.response_tier.take().filter(|tier| Some(tier) == call.response_tier.as_ref());
            sum.inference_geo = sum.inference_geo.take().filter(|geo| Some(geo) == call.inference_geo.as_ref());
            sum.cost = match (sum.cost.take(), call.cost) {
                (Some(one), Some(other)) => Some(one.plus(&other)),
                (one, other) => one.or(other),
            };
            sum.has_unpriced_calls |= call.has_unpriced_calls;
            sum.has_partial_costs |= call.has_partial_costs;
            sum.has_calls_without_usage |= call.has_calls_without_usage;
        }
    }

    /// Returns the calls by model, if they were rolled up.
    pub(super) fn models(&self) -> Option<ModelCalls> {
        let rolled_up = self.rolled_up.as_ref()?;
        let usage = &self.record.usage;
        Some(ModelCalls {
            provider: self.record.provider.clone(),
            operation: rolled_up.operation.clone(),
            model: self.model().map(str::to_owned),
            calls: rolled_up.calls,
            input_tokens: usage.input_tokens(),
            output_tokens: usage.output_tokens(),
            cost: rolled_up.cost.as_ref().map(|cost| cost.total),
        })
    }

    /// Returns the approximate memory, in bytes.
    pub(super) fn approximate_bytes(&self) -> usize {
        let rolled_up = self.rolled_up.as_ref();
        let of_call = rolled_up.map(|call| [&call.request_model, &call.response_tier, &call.inference_geo]);
        let names = [&self.record.provider, &self.record.model].into_iter().chain(of_call.into_iter().flatten());
        let names: usize = names.flatten().map(String::capacity).sum();
        size_of::<Self>() + names + self.record.usage.approximate_bytes()
    }
}
