use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};

use crate::{
    analytics::{Explanation, ExportFormat},
    registry::Permission,
};

use super::{api_error::ApiError, caller::Caller, json_body::JsonBody, query_form::QueryForm, state::ApiState};

/// Answers `POST /query` as JSON, or as CSV if the client prefers it.
pub(crate) async fn query(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(form): JsonBody<QueryForm>,
) -> Result<Response, ApiError> {
    caller.require(Permission::AnalyticsView)?;
    let answer = api.analytics.run(&form.into_query(&api.shared.zone)?, &caller.grant).await?;
    if !prefers_csv(&headers) {
        return Ok(Json(answer).into_response());
    }
    Ok(([(header::CONTENT_TYPE, ExportFormat::Csv.media_type())], answer.to_csv()?).into_response())
}

/// Returns `true` if `accept` lists `text/csv` before JSON and media types of any kind.
fn prefers_csv(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT).iter().filter_map(|list| list.to_str().ok());
    let mut types = lists.flat_map(|list| list.split(',')).filter_map(|range| range.split(';').next().map(str::trim));
    let offered = ["text/csv", "application/json", "application/*", "*/*"];
    let first = types.find(|media_type| offered.iter().any(|offer| offer.eq_ignore_ascii_case(media_type)));
    first.is_some_and(|media_type| media_type.eq_ignore_ascii_case("text/csv"))
}

/// Answers `POST /query/explain`.
pub(crate) async fn explain(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(form): JsonBody<QueryForm>,
) -> Result<Json<Explanation>, ApiError> {
    caller.require(Permission::AnalyticsView)?;
    Ok(Json(api.analytics.explain(&form.into_query(&api.shared.zone)?, &caller.grant).await?))
}
