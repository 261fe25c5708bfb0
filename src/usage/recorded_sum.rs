use std::sync::Arc;

use super::{
    consistency::saturated,
    cost_status::CostStatus,
    llm_call::LlmCall,
    money::Money,
    price::{Cost, CostLine, PriceQuery, joined_sources, merged, price_or_none},
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
            has_unpriced_calls: false,
            has_partial_costs: false,
            has_calls_without_usage: false,
            has_usage_without_prices: false,
        }
    }

    pub(super) fn add(&mut self, call: &RecordedCall, request: &RequestFacts<'_>) {
        self.usage.add_all(&call.record.usage);
        match &call.rolled_up {
            Some(rolled_up) => self.add_rolled_up(rolled_up),
            None => self.price(&call.record, request),
        }
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
            let priced = RecordedCall::of(&reported.price_as(call, request));
            return priced.rolled_up.iter().for_each(|call| self.add_rolled_up(call));
        }
        let Some(model) = record.model.as_deref() else {
            // A recorded cost is taken to be the cost of usage without a model.
            self.has_unpriced_calls |= self.money.is_none();
            return;
        };
        let usage = saturated(&record.usage);
        let query = PriceQuery {
            provider: record.provider.as_deref(),
            model,
            requested_model: None,
            usage: &usage,
            service_tier: None,
            inference_geo: None,
            time: request.time,
            metadata: Some(request.metadata),
        };
        if let Some(cost) = price_or_none(book, &query) {
            self.costs.push(cost);
        } else {
            self.has_unpriced_calls = true;
            tap.count_unpriced();
        }
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
