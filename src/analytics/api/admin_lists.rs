use std::{collections::BTreeMap, time::SystemTime};

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::registry::{Permission, VirtualKey, VirtualKeyStatus};

use super::{
    api_error::ApiError,
    caller::Caller,
    key_limits::LimitsOfKey,
    list::List,
    log_shape::time_text,
    paging::Paging,
    parameter::{VIRTUAL_KEYS, WORKSPACES},
    state::ApiState,
};

/// A workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkspaceShape {
    /// The slug.
    id: String,
    slug: String,
    name: String,
    /// Always `null`, as the registry has no descriptions and times.
    description: Option<String>,
    created_at: Option<String>,
    last_updated_at: Option<String>,
    defaults: WorkspaceDefaults,
    /// Always empty.
    #[schema(value_type = Vec<Object>)]
    usage_limits: Vec<()>,
    /// Always empty.
    #[schema(value_type = Vec<Object>)]
    rate_limits: Vec<()>,
    /// Always `workspace`.
    object: &'static str,
}

/// The defaults for the requests of a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkspaceDefaults {
    /// The tags.
    metadata: BTreeMap<String, String>,
}

/// A virtual key. Its secret is not part of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VirtualKeyShape {
    name: String,
    /// Always `null`.
    note: Option<String>,
    /// `active`, `exhausted`, or `expired`.
    status: &'static str,
    /// The first usage limit that applies to the key: `credit_limit`, `type`, and `periodic_reset`. `null` without one.
    #[schema(value_type = Option<Object>)]
    usage_limits: Option<serde_json::Value>,
    /// The rate limits that apply to the key: `type`, `unit`, and `value`.
    #[schema(value_type = Vec<Object>)]
    rate_limits: Vec<serde_json::Value>,
    slug: String,
    /// The provider, such as `openai`.
    provider: String,
    /// Always empty.
    #[schema(value_type = Object)]
    model_config: BTreeMap<String, String>,
    /// Always `null`.
    created_at: Option<String>,
    expires_at: Option<String>,
    /// Always `virtual-key`.
    object: &'static str,
}

/// Answers `GET /admin/workspaces`.
pub(crate) async fn workspaces(
    State(api): State<ApiState>,
    caller: Caller,
) -> Result<Json<List<WorkspaceShape>>, ApiError> {
    let parameters = caller.require(Permission::KeysList, WORKSPACES)?;
    let paging = Paging::read(&parameters)?;
    let statuses = parameters.list("status")?;
    if let Some(status) = statuses.iter().flatten().find(|status| !["active", "archived"].contains(&status.as_str())) {
        return Err(ApiError::invalid(format!("invalid status {status:?}: expected active or archived")));
    }
    // All workspaces of the registry are active.
    let has_active = statuses.is_none_or(|statuses| statuses.iter().any(|status| status == "active"));
    let own = caller.grant.workspace();
    let may_see = |slug: &str| own.map_or(caller.sees_everything(), |own| own == slug);
    let snapshot = api.access.registry().map(crate::registry::Registry::snapshot);
    let entries = snapshot.iter().flat_map(|snapshot| &snapshot.workspaces);
    let found: Vec<WorkspaceShape> = entries
        .filter(|entry| has_active && may_see(&entry.slug))
        .map(|entry| {
            let name = entry.display_name.as_deref().unwrap_or(&entry.slug);
            let tags = entry.metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
            workspace(&entry.slug, name, tags.collect())
        })
        .filter(|workspace| parameters.get("name").is_none_or(|part| workspace.name.contains(part)))
        .filter(|workspace| parameters.get("exact_name").is_none_or(|name| workspace.name == name))
        .collect();
    Ok(Json(List::new(found.len() as u64, paging.of(found))))
}

fn workspace(slug: &str, name: &str, metadata: BTreeMap<String, String>) -> WorkspaceShape {
    WorkspaceShape {
        id: slug.to_owned(),
        slug: slug.to_owned(),
        name: name.to_owned(),
        description: None,
        created_at: None,
        last_updated_at: None,
        defaults: WorkspaceDefaults { metadata },
        usage_limits: Vec::new(),
        rate_limits: Vec::new(),
        object: "workspace",
    }
}

/// Answers `GET /virtual-keys`.
pub(crate) async fn virtual_keys(
    State(api): State<ApiState>,
    caller: Caller,
) -> Result<Json<List<VirtualKeyShape>>, ApiError> {
    let parameters = caller.require(Permission::KeysList, VIRTUAL_KEYS)?;
    let paging = Paging::read(&parameters)?;
    let own = caller.grant.workspace();
    let wanted = own.or_else(|| parameters.get("workspace_id"));
    if own.is_none() && !caller.sees_everything() {
        return Ok(Json(List::new(0, Vec::new())));
    }
    let now = SystemTime::now();
    let snapshot = api.access.registry().map(crate::registry::Registry::snapshot);
    let keys = snapshot.iter().flat_map(|snapshot| &snapshot.virtual_keys);
    let found: Vec<VirtualKey> =
        keys.filter(|key| wanted.is_none_or(|slug| key.is_for_workspace(slug))).cloned().collect();
    let total = found.len() as u64;
    let page = paging.of(found);
    let mut limits = match &api.shared.key_limits {
        Some(limits) => limits.limits(&page, &caller.grant, now).await,
        None => Vec::new(),
    };
    limits.resize_with(page.len(), LimitsOfKey::default);
    let shapes = page
        .iter()
        .zip(limits)
        .map(|(key, limits)| VirtualKeyShape {
            name: key.slug().to_owned(),
            note: None,
            status: match key.status_at(now) {
                VirtualKeyStatus::Active if limits.is_exhausted => VirtualKeyStatus::Exhausted.as_str(),
                status => status.as_str(),
            },
            usage_limits: limits.usage,
            rate_limits: limits.rates,
            slug: key.slug().to_owned(),
            provider: key.provider_name().to_owned(),
            model_config: BTreeMap::new(),
            created_at: None,
            expires_at: key.expires_at.map(time_text),
            object: "virtual-key",
        })
        .collect();
    Ok(Json(List::new(total, shapes)))
}
