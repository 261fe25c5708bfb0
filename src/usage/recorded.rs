use std::time::{Duration, Instant};

use crate::metadata::{Diagnostic, DiagnosticCode};

use super::{
    extra_cost::ExtraCost, llm_call::LlmCall, model_calls::ModelCalls, money::Money, quantity::Quantity,
    recorded_call::RecordedCall, usage_record::UsageRecord, waits::Waits,
};

/// Maximum number of recorded calls, and of quantities with different names. Later calls are added to the last that was
/// recorded in the same way, and later quantities are dropped and counted.
const MAX_RECORDS: usize = 256;

/// The usage and the costs that code recorded for a request.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Rolled-up calls of the same kind are added up.
    pub(super) calls: Vec<RecordedCall>,
    pub(super) money: Option<Money>,
    pub(super) quantities: Vec<Quantity>,
    /// The number of calls that were read and priced for separate events.
    pub(super) rolled_up: u64,
    /// The last call, as far as it is known.
    last_call: Option<Box<LlmCall>>,
    /// A call was a stream.
    has_stream: bool,
    waits: Waits,
    /// Quantities for whose names there was no room.
    dropped_quantities: u64,
}

impl Recorded {
    /// Records usage that has not been priced.
    pub(crate) fn add_usage(&mut self, record: UsageRecord) {
        self.set_last(match &record.reported {
            Some(reported) => reported.call().clone(),
            None => LlmCall {
                provider: record.provider.clone(),
                response_model: record.model.clone(),
                ..LlmCall::unknown()
            },
        });
        self.add(RecordedCall::by_code(record));
    }

    /// Records a call that was read and priced for a separate event. `start` is its start, if known.
    pub(crate) fn add_call(&mut self, call: &LlmCall, start: Option<Instant>) {
        self.add(RecordedCall::of(call));
        self.rolled_up = self.rolled_up.saturating_add(call.calls.unwrap_or(1));
        match (start, call.duration) {
            (Some(start), Some(duration)) if call.calls.is_none() => self.waits.add_interval(start, start + duration),
            (_, Some(duration)) => self.waits.add(duration),
            (_, None) => {}
        }
        self.set_last(call.clone());
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

    fn set_last(&mut self, call: LlmCall) {
        self.has_stream |= call.stream;
        self.last_call = Some(Box::new(call));
    }

    fn add(&mut self, call: RecordedCall) {
        if let Some(sum) = self.calls.iter_mut().find(|other| other.is_same_kind(&call)) {
            return sum.add(call);
        }
        let is_full = self.calls.len() >= MAX_RECORDS;
        let is_same_way = |other: &&mut RecordedCall| other.rolled_up.is_some() == call.rolled_up.is_some();
        match self.calls.iter_mut().rev().find(is_same_way).filter(|_| is_full) {
            Some(last) => last.add(call),
            None => self.calls.push(call),
        }
    }

    /// Describes the request by the last call. Its id and times describe the request only if it is the only call.
    pub(super) fn describe(&self, call: &mut LlmCall) {
        let Some(last) = &self.last_call else { return };
        call.provider = last.provider.clone().or_else(|| call.provider.take());
        call.response_model = last.response_model.clone().or_else(|| call.response_model.take());
        call.operation = call.operation.take().or_else(|| last.operation.clone());
        call.request_model = call.request_model.take().or_else(|| last.request_model.clone());
        call.service_tier = call.service_tier.take().or_else(|| last.service_tier.clone());
        call.stream |= self.has_stream;
        if self.calls.len() == 1 && self.rolled_up <= last.calls.unwrap_or(1) {
            call.response_id = call.response_id.take().or_else(|| last.response_id.clone());
            call.first_token = call.first_token.or(last.first_token);
            call.output_tokens_per_second = last.output_tokens_per_second;
        }
    }

    /// Returns the time spent waiting for rolled-up calls.
    pub(super) fn rolled_up_time(&self) -> Option<Duration> {
        self.waits.total()
    }

    /// Returns the rolled-up calls by model.
    pub(super) fn models(&self) -> Vec<ModelCalls> {
        self.calls.iter().filter_map(RecordedCall::models).collect()
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
        let calls = self.calls.iter().map(RecordedCall::approximate_bytes);
        let last = self.last_call.iter().map(|call| call.approximate_bytes());
        let quantities = self.quantities.iter().map(|quantity| size_of::<Quantity>() + quantity.name().len());
        calls.chain(last).chain(quantities).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::usage::{Cost, Usage};

    use super::{Duration, ExtraCost, LlmCall, MAX_RECORDS, Money, Recorded};

    fn call(model: &str) -> LlmCall {
        let cost = Cost::custom(Money::from_nano_usd(5));
        LlmCall::builder()
            .response_model(model)
            .usage(Usage::tokens(1, 0))
            .duration(Duration::from_secs(2))
            .cost(cost)
            .build()
    }

    #[test]
    fn adds_up_calls_of_the_same_kind() {
        let mut recorded = Recorded::default();
        for model in ["a", "b", "a"] {
            recorded.add_call(&call(model), None);
        }
        recorded.add_usage(Usage::tokens(7, 0).into());
        recorded.add_usage(Usage::tokens(8, 0).into());
        assert_eq!((recorded.rolled_up, recorded.rolled_up_time()), (3, Some(Duration::from_secs(6))));
        let inputs: Vec<_> = recorded.calls.iter().map(|call| call.record.usage.input_tokens().unwrap()).collect();
        assert_eq!(inputs, [2, 1, 7, 8], "recorded usage is priced one by one");
        let models: Vec<_> = recorded.models().into_iter().map(|of| (of.model.unwrap(), of.calls, of.cost)).collect();
        let nanos = |amount| Some(Money::from_nano_usd(amount));
        assert_eq!(models, [("a".to_owned(), 2, nanos(10)), ("b".to_owned(), 1, nanos(5))]);
    }

    #[test]
    fn adds_to_the_last_call_of_the_same_way_when_full() {
        let mut recorded = Recorded::default();
        recorded.add_call(&call("first"), None);
        for _ in 0..MAX_RECORDS + 10 {
            recorded.add_usage(Usage::tokens(1, 0).into());
        }
        let of_calls = LlmCall::builder().usage(Usage::tokens(2, 0)).calls(3).build();
        recorded.add_call(&of_calls, None);
        assert_eq!((recorded.rolled_up, recorded.rolled_up_time()), (4, Some(Duration::from_secs(2))));
        assert_eq!(recorded.calls.len(), MAX_RECORDS);
        assert_eq!(recorded.calls.last().unwrap().record.usage.input_tokens(), Some(12));
        let first = recorded.calls.first().unwrap();
        assert_eq!(first.record.usage.input_tokens(), Some(3));
        let rolled_up = first.rolled_up.as_ref().unwrap();
        assert!(rolled_up.has_calls_without_usage && !rolled_up.has_unpriced_calls);
        assert_eq!(rolled_up.cost.as_ref().unwrap().total, Money::from_nano_usd(5));
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
