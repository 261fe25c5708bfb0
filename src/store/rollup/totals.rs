use std::time::{Duration, SystemTime};

use crate::{row::EventRow, time::micros_since_1970};

use super::Histogram;

/// Declares [`Totals`] from the list of its sums.
macro_rules! totals {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Sums over a set of requests.
        ///
        /// All sums are integers, so their order changes nothing. Unknown values add nothing: compare
        /// [`llm_calls`](Self::llm_calls) with [`priced`](Self::priced) to see how much of the cost is known.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Totals {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// The savings by prompt caches, minus the cost of writing to them, in nano-dollars.
            pub cache_savings_nanos: i64,
            /// The time of the first request, in microseconds since 1970. 0 if there are no requests.
            pub first_seen_micros: u64,
            /// The time of the last request, in microseconds since 1970.
            pub last_seen_micros: u64,
            pub(crate) latency: Histogram,
            pub(crate) first_token: Histogram,
        }

        impl Totals {
            /// The names of the columns that hold the sums, in the order of [`sums`](Self::sums).
            pub(crate) const SUMS: &'static [&'static str] = &[$(stringify!($name),)+ "cache_savings_nanos"];

            /// Returns the sums.
            pub(crate) fn sums(&self) -> [i64; Self::SUMS.len()] {
                [$(i64::try_from(self.$name).unwrap_or(i64::MAX),)+ self.cache_savings_nanos]
            }

            /// Reads sums in the order of [`sums`](Self::sums), without times and histograms.
            pub(crate) fn from_sums(sums: &[i64]) -> Self {
                let mut sums = sums.iter().copied();
                let mut next = || sums.next().unwrap_or(0);
                Self {
                    $($name: next().unsigned_abs(),)+
                    cache_savings_nanos: next(),
                    ..Self::default()
                }
            }

            fn add_sums(&mut self, other: &Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)+
                self.cache_savings_nanos = self.cache_savings_nanos.saturating_add(other.cache_savings_nanos);
            }
        }
    };
}

totals! {
    /// Requests.
    requests,
    /// Requests that [count as errors](crate::Event::is_error).
    errors,
    /// Requests that the client cancelled.
    cancelled,
    /// Requests that were LLM calls.
    llm_calls,
    /// LLM calls whose cost is known.
    priced,
    /// LLM calls of whose cost only a part is known.
    partially_priced,
    /// LLM calls whose cost is unknown.
    unpriced,
    /// The known cost, in nano-dollars.
    cost_nanos,
    /// The known cost of input, in nano-dollars.
    input_cost_nanos,
    /// The known cost of output, in nano-dollars.
    output_cost_nanos,
    /// LLM calls whose tokens are known.
    with_usage,
    /// All input tokens, including cache reads and writes.
    input_tokens,
    /// All output tokens, including reasoning.
    output_tokens,
    /// Input tokens that were read from a prompt cache.
    cache_read_tokens,
    /// Input tokens that were written to a prompt cache.
    cache_write_tokens,
    /// Output tokens that were reasoning.
    reasoning_tokens,
    /// Input tokens that were audio.
    input_audio_tokens,
    /// Output tokens that were audio.
    output_audio_tokens,
    /// LLM calls that read from a prompt cache.
    cache_hits,
    /// Milliseconds that the requests took in sum.
    latency_ms,
    /// Requests whose time to the first token is known.
    first_tokens,
    /// Milliseconds to the first token in sum.
    first_token_ms,
}

impl Totals {
    /// Returns the sums of a single request.
    pub fn of(row: &EventRow) -> Self {
        let time = micros_since_1970(row.requested_at);
        let tokens = |count: Option<u64>| count.unwrap_or(0);
        let status = row.cost_status.as_deref();
        let mut totals = Self {
            requests: 1,
            unpriced: row.is_unpriced().into(),
            errors: row.is_error.into(),
            cancelled: (row.outcome == "cancelled").into(),
            llm_calls: row.usage_status.is_some().into(),
            priced: (status == Some("priced")).into(),
            partially_priced: (status == Some("partial") && row.total_cost_nanos.is_some()).into(),
            cost_nanos: row.total_cost_nanos.unwrap_or(0),
            input_cost_nanos: row.input_cost_nanos.unwrap_or(0),
            output_cost_nanos: row.output_cost_nanos.unwrap_or(0),
            with_usage: (row.input_tokens.is_some() || row.output_tokens.is_some()).into(),
            input_tokens: tokens(row.input_tokens),
            output_tokens: tokens(row.output_tokens),
            cache_read_tokens: tokens(row.cache_read_tokens),
            cache_write_tokens: tokens(row.cache_write_tokens),
            reasoning_tokens: tokens(row.reasoning_tokens),
            input_audio_tokens: tokens(row.input_audio_tokens),
            output_audio_tokens: tokens(row.output_audio_tokens),
            cache_hits: row.cache_read_tokens.is_some_and(|count| count > 0).into(),
            latency_ms: row.response_time_ms.into(),
            first_tokens: row.time_to_first_token_ms.is_some().into(),
            first_token_ms: row.time_to_first_token_ms.unwrap_or(0).into(),
            first_seen_micros: time,
            last_seen_micros: time,
            cache_savings_nanos: row.cache_savings_nanos.unwrap_or(0),
            ..Self::default()
        };
        totals.latency.insert(row.response_time_ms);
        if let Some(millis) = row.time_to_first_token_ms {
            totals.first_token.insert(millis);
        }
        totals
    }

    /// Returns the sums without distributions.
    pub(crate) fn without_histograms(&self) -> Self {
        let mut slim = Self::from_sums(&self.sums());
        (slim.first_seen_micros, slim.last_seen_micros) = (self.first_seen_micros, self.last_seen_micros);
        slim
    }

    /// Adds the sums of other requests.
    pub fn add(&mut self, other: &Self) {
        if other.requests > 0 {
            let first = if self.requests == 0 { u64::MAX } else { self.first_seen_micros };
            self.first_seen_micros = first.min(other.first_seen_micros);
            self.last_seen_micros = self.last_seen_micros.max(other.last_seen_micros);
        }
        self.add_sums(other);
        self.latency.merge(&other.latency);
        self.first_token.merge(&other.first_token);
    }

    /// Returns the known cost. `None` if there are LLM calls and none of them has a known cost.
    #[cfg(feature = "analytics")]
    pub(crate) const fn known_cost_nanos(&self) -> Option<u64> {
        let is_unknown = self.unpriced > 0 && self.priced == 0 && self.partially_priced == 0 && self.cost_nanos == 0;
        if is_unknown { None } else { Some(self.cost_nanos) }
    }

    /// Returns the time of the first request.
    pub fn first_seen(&self) -> Option<SystemTime> {
        (self.requests > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_micros(self.first_seen_micros))
    }

    /// Returns the time of the last request.
    pub fn last_seen(&self) -> Option<SystemTime> {
        (self.requests > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_micros(self.last_seen_micros))
    }

    /// Returns the time within which the share `q` of the requests ended, in milliseconds. `q` is from 0 to 1.
    ///
    /// The relative error is 1 %. `None` if there are no requests, if no measure of the query needed the distribution, or if
    /// it is not kept because the dimension has too many values.
    pub fn latency_quantile(&self, q: f64) -> Option<f64> {
        self.latency.quantile(q)
    }

    /// Returns a quantile of the time to the first token in milliseconds, as [`latency_quantile`](Self::latency_quantile).
    pub fn first_token_quantile(&self, q: f64) -> Option<f64> {
        self.first_token.quantile(q)
    }
}
