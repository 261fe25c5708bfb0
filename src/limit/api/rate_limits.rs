use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde_json::{Map, Value};

use crate::{
    analytics::api::{ApiError, ApiState, Caller, JsonBody, List, NONE, Paging},
    registry::Permission,
};

use super::{
    super::{
        limiter::Limiter,
        policies::{PolicyForm, RateLimitForm},
    },
    done::Done,
    parameters::{RATE_LIMIT, RATE_LIMITS},
    policies::{self, is_listed},
    rate_shape::{RateLimitShape, unit_text},
};

const KIND: &str = PolicyForm::RATE;

/// Answers `POST /policies/rate-limits`.
pub(super) async fn create(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    JsonBody(form): JsonBody<RateLimitForm>,
) -> Result<Json<RateLimitShape>, ApiError> {
    caller.require(Permission::Admin, NONE)?;
    let listed = policies::create(&api, &limiter, &caller, PolicyForm::Rate(form)).await?;
    Ok(Json(RateLimitShape::new(&listed)))
}

/// Answers `GET /policies/rate-limits`.
pub(super) async fn list(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
) -> Result<Json<List<RateLimitShape>>, ApiError> {
    let parameters = caller.require(Permission::Admin, RATE_LIMITS)?;
    let paging = Paging::read(&parameters)?;
    let kind = parameters.word("type", &["requests", "tokens"])?;
    let unit = parameters.word("unit", &["rps", "rpm", "rph", "rpd", "rpw"])?;
    let target = parameters.word("target", &["llm", "mcp_tools"])?;
    let mut found = Vec::new();
    for listed in policies::all(&api, &limiter, &caller, KIND).await? {
        let is_found = kind.is_none_or(|kind| kind == listed.rule.unit().as_str())
            && unit.is_none_or(|unit| unit == unit_text(listed.rule.kind()))
            && target != Some("mcp_tools");
        if is_listed(&parameters, &listed)? && is_found {
            found.push(RateLimitShape::new(&listed));
        }
    }
    Ok(Json(List::new(found.len() as u64, paging.of(found))))
}

/// Answers `GET /policies/rate-limits/{id}`.
pub(super) async fn read(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<RateLimitShape>, ApiError> {
    let parameters = caller.require(Permission::Admin, RATE_LIMIT)?;
    let listed = policies::find(&api, &limiter, &caller, KIND, &id).await?;
    if is_listed(&parameters, &listed)? {
        Ok(Json(RateLimitShape::new(&listed)))
    } else {
        Err(ApiError::not_found("limit not found"))
    }
}

/// Answers `PUT /policies/rate-limits/{id}`.
pub(super) async fn update(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(patch): JsonBody<Map<String, Value>>,
) -> Result<Json<RateLimitShape>, ApiError> {
    caller.require(Permission::Admin, NONE)?;
    let listed = policies::update(&api, &limiter, &caller, (KIND, &id), &patch).await?;
    Ok(Json(RateLimitShape::new(&listed)))
}

/// Answers `DELETE /policies/rate-limits/{id}`.
pub(super) async fn delete(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Done>, ApiError> {
    caller.require(Permission::Admin, NONE)?;
    policies::delete(&api, &limiter, &caller, KIND, &id).await?;
    Ok(Json(Done {}))
}
