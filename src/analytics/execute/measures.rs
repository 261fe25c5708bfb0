//! Computes measures from sums.

use jiff::Timestamp;

use crate::{
    analytics::{Amount, FeedbackTotals, Measure},
    store::Totals,
};

/// Returns the names of the sums that a measure is computed from.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) const fn columns(measure: &Measure) -> &'static [&'static str] {
    match measure {
        Measure::Requests | Measure::Coverage(_) => &["requests"],
        Measure::Errors => &["errors"],
        Measure::ErrorRate | Measure::SuccessRate => &["errors", "requests"],
        Measure::Cancelled => &["cancelled"],
        Measure::LlmCalls => &["llm_calls"],
        Measure::CostCoverage(_) => &["cost_nanos"],
        Measure::Cost => &["cost_nanos", "priced", "partially_priced", "unpriced"],
        Measure::InputCost => &["input_cost_nanos", "cost_nanos", "priced", "partially_priced", "unpriced"],
        Measure::OutputCost => &["output_cost_nanos", "cost_nanos", "priced", "partially_priced", "unpriced"],
        Measure::OtherCost => {
            &["cost_nanos", "input_cost_nanos", "output_cost_nanos", "priced", "partially_priced", "unpriced"]
        }
        Measure::AvgCost => &["cost_nanos", "priced", "partially_priced"],
        Measure::UnpricedRequests => &["unpriced"],
        Measure::UnpricedShare => &["unpriced", "llm_calls"],
        Measure::InputTokens => &["input_tokens"],
        Measure::OutputTokens => &["output_tokens"],
        Measure::TotalTokens => &["input_tokens", "output_tokens"],
        Measure::CacheReadTokens => &["cache_read_tokens"],
        Measure::CacheWriteTokens => &["cache_write_tokens"],
        Measure::ReasoningTokens => &["reasoning_tokens"],
        Measure::InputAudioTokens => &["input_audio_tokens"],
        Measure::OutputAudioTokens => &["output_audio_tokens"],
        Measure::AvgTokens => &["input_tokens", "output_tokens", "with_usage"],
        Measure::AvgInputTokens => &["input_tokens", "with_usage"],
        Measure::AvgOutputTokens => &["output_tokens", "with_usage"],
        Measure::AvgLatency => &["latency_ms", "requests"],
        Measure::P50Latency | Measure::P90Latency | Measure::P95Latency | Measure::P99Latency => &["latency"],
        Measure::AvgFirstToken => &["first_token_ms", "first_tokens"],
        Measure::P50FirstToken | Measure::P90FirstToken | Measure::P95FirstToken | Measure::P99FirstToken => {
            &["first_token"]
        }
        Measure::CacheHits => &["cache_hits"],
        Measure::CacheHitRate => &["cache_hits", "with_usage"],
        Measure::CacheSavings => &["cache_savings_nanos"],
        Measure::FirstSeen => &["first_seen_micros", "requests"],
        Measure::LastSeen => &["last_seen_micros", "requests"],
        Measure::FeedbackRequests | Measure::FeedbackScore | Measure::Distinct(_) => &[],
    }
}

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
        Measure::Cost => totals.known_cost_nanos().and_then(nanos),
        Measure::InputCost => totals.known_cost_nanos().and_then(|_| nanos(totals.input_cost_nanos)),
        Measure::OutputCost => totals.known_cost_nanos().and_then(|_| nanos(totals.output_cost_nanos)),
        Measure::OtherCost => {
            let parts = totals.input_cost_nanos.saturating_add(totals.output_cost_nanos);
            totals.known_cost_nanos().and_then(|cost| nanos(cost.saturating_sub(parts)))
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
    /// The sums of the requests without a value, or with an empty one.
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

#[cfg(all(test, any(feature = "postgres", feature = "sqlite")))]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::{
        analytics::{FeedbackTotals, Measure},
        row::EventRow,
        store::{Totals, rollup::SumColumn},
    };

    use super::{columns, value};

    /// Returns sums that all differ, without the columns that are not listed.
    fn totals(names: impl Fn(&str) -> bool) -> Totals {
        let mut row = EventRow::blank();
        row.requested_at = SystemTime::UNIX_EPOCH + Duration::from_micros(7);
        (row.response_time_ms, row.time_to_first_token_ms) = (40, Some(5));
        let whole = Totals::of(&row);
        let number = |(at, name): (usize, &&str)| if names(name) { 1_000 + 7 * i64::try_from(at).unwrap() } else { 0 };
        let sums: Vec<i64> = Totals::SUMS.iter().enumerate().map(number).collect();
        let mut totals = Totals::from_sums(&sums);
        for column in SumColumn::all().filter(|column| names(column.name())) {
            match column {
                SumColumn::Sum(_) => {}
                SumColumn::FirstSeen => totals.first_seen_micros = 3,
                SumColumn::LastSeen => totals.last_seen_micros = 9,
                SumColumn::Latency => totals.latency = whole.latency.clone(),
                SumColumn::FirstToken => totals.first_token = whole.first_token.clone(),
            }
        }
        totals
    }

    #[test]
    fn the_columns_of_a_measure_suffice_to_compute_it() {
        let all = totals(|_| true);
        for measure in Measure::ALL {
            let names = columns(measure);
            assert!(names.iter().all(|name| SumColumn::all().any(|column| column.name() == *name)), "{measure}");
            let feedback = FeedbackTotals::default();
            let known = value(measure, &all, &feedback);
            assert_eq!(known.is_some(), *measure != Measure::FeedbackScore, "{measure}");
            assert_eq!(value(measure, &totals(|name| names.contains(&name)), &feedback), known, "{measure}");
        }
    }
}
