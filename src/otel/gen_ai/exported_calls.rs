use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{
    sync::lock,
    usage::{LlmCall, Money, Usage},
};

/// The calls made for a request that were exported as telemetry of the layer around the client, and are not exported again
/// with the request that they were rolled up to.
#[derive(Debug, Default)]
pub(in crate::otel) struct ExportedCalls {
    /// The sums of the calls whose tokens and cost were recorded as metrics.
    measured: Mutex<Amounts>,
    /// The calls have their own spans.
    have_spans: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost: Money,
}

impl Amounts {
    /// Returns what a call has in addition to the amounts. Unknown amounts are `None`.
    pub(super) fn rest_of(self, call: &LlmCall) -> (Option<u64>, Option<u64>, Option<Money>) {
        let tokens = |read: fn(&Usage) -> Option<u64>, measured: u64| {
            let count = call.usage().and_then(read)?.saturating_sub(measured);
            (count > 0 || measured == 0).then_some(count)
        };
        let cost = call.cost().map(|cost| Money::from_nano_usd(cost.nano_usd().saturating_sub(self.cost.nano_usd())));
        (
            tokens(Usage::input_tokens, self.input_tokens),
            tokens(Usage::output_tokens, self.output_tokens),
            cost.filter(|cost| *cost > Money::ZERO || self.cost == Money::ZERO),
        )
    }
}

impl ExportedCalls {
    /// Adds a call whose tokens and cost were recorded as metrics.
    pub(in crate::otel) fn add_measured(&self, call: &LlmCall) {
        let mut sums = lock(&self.measured);
        let tokens = |read: fn(&Usage) -> Option<u64>| call.usage().and_then(read).unwrap_or_default();
        sums.input_tokens = sums.input_tokens.saturating_add(tokens(Usage::input_tokens));
        sums.output_tokens = sums.output_tokens.saturating_add(tokens(Usage::output_tokens));
        sums.cost += call.cost().unwrap_or_default();
    }

    pub(in crate::otel) fn set_have_spans(&self) {
        self.have_spans.store(true, Relaxed);
    }

    pub(super) fn have_spans(&self) -> bool {
        self.have_spans.load(Relaxed)
    }

    pub(super) fn measured(&self) -> Amounts {
        *lock(&self.measured)
    }
}
