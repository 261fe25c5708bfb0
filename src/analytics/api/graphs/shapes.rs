use serde::Serialize;
use utoipa::ToSchema;

/// Declares a graph: its summary, and its points.
macro_rules! graphs {
    ($(
        $(#[doc = $doc:literal])+
        $graph:ident: $summary:ident { $($total:ident: $total_type:ty),* }, $point:ident { $($part:ident: $part_type:ty),* }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Serialize, ToSchema)]
            pub(crate) struct $graph {
                summary: $summary,
                data_points: Vec<$point>,
                /// Always `analytics-graph`.
                object: &'static str,
            }

            impl $graph {
                pub(crate) fn new(summary: $summary, data_points: Vec<$point>) -> Self {
                    Self { summary, data_points, object: "analytics-graph" }
                }
            }

            /// The values over the whole range.
            #[derive(Debug, Serialize, ToSchema)]
            pub(crate) struct $summary {
                $(pub(crate) $total: $total_type,)*
            }

            /// The values of one point.
            #[derive(Debug, Serialize, ToSchema)]
            pub(crate) struct $point {
                $(pub(crate) $part: $part_type,)*
            }
        )+
    };
}

graphs! {
    /// Requests.
    RequestsGraph: RequestsSummary { total: u64 }, RequestsPoint { timestamp: String, total: u64 }
    /// The known cost in cents, and its average per LLM call whose cost is known. `null` if no cost of the calls is known.
    CostGraph: CostSummary { total: Option<f64>, avg: Option<f64> }, CostPoint { timestamp: String, total: Option<f64>, avg: Option<f64> }
    /// Input and output tokens, and their average per LLM call whose tokens are known.
    TokensGraph: TokensSummary { total: u64, avg: Option<f64> }, TokensPoint { timestamp: String, total: u64, avg: Option<f64> }
    /// The time of requests in milliseconds. `null` without requests.
    LatencyGraph:
        LatencySummary { avg: Option<f64>, p50: Option<f64>, p90: Option<f64>, p99: Option<f64> },
        LatencyPoint { timestamp: String, avg: Option<f64>, p50: Option<f64>, p90: Option<f64>, p99: Option<f64> }
    /// Distinct values of the tag `_user`.
    UsersGraph: UsersSummary { total: u64 }, UsersPoint { timestamp: String, total: u64 }
    /// Requests with the tag `_user`, its distinct values, and the requests per value.
    UserRequestsGraph:
        UserRequestsSummary { total: u64, unique: u64, avg: Option<f64> },
        UserRequestsPoint { timestamp: String, avg: Option<f64> }
    /// Requests that are errors.
    ErrorsGraph: ErrorsSummary { total: u64 }, ErrorsPoint { timestamp: String, total: u64 }
    /// The share of requests that are errors, from 0 to 100. `null` without requests.
    ErrorRateGraph: ErrorRateSummary { rate: Option<f64> }, ErrorRatePoint { timestamp: String, rate: Option<f64> }
    /// Errors by status over time.
    ErrorStacksGraph: ErrorStacksSummary { total: u64 }, ErrorStacksPoint { timestamp: String, stats: Vec<StatusCount> }
    /// Errors by status.
    ErrorStatusGraph:
        ErrorStatusSummary { total_errors: u64, unique_error_codes: u64 },
        ErrorStatusPoint { status_code: Option<u16>, count: u64 }
    /// Requests that a retry or a fallback rescued. There are no retries and fallbacks, so all values are 0.
    RescuedGraph: RescuedSummary { retry: u64, fallback: u64 }, RescuedPoint { timestamp: String, retry: Vec<RetryCount>, fallback: u64 }
    /// Hits of a response cache. There is none, so all values are 0.
    CacheHitGraph:
        CacheHitSummary { total: u64, rate: f64 },
        CacheHitPoint {
            timestamp: String, simple_hits: u64, semantic_hits: u64, rate: f64, cumulative_simple_cache_savings: f64,
            cumulative_semantic_cache_savings: f64
        }
    /// The time of hits of a response cache. There is none, so all values are 0.
    CacheLatencyGraph: CacheLatencySummary {}, CacheLatencyPoint { timestamp: String, avg: f64 }
    /// Feedback on the traces of requests.
    FeedbackGraph: FeedbackSummary { total: u64 }, FeedbackPoint { timestamp: String, total: u64 }
    /// Feedback by its value.
    FeedbackScoresGraph: FeedbackScoresSummary { total: u64 }, FeedbackScoresPoint { score: i8, total: u64 }
    /// The average of feedback values, each multiplied by its weight. `null` without feedback.
    WeightedFeedbackGraph: WeightedFeedbackSummary { avg: Option<f64> }, WeightedFeedbackPoint { timestamp: String, avg: Option<f64> }
    /// Feedback by model.
    ModelFeedbackGraph:
        ModelFeedbackSummary {},
        ModelFeedbackPoint { ai_model: Option<String>, total: u64, avg_weighted_feedback: Option<f64> }
}

/// The errors with a status.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusCount {
    /// `null` if the request failed without a status.
    pub(crate) response_status_code: Option<u16>,
    pub(crate) count: u64,
}

/// The requests that a number of retries rescued.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryCount {
    pub(crate) retry_success_count: u64,
    pub(crate) count: u64,
}

/// The summary of a response cache. There is none, so only the number of requests is not 0.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CacheSummary {
    pub(crate) summary: CacheTotals,
    /// Always `analytics-summary`.
    pub(crate) object: &'static str,
}

/// The values of a response cache over the whole range.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CacheTotals {
    pub(crate) hits: u64,
    pub(crate) avg_latency: f64,
    pub(crate) total_requests: u64,
    pub(crate) cache_speedup: f64,
}
