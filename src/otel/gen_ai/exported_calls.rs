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

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amounts {
    pub(super) calls: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost: Money,
}

/// The amounts of a call that no other layer has recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) cost: Option<Money>,
}

impl Amounts {
    /// Returns what a call has in addition to the amounts, or `None` if that is nothing. Unknown amounts are `None`.
    pub(super) fn rest_of(self, call: &LlmCall) -> Option<Rest> {
        let covers_calls = self.calls > 0 && self.calls >= call.calls().unwrap_or_default();
        let tokens = |read: fn(&Usage) -> Option<u64>, measured: u64| {
            let count = call.usage().and_then(read)?.saturating_sub(measured);
            (count > 0 || (measured == 0 && !covers_calls)).then_some(count)
        };
        let cost = call.cost().map(|cost| Money::from_nano_usd(cost.nano_usd().saturating_sub(self.cost.nano_usd())));
        let rest = Rest {
            input_tokens: tokens(Usage::input_tokens, self.input_tokens),
            output_tokens: tokens(Usage::output_tokens, self.output_tokens),
            cost: cost.filter(|cost| *cost > Money::ZERO || (self.cost == Money::ZERO && !covers_calls)),
        };
        (!covers_calls || rest != Rest::default()).then_some(rest)
    }
}

impl ExportedCalls {
    /// Adds a call whose tokens and cost were recorded as metrics.
    pub(in crate::otel) fn add_measured(&self, call: &LlmCall) {
        let mut sums = lock(&self.measured);
        // A call that made calls itself counts as these.
        sums.calls = sums.calls.saturating_add(call.calls().unwrap_or(1));
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
