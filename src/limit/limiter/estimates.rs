//! The amount that a request will probably use.

use std::{cell::OnceCell, collections::HashMap, sync::Mutex};

use sketches_ddsketch::{Config, DDSketch};

use crate::{
    request::GatedRequest,
    sync::lock,
    time::saturated,
    usage::{LlmCall, Usage},
};

use super::super::rules::{LimitRule, LimitUnit};

/// Bytes of a request body per token, on average.
const BYTES_PER_TOKEN: u64 = 4;
/// The amounts that are reserved if nothing better is known: one cent, or a thousand tokens.
const DEFAULT_COST: i64 = 10_000_000;
const DEFAULT_TOKENS: i64 = 1_000;
/// The part of a limit that these amounts are at most. Otherwise, a small limit would let few calls pass, and never learn.
const DEFAULT_PART: i64 = 10;
/// The number of requests after which their 95th percentile is used.
const ENOUGH: usize = 5;
/// Maximum number of pairs of a rule and a model whose use is remembered.
const MAX_PAIRS: usize = 10_000;
/// Relative accuracy of the percentile, number of buckets, and the smallest value that has a bucket.
const ACCURACY: f64 = 0.01;
const BUCKETS: u32 = 512;
const SMALLEST: f64 = 1.0;
const PERCENTILE: f64 = 0.95;

/// The largest amount of a request, which a client can declare. It keeps sums of many requests within 64 bits.
const MAX_AMOUNT: i64 = 1 << 47;

/// The price of a call is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpriced;

/// A request with what it declares, which is computed once for all rules.
pub(super) struct Expected<'r> {
    pub(super) request: &'r GatedRequest,
    /// A quarter of the bytes of the body, if it is a call.
    input: Option<u64>,
    /// The input, and the maximum of output tokens.
    tokens: Option<Usage>,
    cost: OnceCell<Result<Option<i64>, Unpriced>>,
}

impl<'r> Expected<'r> {
    pub(super) fn new(request: &'r GatedRequest) -> Self {
        let bytes = request.body_bytes().filter(|_| request.is_llm_call());
        let input = bytes.map(|bytes| bytes.div_ceil(BYTES_PER_TOKEN));
        // More has no price.
        let output = request.max_output_tokens().map(|tokens| tokens.min(LlmCall::MAX_USAGE));
        let tokens = input.zip(output).map(|(input, output)| Usage::tokens(input, output));
        Self { request, input, tokens, cost: OnceCell::new() }
    }

    /// Returns the cost of the declared tokens in nano-dollars, if they are known.
    fn cost(&self) -> Result<Option<i64>, Unpriced> {
        *self.cost.get_or_init(|| {
            if let Some(tokens) = &self.tokens {
                return self.request.price(tokens).map(|money| Some(saturated(money.nano_usd()))).ok_or(Unpriced);
            }
            let is_unpriced = self.request.is_llm_call() && self.request.price(&Usage::tokens(1, 1)).is_none();
            if is_unpriced { Err(Unpriced) } else { Ok(None) }
        })
    }

    /// Returns what the input alone uses, in the units of the ledger.
    fn input(&self, unit: &LimitUnit) -> i64 {
        let Some(input) = self.input else { return 0 };
        match unit {
            LimitUnit::Tokens => saturated(input),
            LimitUnit::Cost => {
                self.request.price(&Usage::tokens(input, 0)).map_or(0, |money| saturated(money.nano_usd()))
            }
            LimitUnit::Requests | LimitUnit::Quantity(_) => 0,
        }
    }

    fn tokens(&self) -> Option<i64> {
        let tokens = self.tokens.as_ref()?;
        let [input, output] = [tokens.input_tokens(), tokens.output_tokens()].map(Option::unwrap_or_default);
        Some(saturated(input.saturating_add(output)))
    }
}

/// The amounts that earlier requests used, by rule and model.
#[derive(Default)]
pub(super) struct Estimates {
    used: Mutex<HashMap<String, DDSketch>>,
}

impl Estimates {
    /// Estimates what a request will use, in the units of the ledger.
    pub(super) fn of(&self, rule: &LimitRule, expected: &Expected<'_>) -> Result<i64, Unpriced> {
        let request = expected.request;
        let declared = match rule.unit() {
            LimitUnit::Requests => return Ok(1),
            LimitUnit::Cost => expected.cost()?,
            LimitUnit::Tokens => expected.tokens(),
            LimitUnit::Quantity(_) => None,
        };
        let default = match rule.unit() {
            LimitUnit::Cost => DEFAULT_COST,
            LimitUnit::Tokens if request.is_llm_call() => DEFAULT_TOKENS,
            _ => 0,
        };
        let amount = declared.unwrap_or_else(|| {
            let earlier = self.fallback(rule, request, default);
            // A long prompt is more than other calls use.
            if expected.input.is_some() { earlier.max(expected.input(rule.unit())) } else { earlier }
        });
        Ok(amount.min(MAX_AMOUNT))
    }

    /// Estimates what a call of a model without a known price will use.
    pub(super) fn of_unpriced(&self, rule: &LimitRule, expected: &Expected<'_>) -> i64 {
        self.fallback(rule, expected.request, DEFAULT_COST).min(MAX_AMOUNT)
    }

    /// Returns the 95th percentile of earlier requests, or the estimate of the rule.
    #[allow(clippy::cast_possible_truncation, reason = "casts from floating-point numbers saturate")]
    fn fallback(&self, rule: &LimitRule, request: &GatedRequest, default: i64) -> i64 {
        let used = lock(&self.used);
        let known = used.get(&pair(rule, Kind::of(request))).filter(|sketch| sketch.count() >= ENOUGH);
        let percentile = known.and_then(|sketch| sketch.quantile(PERCENTILE).ok().flatten());
        match percentile {
            Some(amount) => amount.ceil() as i64,
            None => rule.estimate.as_ref().map_or_else(
                || default.min(rule.amount_at(request.time()).count / DEFAULT_PART),
                |amount| amount.count,
            ),
        }
    }

    /// Remembers what a request of a kind used.
    #[allow(clippy::cast_precision_loss, reason = "a percentile needs no more precision")]
    pub(super) fn learn(&self, rule: &LimitRule, kind: &Kind, amount: i64) {
        if !rule.is_estimated() {
            return;
        }
        let mut used = lock(&self.used);
        let pair = pair(rule, kind.as_ref());
        if used.len() >= MAX_PAIRS && !used.contains_key(&pair) {
            return;
        }
        let new = || DDSketch::new(Config::new(ACCURACY, BUCKETS, SMALLEST));
        used.entry(pair).or_insert_with(new).add(amount as f64);
    }
}

/// The kind of a request: the model of a call, or `None` for other requests. Requests of one kind probably use the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kind(Option<String>);

impl Kind {
    fn of(request: &GatedRequest) -> Option<&str> {
        request.is_llm_call().then(|| request.model().unwrap_or_default())
    }

    /// Returns the kind of a request before it is served, under which its use is learned.
    pub(super) fn new(request: &GatedRequest) -> Self {
        Self(Self::of(request).map(str::to_owned))
    }

    fn as_ref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

fn pair(rule: &LimitRule, kind: Option<&str>) -> String {
    // The length keeps pairs apart.
    let name = rule.name();
    match kind {
        Some(model) => format!("{}:{name}:{model}", name.len()),
        None => format!("{}:{name}", name.len()),
    }
}
