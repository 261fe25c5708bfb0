//! The measures that pages offer, with their names for people.

use crate::analytics::Measure;

/// Lists measures with their names.
macro_rules! listed {
    ($($measure:ident, $label:literal, $is_sum:literal;)+) => {
        &[$((Measure::$measure, $label, $is_sum)),+]
    };
}

/// The measures that can be explored: measure, name, and whether its values add up.
pub(crate) const LISTED: &[(Measure, &str, bool)] = listed! {
    Cost, "Cost", true;
    InputCost, "Cost of input", true;
    OutputCost, "Cost of output", true;
    AvgCost, "Cost per request", false;
    Requests, "Requests", true;
    LlmCalls, "LLM calls", true;
    Errors, "Errors", true;
    ErrorRate, "Error rate", false;
    Cancelled, "Cancelled requests", true;
    UnpricedRequests, "Unpriced LLM calls", true;
    InputTokens, "Input tokens", true;
    OutputTokens, "Output tokens", true;
    TotalTokens, "Tokens", true;
    CacheReadTokens, "Cached input tokens", true;
    CacheWriteTokens, "Tokens written to caches", true;
    ReasoningTokens, "Reasoning tokens", true;
    AvgTokens, "Tokens per request", false;
    AvgLatency, "Latency, average", false;
    P50Latency, "Latency p50", false;
    P90Latency, "Latency p90", false;
    P95Latency, "Latency p95", false;
    P99Latency, "Latency p99", false;
    P50FirstToken, "First token p50", false;
    P95FirstToken, "First token p95", false;
    CacheHitRate, "Cache hit rate", false;
    CacheSavings, "Saved by caching", false;
    FeedbackRequests, "Requests with feedback", true;
    FeedbackScore, "Feedback score", false;
};
