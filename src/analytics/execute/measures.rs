//! Computes measures from sums.

use jiff::Timestamp;

use crate::{
    analytics::{Amount, FeedbackTotals, Measure},
    store::Totals,
};

/// Returns the value of a measure that needs no further dimension. `None` if it is unknown, such as a rate of nothing.
#[allow(clippy::cast_precision_loss, reason = "averages and rates are not exact")]
pub(crate) fn value(measure: &Measure, totals: &Totals, feedback: &FeedbackTotals) -> Option<Amount> {
    let nanos = |nanos: u64| Some(Amount::NanoUsd(i64::try_from(nanos).unwrap_or(i64::MAX)));
    let count = |count: u64| Some(Amount::Count(count));
    let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let percent = |part: u64, whole: u64| ratio(part, whole).map(|share| Amount::Percent(share * 100.0));
    let average = |sum: u64, count: u64| ratio(sum, count).map(Amount::Number);
    let millis = |sum: u64, count: u64| ratio(sum, count).map(Amount::Millis);
    let latency = |q: f64| totals.latency_quantile(q).map(Amount::Millis);
    let first_token = |q: f64| totals.first_token_quantile(q).map(Amount::Millis);
    let time = |micros: u64| {
        let micros = i64::try_from(micros).ok().filter(|_| totals.requests > 0)?;
        Timestamp::from_microsecond(micros).ok().map(Amount::Time)
    };
    let tokens = totals.input_tokens.saturating_add(totals.output_tokens);
    match measure {
        Measure::Requests => count(totals.requests),
        Measure::Errors => count(totals.errors),
        Measure::ErrorRate => percent(totals.errors, totals.requests),
        Measure::SuccessRate => percent(totals.requests.saturating_sub(totals.errors), totals.requests),
        Measure::Cancelled => count(totals.cancelled),
        Measure::LlmCalls => count(totals.llm_calls),
        Measure::Cost => nanos(totals.cost_nanos),
        Measure::InputCost => nanos(totals.input_cost_nanos),
        Measure::OutputCost => nanos(totals.output_cost_nanos),
        Measure::OtherCost => {
            let parts = totals.input_cost_nanos.saturating_add(totals.output_cost_nanos);
            nanos(totals.cost_nanos.saturating_sub(parts))
        }
        Measure::AvgCost => {
            let known = totals.priced + totals.partially_priced;
            nanos(totals.cost_nanos.checked_div(known)?)
        }
        Measure::UnpricedRequests => count(totals.unpriced),
        Measure::UnpricedShare => percent(totals.unpriced, totals.llm_calls),
        Measure::InputTokens => count(totals.input_tokens),
        Measure::OutputTokens => count(totals.output_tokens),
        Measure::TotalTokens => count(tokens),
        Measure::CacheReadTokens => count(totals.cache_read_tokens),
        Measure::CacheWriteTokens => count(totals.cache_write_tokens),
        Measure::ReasoningTokens => count(totals.reasoning_tokens),
        Measure::InputAudioTokens => count(totals.input_audio_tokens),
        Measure::OutputAudioTokens => count(totals.output_audio_tokens),
        Measure::AvgTokens => average(tokens, totals.with_usage),
        Measure::AvgInputTokens => average(totals.input_tokens, totals.with_usage),
        Measure::AvgOutputTokens => average(totals.output_tokens, totals.with_usage),
        Measure::AvgLatency => millis(totals.latency_ms, totals.requests),
        Measure::P50Latency => latency(0.5),
        Measure::P90Latency => latency(0.9),
        Measure::P95Latency => latency(0.95),
        Measure::P99Latency => latency(0.99),
        Measure::AvgFirstToken => millis(totals.first_token_ms, totals.first_tokens),
        Measure::P50FirstToken => first_token(0.5),
        Measure::P90FirstToken => first_token(0.9),
        Measure::P95FirstToken => first_token(0.95),
        Measure::P99FirstToken => first_token(0.99),
        Measure::CacheHits => count(totals.cache_hits),
        Measure::CacheHitRate => percent(totals.cache_hits, totals.with_usage),
        Measure::CacheSavings => Some(Amount::NanoUsd(totals.cache_savings_nanos)),
        Measure::FirstSeen => time(totals.first_seen_micros),
        Measure::LastSeen => time(totals.last_seen_micros),
        Measure::FeedbackRequests => count(feedback.requests),
        Measure::FeedbackScore => feedback.average().map(Amount::Number),
        Measure::Distinct(_) | Measure::Coverage(_) | Measure::CostCoverage(_) => None,
    }
}

/// The known facts about the values of a further dimension within a group.
#[derive(Debug, Default)]
pub(crate) struct ExtraValues {
    /// The number of different values.
    pub(crate) distinct: u64,
    /// The sums of the requests without a value.
    pub(crate) unset: Totals,
}

/// Returns the value of a measure that needs a further dimension.
#[allow(clippy::cast_precision_loss, reason = "rates are not exact")]
pub(crate) fn extra_value(measure: &Measure, totals: &Totals, extra: &ExtraValues) -> Option<Amount> {
    let covered = |unset: u64, whole: u64| {
        (whole > 0).then(|| Amount::Percent(whole.saturating_sub(unset) as f64 / whole as f64 * 100.0))
    };
    match measure {
        Measure::Distinct(_) => Some(Amount::Count(extra.distinct)),
        Measure::Coverage(_) => covered(extra.unset.requests, totals.requests),
        Measure::CostCoverage(_) => covered(extra.unset.cost_nanos, totals.cost_nanos),
        _ => None,
    }
}
