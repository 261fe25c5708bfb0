//! The graphs of a response cache, which does not exist: their values are 0.
//!
//! The caches of providers for prompts are something else: see the measures `cache_hits`, `cache_hit_rate`, and
//! `cache_savings` of `POST /query`.

use crate::analytics::{Cell, Measure};

use super::{
    super::{
        api_error::ApiError,
        view::{TotalView, View, points},
        with_basis::WithBasis,
    },
    shapes::{
        CacheHitGraph, CacheHitPoint, CacheHitSummary, CacheLatencyGraph, CacheLatencyPoint, CacheLatencySummary,
        CacheSummary, CacheTotals,
    },
};

pub(crate) async fn hit_rate(view: View) -> Result<WithBasis<CacheHitGraph>, ApiError> {
    let answer = view.series([Measure::Requests]).await?;
    let point = |timestamp, _: &Cell| CacheHitPoint {
        timestamp,
        simple_hits: 0,
        semantic_hits: 0,
        rate: 0.0,
        cumulative_simple_cache_savings: 0.0,
        cumulative_semantic_cache_savings: 0.0,
    };
    Ok(WithBasis::new(
        CacheHitGraph::new(CacheHitSummary { total: 0, rate: 0.0 }, points(&answer, point)),
        answer.basis,
    ))
}

pub(crate) async fn latency(view: View) -> Result<WithBasis<CacheLatencyGraph>, ApiError> {
    let answer = view.series([Measure::Requests]).await?;
    let point = |timestamp, _: &Cell| CacheLatencyPoint { timestamp, avg: 0.0 };
    Ok(WithBasis::new(CacheLatencyGraph::new(CacheLatencySummary {}, points(&answer, point)), answer.basis))
}

pub(crate) async fn summary(TotalView(view): TotalView) -> Result<WithBasis<CacheSummary>, ApiError> {
    let answer = view.run(&view.query().measure(Measure::Requests)).await?;
    let total_requests = answer.total.totals.requests;
    let summary = CacheTotals { hits: 0, avg_latency: 0.0, total_requests, cache_speedup: 0.0 };
    Ok(WithBasis::new(CacheSummary { summary, object: "analytics-summary" }, answer.basis))
}
