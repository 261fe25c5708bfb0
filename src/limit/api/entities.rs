//! The groups of a usage limit, which Portkey calls entities.

use std::time::SystemTime;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    analytics::api::{ApiError, ApiState, Caller, List, NONE, Paging},
    registry::Permission,
};

use super::{
    super::{limiter::Limiter, policies::PolicyForm, rules::Amount},
    done::Done,
    limit_group::{LimitGroup, groups},
    parameters::ENTITIES,
    policies,
    reset::reset,
    usage_shape::value_key,
};

const KIND: &str = PolicyForm::USAGE;

/// A group of a usage limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityShape {
    id: String,
    /// The keys and values of the group, such as `metadata.team:growth-api_key:web`, or `default` without groups.
    value_key: String,
    /// What is used since the start of the window, or since the last reset: US dollars, tokens, requests, or the quantity.
    current_usage: f64,
    /// What running requests have reserved.
    reserved: f64,
    /// `active` or `exhausted`.
    status: &'static str,
    /// The amount that resets have added to the limit.
    credit: f64,
}

impl EntityShape {
    fn new(group: &LimitGroup) -> Self {
        Self {
            id: group.id(),
            value_key: value_key(&group.usage),
            current_usage: group.current(),
            reserved: group.usage.reserved.as_f64(),
            status: if group.is_exhausted() { "exhausted" } else { "active" },
            credit: Amount::of_count(group.usage.settled.unit().clone(), group.credit).as_f64(),
        }
    }
}

/// Answers `GET /policies/usage-limits/{id}/entities`.
pub(super) async fn list(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<List<EntityShape>>, ApiError> {
    let parameters = caller.require(Permission::Admin, ENTITIES)?;
    let paging = Paging::read(&parameters)?;
    let status = parameters.word("status", &["active", "exhausted"])?;
    policies::find(&api, &limiter, &caller, KIND, &id).await?;
    limiter.refresh_from(&api.analytics).await?;
    let groups = groups(&limiter, &id, SystemTime::now()).await?;
    let is_found = |group: &LimitGroup| {
        parameters.get("search").is_none_or(|part| value_key(&group.usage).contains(part))
            && status.is_none_or(|status| (status == "exhausted") == group.is_exhausted())
    };
    let found: Vec<LimitGroup> = groups.into_iter().filter(is_found).collect();
    let total = found.len() as u64;
    Ok(Json(List::new(total, paging.of(found).iter().map(EntityShape::new).collect())))
}

/// Answers `PUT /policies/usage-limits/{id}/entities/{entity_id}/reset`.
pub(super) async fn reset_entity(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    Path((id, entity_id)): Path<(String, String)>,
) -> Result<Json<Done>, ApiError> {
    caller.require(Permission::Admin, NONE)?;
    let listed = policies::find(&api, &limiter, &caller, KIND, &id).await?;
    policies::changeable(&listed)?;
    // The credits of other processes.
    limiter.refresh_from(&api.analytics).await?;
    let mut groups = groups(&limiter, &id, SystemTime::now()).await?.into_iter();
    let group = groups.find(|group| group.id() == entity_id).ok_or_else(|| ApiError::not_found("entity not found"))?;
    reset(&api, &limiter, &caller, &listed, &group).await?;
    Ok(Json(Done {}))
}
