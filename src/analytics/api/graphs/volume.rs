use axum::Json;

use crate::{
    analytics::{Answer, Cell, Measure},
    store::Totals,
};

use super::{
    super::{
        api_error::ApiError,
        cents::{cents, cents_per},
        view::{View, points, value},
    },
    shapes::{
        CostGraph, CostPoint, CostSummary, LatencyGraph, LatencyPoint, LatencySummary, RequestsGraph, RequestsPoint,
        RequestsSummary, TokensGraph, TokensPoint, TokensSummary,
    },
};

pub(crate) async fn requests(view: View) -> Result<Json<RequestsGraph>, ApiError> {
    let answer = view.series([Measure::Requests]).await?;
    let point = |timestamp, cell: &Cell| RequestsPoint { timestamp, total: cell.totals.requests };
    let summary = RequestsSummary { total: answer.total.totals.requests };
    Ok(Json(RequestsGraph::new(summary, points(&answer, point))))
}

pub(crate) async fn cost(view: View) -> Result<Json<CostGraph>, ApiError> {
    let answer = view.series([Measure::Cost]).await?;
    let values = |totals: &Totals| {
        let known = totals.priced.saturating_add(totals.partially_priced);
        (cents(totals.cost_nanos), cents_per(totals.cost_nanos, known))
    };
    let (total, avg) = values(&answer.total.totals);
    let point = |timestamp, cell: &Cell| {
        let (total, avg) = values(&cell.totals);
        CostPoint { timestamp, total, avg }
    };
    Ok(Json(CostGraph::new(CostSummary { total, avg }, points(&answer, point))))
}

pub(crate) async fn tokens(view: View) -> Result<Json<TokensGraph>, ApiError> {
    let answer = view.series([Measure::TotalTokens, Measure::AvgTokens]).await?;
    let total = |totals: &Totals| totals.input_tokens.saturating_add(totals.output_tokens);
    let point = |timestamp, cell: &Cell| TokensPoint { timestamp, total: total(&cell.totals), avg: value(cell, 1) };
    let summary = TokensSummary { total: total(&answer.total.totals), avg: value(&answer.total, 1) };
    Ok(Json(TokensGraph::new(summary, points(&answer, point))))
}

pub(crate) async fn latency(view: View) -> Result<Json<LatencyGraph>, ApiError> {
    let measures = [Measure::AvgLatency, Measure::P50Latency, Measure::P90Latency, Measure::P99Latency];
    let answer: Answer = view.series(measures).await?;
    let values = |cell: &Cell| [0, 1, 2, 3].map(|at| value(cell, at));
    let [avg, p50, p90, p99] = values(&answer.total);
    let point = |timestamp, cell: &Cell| {
        let [avg, p50, p90, p99] = values(cell);
        LatencyPoint { timestamp, avg, p50, p90, p99 }
    };
    Ok(Json(LatencyGraph::new(LatencySummary { avg, p50, p90, p99 }, points(&answer, point))))
}
