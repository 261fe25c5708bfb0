use std::fmt;

use crate::row::Dimension;

/// Declares [`Measure`]: the measures that have a fixed name, and those with a parameter.
macro_rules! measures {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:literal;)+) => {
        /// A value that is computed for a group of requests.
        ///
        /// Rates range from 0 to 100. Durations are in milliseconds, and their quantiles have a relative error of 1 %. Unknown
        /// costs and tokens add nothing to a sum; [`UnpricedRequests`](Self::UnpricedRequests) counts the calls without a cost.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Measure {
            $($(#[doc = $doc])+ $variant,)+
            /// The number of different values of a dimension. Requests without a value do not count.
            Distinct(Dimension),
            /// The share of requests that have a value for a tag that is not empty.
            Coverage(String),
            /// The share of the known cost that is of requests with a value for a tag that is not empty.
            CostCoverage(String),
        }

        impl Measure {
            /// All measures without a parameter.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn plain_name(&self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($name),)+
                    _ => None,
                }
            }
        }
    };
}

measures! {
    /// Requests.
    Requests, "requests";
    /// Requests with a status ≥ 400, that failed or panicked, or with an error inside the LLM response. A cancellation by
    /// the client is never an error.
    Errors, "errors";
    /// The share of requests that are errors.
    ErrorRate, "error_rate";
    /// The share of requests that are not errors.
    SuccessRate, "success_rate";
    /// Requests that the client cancelled.
    Cancelled, "cancelled";
    /// Requests that were LLM calls.
    LlmCalls, "llm_calls";
    /// The known cost. `None` if there are LLM calls and no cost of them is known.
    Cost, "cost";
    /// The known cost of input. `None` as for `cost`.
    InputCost, "input_cost";
    /// The known cost of output. `None` as for `cost`.
    OutputCost, "output_cost";
    /// The known cost that is neither input nor output, or whose parts are unknown.
    OtherCost, "other_cost";
    /// The known cost per LLM call whose cost is known.
    AvgCost, "avg_cost";
    /// LLM calls whose cost is unknown. A call that the provider answered with an error status and without usage was refused,
    /// and is not one of them.
    UnpricedRequests, "unpriced_requests";
    /// The share of LLM calls whose cost is unknown.
    UnpricedShare, "unpriced_share";
    /// Input tokens, including cache reads and writes.
    InputTokens, "input_tokens";
    /// Output tokens, including reasoning.
    OutputTokens, "output_tokens";
    /// Input and output tokens.
    TotalTokens, "total_tokens";
    /// Input tokens that were read from a prompt cache.
    CacheReadTokens, "cache_read_tokens";
    /// Input tokens that were written to a prompt cache.
    CacheWriteTokens, "cache_write_tokens";
    /// Output tokens that were reasoning.
    ReasoningTokens, "reasoning_tokens";
    /// Input tokens that were audio.
    InputAudioTokens, "input_audio_tokens";
    /// Output tokens that were audio.
    OutputAudioTokens, "output_audio_tokens";
    /// Tokens per LLM call whose tokens are known.
    AvgTokens, "avg_tokens";
    /// Input tokens per LLM call whose tokens are known.
    AvgInputTokens, "avg_input_tokens";
    /// Output tokens per LLM call whose tokens are known.
    AvgOutputTokens, "avg_output_tokens";
    /// The average time of a request.
    AvgLatency, "avg_latency";
    /// The time within which half of the requests ended.
    P50Latency, "p50_latency";
    /// The time within which 90 % of the requests ended.
    P90Latency, "p90_latency";
    /// The time within which 95 % of the requests ended.
    P95Latency, "p95_latency";
    /// The time within which 99 % of the requests ended.
    P99Latency, "p99_latency";
    /// The average time to the first token of LLM streams.
    AvgFirstToken, "avg_first_token";
    /// The median of the time to the first token.
    P50FirstToken, "p50_first_token";
    /// The 90th percentile of the time to the first token.
    P90FirstToken, "p90_first_token";
    /// The 95th percentile of the time to the first token.
    P95FirstToken, "p95_first_token";
    /// The 99th percentile of the time to the first token.
    P99FirstToken, "p99_first_token";
    /// LLM calls that read from a prompt cache.
    CacheHits, "cache_hits";
    /// The share of LLM calls whose tokens are known that read from a prompt cache.
    CacheHitRate, "cache_hit_rate";
    /// The savings by prompt caches, minus the cost of writing to them.
    CacheSavings, "cache_savings";
    /// The time of the first request.
    FirstSeen, "first_seen";
    /// The time of the last request.
    LastSeen, "last_seen";
    /// Requests with feedback on their trace.
    FeedbackRequests, "feedback_requests";
    /// The average of the feedback values, each multiplied by its weight.
    FeedbackScore, "feedback_score";
}

impl Measure {
    /// Returns the measure with a name, such as `cost` or `distinct(metadata._user)`.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some(measure) = Self::ALL.iter().find(|measure| measure.plain_name() == Some(name)) {
            return Some(measure.clone());
        }
        let (function, argument) = name.strip_suffix(')')?.split_once('(')?;
        let dimension = Dimension::from_name(argument)?;
        match (function, dimension) {
            ("distinct", dimension) => Some(Self::Distinct(dimension)),
            ("coverage", Dimension::Tag(key)) => Some(Self::Coverage(key)),
            ("cost_coverage", Dimension::Tag(key)) => Some(Self::CostCoverage(key)),
            _ => None,
        }
    }

    /// Returns the dimension that must be known in addition to the groups.
    pub(crate) fn extra_dimension(&self) -> Option<Dimension> {
        match self {
            Self::Distinct(dimension) => Some(dimension.clone()),
            Self::Coverage(key) | Self::CostCoverage(key) => Some(Dimension::tag(key)),
            _ => None,
        }
    }

    /// Returns `true` if the measure needs the distribution of a duration.
    pub(crate) fn is_quantile(&self) -> bool {
        self.plain_name()
            .is_some_and(|name| name.starts_with('p') && name.as_bytes().get(1).is_some_and(u8::is_ascii_digit))
    }

    /// Returns `true` if the measure needs the feedback of requests.
    pub(crate) fn is_feedback(&self) -> bool {
        matches!(self, Self::FeedbackRequests | Self::FeedbackScore)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Distinct(dimension) => write!(f, "distinct({dimension})"),
            Self::Coverage(key) => write!(f, "coverage({})", Dimension::tag(key)),
            Self::CostCoverage(key) => write!(f, "cost_coverage({})", Dimension::tag(key)),
            plain => f.write_str(plain.plain_name().unwrap_or_default()),
        }
    }
}
