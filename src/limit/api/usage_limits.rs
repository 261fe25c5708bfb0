use std::{collections::BTreeMap, time::SystemTime};

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
        policies::{PolicyForm, UsageLimitForm},
    },
    done::Done,
    limit_group::{find_value, groups},
    parameters::{USAGE_LIMIT, USAGE_LIMITS},
    policies::{self, is_listed},
    reset,
    usage_shape::{UsageLimitShape, UsageShape, value_key},
};

const KIND: &str = PolicyForm::USAGE;
/// The member of a change that resets the usage of a group.
const RESET: &str = "reset_usage_for_value";
/// The largest number of groups whose usage is included.
const MAX_USAGE: usize = 1_000;

/// Answers `POST /policies/usage-limits`.
pub(super) async fn create(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    JsonBody(form): JsonBody<UsageLimitForm>,
) -> Result<Json<UsageLimitShape>, ApiError> {
    caller.require(Permission::Admin, NONE)?;
    let listed = policies::create(&api, &limiter, &caller, PolicyForm::Usage(form)).await?;
    Ok(Json(UsageLimitShape::new(&listed, SystemTime::now())))
}

/// Answers `GET /policies/usage-limits`.
pub(super) async fn list(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
) -> Result<Json<List<UsageLimitShape>>, ApiError> {
    let parameters = caller.require(Permission::Admin, USAGE_LIMITS)?;
    let paging = Paging::read(&parameters)?;
    let kind = parameters.word("type", &["cost", "tokens", "requests"])?;
    let (mut found, now) = (Vec::new(), SystemTime::now());
    for listed in policies::all(&api, &limiter, &caller, KIND).await? {
        let unit = crate::limit::policies::usage_type(listed.rule.unit());
        if is_listed(&parameters, &listed)? && kind.is_none_or(|kind| kind == unit) {
            found.push(UsageLimitShape::new(&listed, now));
        }
    }
    Ok(Json(List::new(found.len() as u64, paging.of(found))))
}

/// Answers `GET /policies/usage-limits/{id}`.
pub(super) async fn read(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<UsageLimitShape>, ApiError> {
    let parameters = caller.require(Permission::Admin, USAGE_LIMIT)?;
    let listed = policies::find(&api, &limiter, &caller, KIND, &id).await?;
    if !is_listed(&parameters, &listed)? {
        return Err(ApiError::not_found("limit not found"));
    }
    let shape = UsageLimitShape::new(&listed, SystemTime::now());
    if parameters.word("include_usage", &["true", "false"])? != Some("true") {
        return Ok(Json(shape));
    }
    limiter.refresh_from(&api.analytics).await?;
    let found = groups(&limiter, &id, SystemTime::now()).await?;
    let usage: BTreeMap<String, UsageShape> = found
        .list
        .iter()
        .take(MAX_USAGE)
        .map(|group| (value_key(&group.usage), UsageShape::new(group.current(), group.is_exhausted())))
        .collect();
    Ok(Json(shape.with_usage(usage)))
}

/// Answers `PUT /policies/usage-limits/{id}`.
pub(super) async fn update(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(mut patch): JsonBody<Map<String, Value>>,
) -> Result<Json<UsageLimitShape>, ApiError> {
    caller.require(Permission::Admin, NONE)?;
    let value = match patch.remove(RESET) {
        None => None,
        Some(Value::String(value)) => Some(value),
        Some(_) => return Err(ApiError::invalid(format!("{RESET}: expected a text"))),
    };
    if let Some(value) = &value {
        // Before anything is changed.
        let listed = policies::find(&api, &limiter, &caller, KIND, &id).await?;
        policies::changeable(&listed)?;
        // The credits of other processes.
        limiter.refresh_from(&api.analytics).await?;
        find_value(&limiter, &id, value).await?;
    }
    let listed = policies::update(&api, &limiter, &caller, (KIND, &id), &patch).await?;
    if let Some(value) = value {
        let group = find_value(&limiter, &id, &value).await?;
        reset::reset(&api, &limiter, &caller, &listed, &group).await?;
    }
    Ok(Json(UsageLimitShape::new(&listed, SystemTime::now())))
}

/// Answers `DELETE /policies/usage-limits/{id}`.
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
