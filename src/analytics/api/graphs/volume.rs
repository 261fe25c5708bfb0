use crate::{
    analytics::{Answer, Cell, Measure},
    store::Totals,
};

use super::{
    super::{
        api_error::ApiError,
        cents::{average_cents, known_cents},
        view::{View, points, value},
        with_basis::WithBasis,
    },
    shapes::{
        CostGraph, CostPoint, CostSummary, LatencyGraph, LatencyPoint, LatencySummary, RequestsGraph, RequestsPoint,
        RequestsSummary, TokensGraph, TokensPoint, TokensSummary,
    },
};

pub(crate) async fn requests(view: View) -> Result<WithBasis<RequestsGraph>, ApiError> {
    let answer = view.series([Measure::Requests]).await?;
    let point = |timestamp, cell: &Cell| RequestsPoint { timestamp, total: cell.totals.requests };
    let summary = RequestsSummary { total: answer.total.totals.requests };
    Ok(WithBasis::new(RequestsGraph::new(summary, points(&answer, point)), answer.basis))
}

pub(crate) async fn cost(view: View) -> Result<WithBasis<CostGraph>, ApiError> {
    let answer = view.series([Measure::Cost]).await?;
    let values = |totals: &Totals| (known_cents(totals), average_cents(totals));
    let (total, avg) = values(&answer.total.totals);
    let point = |timestamp, cell: &Cell| {
        let (total, avg) = values(&cell.totals);
        CostPoint { timestamp, total, avg }
    };
    Ok(WithBasis::new(CostGraph::new(CostSummary { total, avg }, points(&answer, point)), answer.basis))
}

pub(crate) async fn tokens(view: View) -> Result<WithBasis<TokensGraph>, ApiError> {
    let answer = view.series([Measure::TotalTokens, Measure::AvgTokens]).await?;
    let total = |totals: &Totals| totals.input_tokens.saturating_add(totals.output_tokens);
    let point = |timestamp, cell: &Cell| TokensPoint { timestamp, total: total(&cell.totals), avg: value(cell, 1) };
    let summary = TokensSummary { total: total(&answer.total.totals), avg: value(&answer.total, 1) };
    Ok(WithBasis::new(TokensGraph::new(summary, points(&answer, point)), answer.basis))
}

pub(crate) async fn latency(view: View) -> Result<WithBasis<LatencyGraph>, ApiError> {
    let measures = [Measure::AvgLatency, Measure::P50Latency, Measure::P90Latency, Measure::P99Latency];
    let answer: Answer = view.series(measures).await?;
    let values = |cell: &Cell| [0, 1, 2, 3].map(|at| value(cell, at));
    let [avg, p50, p90, p99] = values(&answer.total);
    let point = |timestamp, cell: &Cell| {
        let [avg, p50, p90, p99] = values(cell);
        LatencyPoint { timestamp, avg, p50, p90, p99 }
    };
    Ok(WithBasis::new(LatencyGraph::new(LatencySummary { avg, p50, p90, p99 }, points(&answer, point)), answer.basis))
}
