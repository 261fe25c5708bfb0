use std::sync::Arc;

use super::{
    cost_breakdown::{BillableCall, CostBreakdown},
    cost_origin::CostOrigin,
    cost_status::CostStatus,
    llm_call::LlmCall,
    money::Money,
    price::{Cost, CostLine, joined_sources, merged},
    recorded_call::{RecordedCall, RolledUp},
    request_facts::RequestFacts,
    signed_money::SignedMoney,
    usage::Usage,
    usage_record::UsageRecord,
};

/// The sum of the recorded calls of a request.
#[allow(clippy::struct_excessive_bools, reason = "each is an independent fact about the recorded calls")]
pub(super) struct RecordedSum {
    pub(super) usage: Usage,
    costs: Vec<Cost>,
    /// The recorded cost, which is not attributed to a call.
    money: Option<Money>,
    /// The origin of the cost of the last call.
    pub(super) origin: CostOrigin,
    has_unpriced_calls: bool,
    has_partial_costs: bool,
    has_calls_without_usage: bool,
    /// Some recorded usage could not be priced, because pricing is off.
    has_usage_without_prices: bool,
}

impl RecordedSum {
    pub(super) fn new(money: Option<Money>) -> Self {
        Self {
            usage: Usage::new(),
            costs: Vec::new(),
            money,
            origin: CostOrigin::RecordedCall,
            has_unpriced_calls: false,
            has_partial_costs: false,
            has_calls_without_usage: false,
            has_usage_without_prices: false,
        }
    }

    pub(super) fn add(&mut self, call: &RecordedCall, request: &RequestFacts<'_>) {
        self.usage.add_all(&call.record.usage);
        if let Some(rolled_up) = &call.rolled_up {
            self.origin = if rolled_up.calls == 1 { rolled_up.origin } else { CostOrigin::SeveralCalls };
            self.add_rolled_up(rolled_up);
            return;
        }
        let reported = call.record.reported.as_ref().map(|reported| reported.call().cost_origin);
        self.origin = reported.filter(|origin| *origin != CostOrigin::Call).unwrap_or(CostOrigin::RecordedCall);
        self.price(&call.record, request);
    }

    fn add_rolled_up(&mut self, call: &RolledUp) {
        self.costs.extend(call.cost.clone());
        self.has_unpriced_calls |= call.has_unpriced_calls;
        self.has_partial_costs |= call.has_partial_costs;
        self.has_calls_without_usage |= call.has_calls_without_usage;
    }

    fn price(&mut self, record: &UsageRecord, request: &RequestFacts<'_>) {
        let Some((tap, book)) = request.pricing() else {
            self.has_usage_without_prices = true;
            return;
        };
        if let Some(reported) = &record.reported {
            let call = LlmCall { response_model: record.model.clone(), ..reported.call().clone() };
            let priced = reported.price_as(call, request);
            if priced.cost_origin == CostOrigin::Reported {
                self.origin = CostOrigin::Reported;
            }
            return RecordedCall::of(&priced).rolled_up.iter().for_each(|call| self.add_rolled_up(call));
        }
        if record.model.is_none() {
            // A recorded cost is taken to be the cost of usage without a model.
            self.has_unpriced_calls |= self.money.is_none();
            return;
        }
        let call = BillableCall {
            provider: record.provider.as_deref(),
            operation: None,
            response_model: record.model.as_deref(),
            request_model: None,
            service_tier: None,
            inference_geo: None,
            time: request.time,
            metadata: request.metadata,
        };
        let CostBreakdown { cost, covers_all_usage } = call.price(book, &record.usage);
        if cost.is_none() || !covers_all_usage {
            tap.count_unpriced();
        }
        self.has_unpriced_calls |= cost.is_none();
        self.has_partial_costs |= cost.is_some() && !covers_all_usage;
        self.costs.extend(cost);
    }

    fn has_cost(&self) -> bool {
        self.money.is_some() || !self.costs.is_empty()
    }

    pub(super) fn total(&self) -> Option<Money> {
        let sum = self.costs.iter().map(|cost| cost.total).sum::<Money>();
        self.has_cost().then(|| sum + self.money.unwrap_or_default())
    }

    /// Returns the sum of a part of all costs, if it is known of each.
    pub(super) fn part(&self, part: impl Fn(&Cost) -> Option<Money>) -> Option<Money> {
        if self.money.is_some() || self.costs.is_empty() {
            return None;
        }
        let parts: Option<Vec<Money>> = self.costs.iter().map(part).collect();
        parts.map(|parts| parts.into_iter().sum())
    }

    /// Returns the lines of all costs by kind, if they are known of each.
    pub(super) fn lines(&self) -> Option<Vec<CostLine>> {
        if self.money.is_some() || self.costs.is_empty() {
            return None;
        }
        self.costs.iter().try_fold(Vec::new(), |sum, cost| Some(merged(sum, cost.lines.as_deref()?)))
    }

    /// Returns what the prompt caches of all calls saved, if it is known of each.
    pub(super) fn cache_savings(&self) -> Option<SignedMoney> {
        self.costs.first()?;
        self.costs.iter().map(|cost| cost.cache_savings).sum()
    }

    pub(super) fn price_source(&self) -> Option<Arc<str>> {
        if self.money.is_some() {
            return Some(Arc::from("custom"));
        }
        joined_sources(&self.costs.iter().map(|cost| &cost.source).collect::<Vec<_>>())
    }

    pub(super) fn cost_status(&self) -> CostStatus {
        // A recorded cost is taken to be that of recorded usage.
        let lacks_prices = self.has_usage_without_prices && self.money.is_none();
        let is_incomplete =
            self.has_unpriced_calls || self.has_calls_without_usage || self.has_partial_costs || lacks_prices;
        match (self.has_cost(), self.has_unpriced_calls) {
            (true, _) if is_incomplete => CostStatus::Partial,
            (true, _) => CostStatus::Priced,
            (false, true) => CostStatus::UnpricedModel,
            (false, false) if self.has_partial_costs => CostStatus::Partial,
            (false, false) if self.usage.is_empty() => CostStatus::NoUsage,
            (false, false) => CostStatus::Off,
        }
    }
}
