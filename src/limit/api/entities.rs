//! The groups of a usage limit, which Portkey calls entities.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    analytics::api::{ApiError, ApiState, Caller, List, NONE, Paging},
    registry::{Permission, SecretDigest},
    time::micros_since_1970,
};

use super::{
    super::{
        ledger::LedgerError,
        limiter::{LimitUsage, Limiter},
        policies::PolicyForm,
        rules::{Amount, LimitKind},
    },
    parameters::ENTITIES,
    policies,
    reset::reset,
    usage_limits::Done,
    usage_shape::value_key,
};

const KIND: &str = PolicyForm::USAGE;
/// The hexadecimal digits of an id.
const ID_DIGITS: usize = 32;

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

/// A group with its credit.
#[derive(Clone, Debug)]
pub(super) struct LimitGroup {
    pub(super) usage: LimitUsage,
    /// The start of the slot that is charged.
    pub(super) slot: i64,
    /// What resets have added to the limit in this slot, in the units of the ledger.
    pub(super) credit: i64,
}

impl LimitGroup {
    /// Returns an id that does not depend on the letters of values.
    pub(super) fn id(&self) -> String {
        SecretDigest::of(&self.usage.series).to_string().chars().take(ID_DIGITS).collect()
    }

    /// Returns what was used since the last reset, in the units of the ledger.
    pub(super) fn current_count(&self) -> i64 {
        self.usage.settled.count.saturating_sub(self.credit).max(0)
    }

    pub(super) fn current(&self) -> f64 {
        Amount::of_count(self.usage.settled.unit().clone(), self.current_count()).as_f64()
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.usage.settled.count >= self.usage.limit.count
    }

    fn shape(&self) -> EntityShape {
        EntityShape {
            id: self.id(),
            value_key: value_key(&self.usage),
            current_usage: self.current(),
            reserved: self.usage.reserved.as_f64(),
            status: if self.is_exhausted() { "exhausted" } else { "active" },
            credit: Amount::of_count(self.usage.settled.unit().clone(), self.credit).as_f64(),
        }
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        tracing::warn!(target: "tower_tagging::limit", %error, "the ledger failed to answer a request of the API");
        Self::server("the ledger is not available")
    }
}

/// Returns the groups of a limit in its current window.
pub(super) async fn groups(limiter: &Limiter, rule: &str, now: SystemTime) -> Result<Vec<LimitGroup>, ApiError> {
    let set = Arc::clone(&limiter.current());
    let Some(compiled) = set.rules().find(|compiled| compiled.rule.name() == rule) else { return Ok(Vec::new()) };
    let LimitKind::Budget { window, .. } = compiled.rule.kind() else { return Ok(Vec::new()) };
    let slot = window.period(i64::try_from(micros_since_1970(now)).unwrap_or(i64::MAX)).slot;
    let usage = limiter.usage_of(&set, compiled, now).await?;
    let group = |usage: LimitUsage| LimitGroup { credit: set.credit(&usage.series, slot), slot, usage };
    Ok(usage.into_iter().map(group).collect())
}

/// Returns the group of a limit whose value key, or one of whose values, is a text.
pub(super) async fn find_value(limiter: &Limiter, rule: &str, text: &str) -> Result<LimitGroup, ApiError> {
    let is_meant = |group: &LimitGroup| {
        let mut values = group.usage.group.iter();
        value_key(&group.usage) == text || values.any(|(_, value)| value.as_deref() == Some(text))
    };
    let mut found = groups(limiter, rule, SystemTime::now()).await?.into_iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(group), None) => Ok(group),
        (None, _) => {
            Err(ApiError::invalid(format!("reset_usage_for_value: nothing is used by {text:?} in this window")))
        }
        (Some(_), Some(_)) => Err(ApiError::invalid(format!(
            "reset_usage_for_value: expected the whole value key, because several groups have the value {text:?}"
        ))),
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
    Ok(Json(List::new(total, paging.of(found).iter().map(LimitGroup::shape).collect())))
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
