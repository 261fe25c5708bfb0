use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    analytics::{Answer, Bucket, Cell, Grant, Measure, Query, RowQuery},
    registry::Permission,
};

use super::{
    api_error::ApiError,
    caller::Caller,
    parameter::{Accepted, SELECTION, SERIES},
    parameters::Parameters,
    selection::Selection,
    state::ApiState,
};

/// A caller with a permission, and the requests that the parameters select.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) api: ApiState,
    pub(crate) grant: Grant,
    permission: Permission,
    pub(crate) parameters: Parameters,
    selection: Selection,
}

impl View {
    /// Reads the caller and the parameters of a request.
    ///
    /// # Errors
    /// Returns the statuses 401 and 403 before it looks at the parameters, and 400 if one is missing, invalid, or not
    /// accepted.
    pub(crate) async fn read(
        head: &mut Parts,
        api: &ApiState,
        permission: Permission,
        accepted: Accepted,
    ) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(head, api).await?;
        let parameters = caller.require(permission, accepted)?;
        let mut selection = Selection::read(&parameters, &caller.grant, &api.shared.zone)?;
        if let Some(feedback) = selection.feedback {
            let traces = api.analytics.traces_with_feedback(feedback, &selection.filters, &caller.grant).await?;
            selection.filters.push(traces);
        }
        Ok(Self { api: api.clone(), grant: caller.grant, permission, parameters, selection })
    }

    /// Returns a query for the selected requests, without measures.
    pub(crate) fn query(&self) -> Query {
        let query = Query::new(self.selection.range.clone());
        self.selection.filters.iter().cloned().fold(query, Query::filter)
    }

    /// Returns a query for the selected requests themselves.
    pub(crate) fn row_query(&self) -> RowQuery {
        let query = RowQuery::new(self.selection.range.clone());
        self.selection.filters.iter().cloned().fold(query, RowQuery::filter)
    }

    /// Answers a query.
    pub(crate) async fn run(&self, query: &Query) -> Result<Answer, ApiError> {
        Ok(self.api.analytics.run_with(self.permission, query, &self.grant).await?)
    }

    /// Returns the total and the series of measures.
    pub(crate) async fn series(&self, measures: impl IntoIterator<Item = Measure>) -> Result<Answer, ApiError> {
        let query = measures.into_iter().fold(self.query(), Query::measure);
        self.run(&query.bucket(Bucket::Auto)).await
    }
}

/// Reads a view of the selected requests, for graphs over time.
impl FromRequestParts<ApiState> for View {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, api: &ApiState) -> Result<Self, ApiError> {
        Self::read(head, api, Permission::AnalyticsView, SERIES).await
    }
}

/// A view for graphs and summaries without times, which take no time zone.
pub(crate) struct TotalView(pub(crate) View);

impl FromRequestParts<ApiState> for TotalView {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, api: &ApiState) -> Result<Self, ApiError> {
        View::read(head, api, Permission::AnalyticsView, SELECTION).await.map(Self)
    }
}

/// Returns the points of a series: the start of each bucket with its sums.
pub(crate) fn points<P>(answer: &Answer, point: impl Fn(String, &Cell) -> P) -> Vec<P> {
    answer.buckets.iter().zip(&answer.series).map(|(start, cell)| point(start.to_string(), cell)).collect()
}

/// Returns the value of a measure by its position in the query.
pub(crate) fn value(cell: &Cell, at: usize) -> Option<f64> {
    cell.values.get(at).copied().flatten().map(crate::analytics::Amount::as_f64)
}

/// Returns a count by its position in the query.
pub(crate) fn count(cell: &Cell, at: usize) -> u64 {
    match cell.values.get(at).copied().flatten() {
        Some(crate::analytics::Amount::Count(count)) => count,
        _ => 0,
    }
}
