use std::time::Duration;

use crate::metadata::{Diagnostic, DiagnosticCode};

use super::{
    cost_status::CostStatus, extra_cost::ExtraCost, llm_call::LlmCall, money::Money, price::Cost, quantity::Quantity,
    usage_record::UsageRecord,
};

/// Maximum number of recorded calls, and of quantities with different names. Later calls are added to the last of their
/// kind, and later quantities are dropped and counted.
const MAX_RECORDS: usize = 256;

/// The usage and the costs that code recorded for a request.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(super) calls: Vec<RecordedCall>,
    pub(super) money: Option<Money>,
    pub(super) quantities: Vec<Quantity>,
    /// The number of calls that were read and priced for events of their own.
    pub(super) rolled_up: u64,
    /// The time spent in these calls.
    pub(super) rolled_up_time: Option<Duration>,
    /// Quantities for whose names there was no room.
    dropped_quantities: u64,
}

/// One recorded LLM call.
#[derive(Debug)]
pub(super) struct RecordedCall {
    pub(super) record: UsageRecord,
    /// The cost, if the call was priced for an event of its own.
    pub(super) known_cost: Option<KnownCost>,
}

/// The cost that another event has for the same call.
#[derive(Debug)]
pub(super) struct KnownCost {
    pub(super) status: CostStatus,
    pub(super) cost: Option<Cost>,
}

impl KnownCost {
    fn of(call: &LlmCall) -> Self {
        let source = || call.price_source.clone().unwrap_or_else(|| "custom".into());
        let cost = call.cost.map(|total| Cost {
            input: call.input_cost,
            output: call.output_cost,
            ..Cost::custom(total).source(source())
        });
        Self { status: call.cost_status, cost }
    }

    fn add(&mut self, other: Self) {
        self.cost = match (self.cost.take(), other.cost) {
            (Some(one), Some(other)) => Some(one.plus(&other)),
            (one, other) => one.or(other),
        };
        if self.status != other.status {
            self.status = CostStatus::Partial;
        }
    }
}

impl Recorded {
    /// Records usage that has not been priced.
    pub(crate) fn add_usage(&mut self, record: UsageRecord) {
        self.add(RecordedCall { record, known_cost: None });
    }

    /// Records a call that was read and priced for an event of its own.
    pub(crate) fn add_call(&mut self, call: &LlmCall) {
        let record = UsageRecord {
            usage: call.usage.clone().unwrap_or_default(),
            provider: call.provider.clone(),
            model: call.response_model.clone().or_else(|| call.request_model.clone()),
        };
        self.add(RecordedCall { record, known_cost: Some(KnownCost::of(call)) });
        // A call that made calls itself counts as these.
        self.rolled_up = self.rolled_up.saturating_add(call.calls.unwrap_or(1));
        if let Some(duration) = call.duration {
            self.rolled_up_time = Some(self.rolled_up_time.unwrap_or_default().saturating_add(duration));
        }
        for quantity in &call.quantities {
            self.add_quantity(quantity.clone());
        }
    }

    /// Records a cost in addition to usage.
    pub(crate) fn add_cost(&mut self, cost: ExtraCost) {
        self.money = Some(self.money.unwrap_or_default() + cost.money);
        if let Some(quantity) = cost.quantity {
            self.add_quantity(quantity);
        }
    }

    fn add(&mut self, call: RecordedCall) {
        let is_full = self.calls.len() >= MAX_RECORDS;
        let is_same_kind = |other: &&mut RecordedCall| other.known_cost.is_some() == call.known_cost.is_some();
        let Some(last) = self.calls.iter_mut().rev().find(is_same_kind).filter(|_| is_full) else {
            return self.calls.push(call);
        };
        last.record.usage.add_all(&call.record.usage);
        if let (Some(sum), Some(known_cost)) = (&mut last.known_cost, call.known_cost) {
            sum.add(known_cost);
        }
    }

    fn add_quantity(&mut self, quantity: Quantity) {
        if let Some(sum) = self.quantities.iter_mut().find(|other| other.name() == quantity.name()) {
            sum.add(quantity.amount());
        } else if self.quantities.len() < MAX_RECORDS {
            self.quantities.push(quantity);
        } else {
            self.dropped_quantities += 1;
        }
    }

    /// Returns a diagnostic if quantities were dropped.
    pub(crate) fn diagnostic(&self) -> Option<Diagnostic<'static>> {
        let dropped = self.dropped_quantities;
        (dropped > 0).then(|| Diagnostic::new(DiagnosticCode::TooManyQuantities).with_detail(dropped.to_string()))
    }

    /// Returns `true` if neither usage nor a cost was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.money.is_none()
    }

    /// Returns the approximate heap memory, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        let calls = self.calls.iter().map(|RecordedCall { record, .. }| {
            let names = [&record.provider, &record.model].into_iter().flatten().map(String::capacity).sum::<usize>();
            size_of::<RecordedCall>() + names + record.usage.approximate_bytes()
        });
        let quantities = self.quantities.iter().map(|quantity| size_of::<Quantity>() + quantity.name().len());
        calls.chain(quantities).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::usage::Usage;

    use super::{Cost, CostStatus, Duration, ExtraCost, LlmCall, MAX_RECORDS, Money, Recorded};

    #[test]
    fn adds_to_the_last_call_of_the_same_kind_when_full() {
        let mut recorded = Recorded::default();
        let priced = LlmCall::builder()
            .usage(Usage::tokens(1, 0))
            .duration(Duration::from_secs(2))
            .cost(Cost::custom(Money::from_nano_usd(5)))
            .build();
        recorded.add_call(&priced);
        for _ in 0..MAX_RECORDS + 10 {
            recorded.add_usage(Usage::tokens(1, 0).into());
        }
        recorded.add_call(&LlmCall::builder().usage(Usage::tokens(2, 0)).calls(3).build());
        assert_eq!((recorded.rolled_up, recorded.rolled_up_time), (4, Some(Duration::from_secs(2))));
        assert_eq!(recorded.calls.len(), MAX_RECORDS);
        assert_eq!(recorded.calls.last().unwrap().record.usage.input_tokens(), Some(12));
        let first = recorded.calls.first().unwrap();
        assert_eq!(first.record.usage.input_tokens(), Some(3));
        let known_cost = first.known_cost.as_ref().unwrap();
        assert_eq!(known_cost.status, CostStatus::Partial);
        assert_eq!(known_cost.cost.as_ref().unwrap().total, Money::from_nano_usd(5));
    }

    #[test]
    fn bounds_the_number_of_quantities() {
        let mut recorded = Recorded::default();
        assert_eq!(recorded.diagnostic(), None);
        for index in 0..2 * MAX_RECORDS {
            recorded.add_cost(ExtraCost::new(Money::from_nano_usd(1)).of(format!("quantity {index}"), 1.0));
        }
        assert_eq!(recorded.quantities.len(), MAX_RECORDS);
        let diagnostic = recorded.diagnostic().unwrap();
        assert_eq!(diagnostic.to_string(), format!("too_many_quantities: {MAX_RECORDS}"));
        assert_eq!(recorded.money, Some(Money::from_nano_usd(2 * MAX_RECORDS as u64)));
    }
}
