use crate::{
    analytics::{Bucket, Cell, Filter, Measure},
    metadata::USER_KEY,
    row::Dimension,
};

use super::{
    super::{
        api_error::ApiError,
        view::{View, count, points},
        with_basis::WithBasis,
    },
    shapes::{UserRequestsGraph, UserRequestsPoint, UserRequestsSummary, UsersGraph, UsersPoint, UsersSummary},
};

pub(crate) async fn users(view: View) -> Result<WithBasis<UsersGraph>, ApiError> {
    let answer = view.series([Measure::Distinct(Dimension::tag(USER_KEY))]).await?;
    let point = |timestamp, cell: &Cell| UsersPoint { timestamp, total: count(cell, 0) };
    Ok(WithBasis::new(
        UsersGraph::new(UsersSummary { total: count(&answer.total, 0) }, points(&answer, point)),
        answer.basis,
    ))
}

pub(crate) async fn requests(view: View) -> Result<WithBasis<UserRequestsGraph>, ApiError> {
    let user = Dimension::tag(USER_KEY);
    let query = view.query().filter(Filter::Has(user.clone())).measure(Measure::Distinct(user)).bucket(Bucket::Auto);
    let answer = view.run(&query).await?;
    let point = |timestamp, cell: &Cell| UserRequestsPoint { timestamp, avg: average(cell) };
    let total = &answer.total;
    let summary = UserRequestsSummary { total: total.totals.requests, unique: count(total, 0), avg: average(total) };
    Ok(WithBasis::new(UserRequestsGraph::new(summary, points(&answer, point)), answer.basis))
}

/// Returns the requests per user. `None` without users.
#[allow(clippy::cast_precision_loss, reason = "averages are not exact")]
fn average(cell: &Cell) -> Option<f64> {
    let users = count(cell, 0);
    (users > 0).then(|| cell.totals.requests as f64 / users as f64)
}
