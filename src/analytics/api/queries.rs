use axum::{Json, extract::State};

use crate::{
    analytics::{Answer, Explanation},
    registry::Permission,
};

use super::{api_error::ApiError, caller::Caller, json_body::JsonBody, query_form::QueryForm, state::ApiState};

/// Answers `POST /query`.
pub(crate) async fn query(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(form): JsonBody<QueryForm>,
) -> Result<Json<Answer>, ApiError> {
    caller.require(Permission::AnalyticsView)?;
    Ok(Json(api.analytics.run(&form.into_query(&api.shared.zone)?, &caller.grant).await?))
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
