//! What a request will probably use.

use std::{collections::HashMap, sync::Mutex};

use sketches_ddsketch::{Config, DDSketch};

use crate::{request::GatedRequest, sync::lock, usage::Usage};

use super::super::rules::{LimitRule, LimitUnit};

/// Bytes of a request body per token, on average.
const BYTES_PER_TOKEN: u64 = 4;
/// The amounts that are reserved if nothing better is known: one cent, or a thousand tokens.
const DEFAULT_COST: i64 = 10_000_000;
const DEFAULT_TOKENS: i64 = 1_000;
/// The number of requests after which their 95th percentile is used.
const ENOUGH: usize = 5;
/// Maximum number of pairs of a rule and a model whose use is remembered.
const MAX_PAIRS: usize = 10_000;
/// Relative accuracy of the percentile, number of buckets, and the smallest value that has a bucket.
const ACCURACY: f64 = 0.01;
const BUCKETS: u32 = 512;
const SMALLEST: f64 = 1.0;
const PERCENTILE: f64 = 0.95;

/// The price of a call is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpriced;

/// What earlier requests used, by rule and model.
#[derive(Default)]
pub(super) struct Estimates {
    used: Mutex<HashMap<String, DDSketch>>,
}

impl Estimates {
    /// Estimates what a request will use, in the units of the ledger.
    pub(super) fn of(&self, rule: &LimitRule, request: &GatedRequest) -> Result<i64, Unpriced> {
        match rule.unit() {
            LimitUnit::Requests => Ok(1),
            LimitUnit::Cost => {
                if request.is_llm_call() && request.price(&Usage::tokens(1, 1)).is_none() {
                    return Err(Unpriced);
                }
                let declared = tokens(request).and_then(|usage| request.price(&usage));
                let declared = declared.map(|money| signed(money.nano_usd()));
                Ok(declared.unwrap_or_else(|| self.fallback(rule, request, DEFAULT_COST)))
            }
            LimitUnit::Tokens => {
                let declared = tokens(request).filter(|_| request.is_llm_call());
                let declared = declared.map(|usage| {
                    signed(usage.input_tokens().unwrap_or(0).saturating_add(usage.output_tokens().unwrap_or(0)))
                });
                let default = if request.is_llm_call() { DEFAULT_TOKENS } else { 0 };
                Ok(declared.unwrap_or_else(|| self.fallback(rule, request, default)))
            }
            LimitUnit::Quantity(_) => Ok(self.fallback(rule, request, 0)),
        }
    }

    /// Returns the 95th percentile of earlier requests, or the estimate of the rule.
    #[allow(clippy::cast_possible_truncation, reason = "casts from floating-point numbers saturate")]
    fn fallback(&self, rule: &LimitRule, request: &GatedRequest, default: i64) -> i64 {
        let used = lock(&self.used);
        let known = used.get(&pair(rule, request.model())).filter(|sketch| sketch.count() >= ENOUGH);
        let percentile = known.and_then(|sketch| sketch.quantile(PERCENTILE).ok().flatten());
        match percentile {
            Some(amount) => amount.ceil() as i64,
            None => rule.estimate.as_ref().map_or(default, |amount| amount.count),
        }
    }

    /// Remembers what a request used.
    #[allow(clippy::cast_precision_loss, reason = "a percentile needs no more precision")]
    pub(super) fn learn(&self, rule: &LimitRule, model: Option<&str>, amount: i64) {
        if !rule.is_estimated() {
            return;
        }
        let mut used = lock(&self.used);
        let pair = pair(rule, model);
        if used.len() >= MAX_PAIRS && !used.contains_key(&pair) {
            return;
        }
        let new = || DDSketch::new(Config::new(ACCURACY, BUCKETS, SMALLEST));
        used.entry(pair).or_insert_with(new).add(amount as f64);
    }
}

/// Returns the tokens that a request declares: a quarter of the bytes of its body, and the maximum of its answers.
fn tokens(request: &GatedRequest) -> Option<Usage> {
    let input = request.body_bytes()?.div_ceil(BYTES_PER_TOKEN);
    Some(Usage::tokens(input, request.max_output_tokens()?))
}

fn pair(rule: &LimitRule, model: Option<&str>) -> String {
    // The length keeps pairs apart.
    format!("{}:{}{}", rule.name().len(), rule.name(), model.unwrap_or_default())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
