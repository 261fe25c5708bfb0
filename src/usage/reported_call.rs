use serde_json::Value;

use super::{
    cost_breakdown::{BillableCall, CostBreakdown},
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
    unit::Unit,
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
    /// The provider does not bill the usage.
    pub(super) is_waived: bool,
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
        let Self { report, iterations, is_waived, .. } = self;
        let Some((tap, book)) = request.pricing() else {
            call.cost_status = CostStatus::Off;
            return call;
        };
        if let Some(cost) = reported_cost(call.provider.as_deref(), report, call.stream) {
            set_cost(&mut call, cost, true);
            return call;
        }
        let Some(usage) = &call.usage else { return call };
        let billable = BillableCall {
            provider: call.provider.as_deref(),
            response_model: call.response_model.as_deref(),
            request_model: call.request_model.as_deref(),
            service_tier: report.service_tier.as_deref(),
            inference_geo: report.usage.get("inference_geo").and_then(Value::as_str),
            time: request.time,
            metadata: request.metadata,
        };
        let CostBreakdown { cost, covers_all_usage } = billable.price(book, usage, iterations);
        let covers_all_usage = covers_all_usage && !has_unreported_searches(&call);
        if cost.is_none() || !covers_all_usage {
            tap.count_unpriced();
        }
        match cost {
            Some(cost) => {
                let cost = if *is_waived { waived(cost) } else { cost };
                set_cost(&mut call, cost, covers_all_usage && iterations.problem.is_none());
            }
            None => call.cost_status = CostStatus::UnpricedModel,
        }
        call
    }
}

/// Returns a cost of zero with the same source.
fn waived(cost: Cost) -> Cost {
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

/// Returns `true` for OpenAI's search models. They search the web in every chat, bill that, and do not report it.
fn has_unreported_searches(call: &LlmCall) -> bool {
    let model = call.response_model.as_deref().or(call.request_model.as_deref()).unwrap_or_default();
    matches!(call.provider.as_deref(), Some("openai" | "azure"))
        && call.operation.as_ref().is_none_or(|operation| *operation == Operation::Chat)
        && ["-search-preview", "-search-api"].iter().any(|name| model.contains(name))
        && call.usage.as_ref().is_none_or(|usage| usage.get(Unit::WebSearches).is_none())
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
