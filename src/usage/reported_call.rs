use super::{
    cost_breakdown::{BillableCall, CostBreakdown},
    cost_origin::CostOrigin,
    cost_status::CostStatus,
    iterations::Iterations,
    llm_call::LlmCall,
    money::Money,
    operation::Operation,
    price::{Cost, CostLine},
    reported_cost::reported_cost,
    request_facts::RequestFacts,
    response_report::ResponseReport,
    signed_money::SignedMoney,
    usage::Usage,
    usage_status::UsageStatus,
};

/// An LLM call as the provider reported it, and what its price depends on.
#[derive(Debug)]
pub(super) struct ReportedCall {
    pub(super) call: LlmCall,
    pub(super) report: ResponseReport,
    /// The runs of models that the usage is the sum of.
    pub(super) iterations: Iterations,
}

impl ReportedCall {
    /// Returns the call without a price.
    pub(super) fn call(&self) -> &LlmCall {
        &self.call
    }

    /// Prices the call: by the cost that the provider reported, or else by the price book.
    pub(super) fn price(mut self, request: &RequestFacts<'_>) -> LlmCall {
        let call = std::mem::replace(&mut self.call, LlmCall::unknown());
        self.price_as(call, request)
    }

    /// Prices a call with the same response.
    pub(super) fn price_as(&self, mut call: LlmCall, request: &RequestFacts<'_>) -> LlmCall {
        let Self { report, iterations, .. } = self;
        let Some((tap, book)) = request.pricing() else {
            call.cost_status = CostStatus::Off;
            return call;
        };
        if let Some(cost) = reported_cost(call.provider.as_deref(), report, call.stream) {
            set_cost(&mut call, cost, true);
            call.cost_origin = CostOrigin::Reported;
            return call;
        }
        let Some(usage) = &call.usage else { return call };
        let billable = BillableCall {
            provider: call.provider.as_deref(),
            operation: call.operation.as_ref().map(Operation::as_str),
            response_model: call.response_model.as_deref(),
            request_model: call.request_model.as_deref(),
            service_tier: call.response_tier.as_deref(),
            inference_geo: call.inference_geo.as_deref(),
            time: request.time,
            metadata: request.metadata,
        };
        let CostBreakdown { cost, covers_all_usage } = if iterations.list.is_empty() {
            billable.price(book, usage)
        } else {
            iterations.price(&billable, book, usage)
        };
        if call.cost_origin == CostOrigin::Waived {
            set_cost(&mut call, waived(cost), true);
            return call;
        }
        if cost.is_none() || !covers_all_usage {
            tap.count_unpriced();
        }
        match cost {
            Some(cost) => set_cost(&mut call, cost, covers_all_usage && iterations.problem.is_none()),
            None => call.cost_status = CostStatus::UnpricedModel,
        }
        call
    }
}

/// Returns a cost of zero with the source of the usual cost, if that is known.
fn waived(cost: Option<Cost>) -> Cost {
    let cost = cost.unwrap_or_else(|| Cost::custom(Money::ZERO).source("provider"));
    let free = |lines: Vec<CostLine>| lines.into_iter().map(|line| CostLine { cost: Money::ZERO, ..line }).collect();
    Cost {
        total: Money::ZERO,
        input: Some(Money::ZERO),
        output: Some(Money::ZERO),
        lines: cost.lines.map(free),
        cache_savings: cost.cache_savings.map(|_| SignedMoney::ZERO),
        ..cost
    }
}

/// Sets the cost, and derives its status. `covers_all_usage` is `true` if every count was priced.
fn set_cost(call: &mut LlmCall, cost: Cost, covers_all_usage: bool) {
    let output = call.usage.as_ref().and_then(Usage::output_tokens);
    let is_complete = matches!(call.usage_status, UsageStatus::Reported | UsageStatus::Absent);
    let is_whole = is_complete && call.inconsistencies.is_empty() && covers_all_usage;
    call.cost_status = if is_whole { CostStatus::Priced } else { CostStatus::Partial };
    // A stream that ended early may have had output that was never reported.
    let is_output_unknown = call.usage_status == UsageStatus::Partial && output.is_none();
    call.cost = Some(cost.total);
    call.input_cost = cost.input;
    call.output_cost = if is_output_unknown { None } else { cost.output };
    call.cost_lines = cost.lines;
    call.cache_savings = cost.cache_savings;
    call.price_source = Some(cost.source);
}
