use crate::{
    analytics::{Answer, Bucket, Cell, Group, Measure, Query},
    row::Field,
};

use super::{
    super::{
        api_error::ApiError,
        view::{TotalView, View, points, value},
        with_basis::WithBasis,
    },
    shapes::{
        ErrorRateGraph, ErrorRatePoint, ErrorRateSummary, ErrorStacksGraph, ErrorStacksPoint, ErrorStacksSummary,
        ErrorStatusGraph, ErrorStatusPoint, ErrorStatusSummary, ErrorsGraph, ErrorsPoint, ErrorsSummary, RescuedGraph,
        RescuedPoint, RescuedSummary, StatusCount,
    },
};

pub(crate) async fn errors(view: View) -> Result<WithBasis<ErrorsGraph>, ApiError> {
    let answer = view.series([Measure::Errors]).await?;
    let point = |timestamp, cell: &Cell| ErrorsPoint { timestamp, total: cell.totals.errors };
    Ok(WithBasis::new(
        ErrorsGraph::new(ErrorsSummary { total: answer.total.totals.errors }, points(&answer, point)),
        answer.basis,
    ))
}

pub(crate) async fn rate(view: View) -> Result<WithBasis<ErrorRateGraph>, ApiError> {
    let answer = view.series([Measure::ErrorRate]).await?;
    let point = |timestamp, cell: &Cell| ErrorRatePoint { timestamp, rate: value(cell, 0) };
    Ok(WithBasis::new(
        ErrorRateGraph::new(ErrorRateSummary { rate: value(&answer.total, 0) }, points(&answer, point)),
        answer.basis,
    ))
}

pub(crate) async fn stacks(view: View) -> Result<WithBasis<ErrorStacksGraph>, ApiError> {
    let answer = view.run(&by_status(&view).bucket(Bucket::Auto)).await?;
    let counts = |at: usize| {
        let count = |group: &Group| {
            let count = group.series.get(at).map_or(0, |cell| cell.totals.errors);
            (count > 0).then(|| StatusCount { response_status_code: status(group), count })
        };
        answer.groups.iter().filter_map(count).collect()
    };
    let starts = answer.buckets.iter().enumerate();
    let points = starts.map(|(at, start)| ErrorStacksPoint { timestamp: start.to_string(), stats: counts(at) });
    let summary = ErrorStacksSummary { total: answer.total.totals.errors };
    Ok(WithBasis::new(ErrorStacksGraph::new(summary, points.collect()), answer.basis))
}

pub(crate) async fn status_codes(TotalView(view): TotalView) -> Result<WithBasis<ErrorStatusGraph>, ApiError> {
    let answer = view.run(&by_status(&view)).await?;
    let failed: Vec<&Group> = answer.groups.iter().filter(|group| group.cell.totals.errors > 0).collect();
    let codes = failed.iter().filter(|group| status(group).is_some()).count() as u64;
    let point = |group: &&Group| ErrorStatusPoint { status_code: status(group), count: group.cell.totals.errors };
    let summary = ErrorStatusSummary { total_errors: answer.total.totals.errors, unique_error_codes: codes };
    Ok(WithBasis::new(ErrorStatusGraph::new(summary, failed.iter().map(point).collect()), answer.basis))
}

/// Returns a query for errors by status. Its groups without errors are left out, because sums by status need no condition.
fn by_status(view: &View) -> Query {
    view.query().group_by(Field::Status).measure(Measure::Errors).limit(Query::MAX_LIMIT)
}

fn status(group: &Group) -> Option<u16> {
    group.values.first()?.as_ref()?.parse().ok()
}

/// Nothing retries a request on behalf of the client, so there is nothing to count.
pub(crate) async fn rescued(view: View) -> Result<WithBasis<RescuedGraph>, ApiError> {
    let answer: Answer = view.series([Measure::Requests]).await?;
    let point = |timestamp, _: &Cell| RescuedPoint { timestamp, retry: Vec::new(), fallback: 0 };
    Ok(WithBasis::new(
        RescuedGraph::new(RescuedSummary { retry: 0, fallback: 0 }, points(&answer, point)),
        answer.basis,
    ))
}
