//! The groups of a usage limit, which Portkey calls entities.

use std::time::SystemTime;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    analytics::api::{ApiError, ApiState, Caller, NONE, Paging},
    registry::Permission,
};

use super::{
    super::{limiter::Limiter, policies::PolicyForm, rules::Amount},
    done::Done,
    limit_group::{LimitGroup, LimitGroups, groups},
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
    /// The usage since the start of the window, or since the last reset: US dollars, tokens, requests, or the quantity.
    current_usage: f64,
    /// The amount that running requests have reserved.
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

/// A page of the groups of a usage limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityList {
    /// Always `list`.
    object: &'static str,
    /// The number of groups on all pages.
    total: u64,
    data: Vec<EntityShape>,
    /// `true` if the limit has more than 10,000 groups. Only the first 10,000 of them are on the pages.
    is_truncated: bool,
}

/// Answers `GET /policies/usage-limits/{id}/entities`.
pub(super) async fn list(
    State(api): State<ApiState>,
    Extension(limiter): Extension<Limiter>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EntityList>, ApiError> {
    let parameters = caller.require(Permission::Admin, ENTITIES)?;
    let paging = Paging::read(&parameters)?;
    let status = parameters.word("status", &["active", "exhausted"])?;
    policies::find(&api, &limiter, &caller, KIND, &id).await?;
    limiter.refresh_from(&api.analytics).await?;
    let LimitGroups { list, is_cut } = groups(&limiter, &id, SystemTime::now()).await?;
    let is_found = |group: &LimitGroup| {
        parameters.get("search").is_none_or(|part| value_key(&group.usage).contains(part))
            && status.is_none_or(|status| (status == "exhausted") == group.is_exhausted())
    };
    let found: Vec<LimitGroup> = list.into_iter().filter(is_found).collect();
    let total = found.len() as u64;
    let data = paging.of(found).iter().map(EntityShape::new).collect();
    Ok(Json(EntityList { object: "list", total, data, is_truncated: is_cut }))
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
    let groups = groups(&limiter, &id, SystemTime::now()).await?;
    let missing = || ApiError::not_found(format!("entity not found{}", groups.reach()));
    let group = groups.list.iter().find(|group| group.id() == entity_id).ok_or_else(missing)?;
    reset(&api, &limiter, &caller, &listed, group).await?;
    Ok(Json(Done {}))
}
