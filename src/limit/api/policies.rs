//! The common part of usage limits and rate limits: who may see and change them, and how they are stored.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    analytics::api::{ApiError, ApiState, Caller, Parameters, json_problem},
    row::{Dimension, Field},
    store::{
        Change, LimitRuleRecord,
        records::{LimitRuleSaved, MAX_LIMIT_RULES},
    },
};

use super::super::{
    limiter::Limiter,
    policies::{Policy, PolicyForm},
    rules::{Condition, LimitRule},
};

/// The number of attempts of a change, if other callers change the same limit.
const ATTEMPTS: usize = 5;
/// The members that a change must leave as they are.
const FIXED: &[&str] = &["type", "group_by", "target", "workspace_id"];

/// A limit, and its policy if it was created through the API.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) rule: Arc<LimitRule>,
    pub(super) policy: Option<Policy>,
}

impl Listed {
    /// Returns the workspace to whose requests the limit applies. `None` if it is not exactly one.
    pub(super) fn workspace(&self) -> Option<String> {
        if let Some(policy) = &self.policy {
            return policy.record.workspace.clone();
        }
        let workspace = Dimension::Field(Field::Workspace);
        let of_workspace = self.rule.when.iter().filter(|condition| condition.dimension == workspace);
        let mut literals = of_workspace.filter_map(Condition::literals);
        literals.find_map(|slugs| <[String; 1]>::try_from(slugs).ok()).map(|[slug]| slug)
    }

    /// Returns the text that the log of changes has about the limit.
    pub(super) fn subject(&self) -> String {
        format!("{} ({})", self.rule.title(), self.rule.name())
    }
}

/// Returns the workspace to which a caller is bound. `None` if the caller sees everything.
///
/// # Errors
/// Returns the status 403 if the grant is narrower than a workspace, so that limits would concern requests of others.
pub(super) fn bound_to(caller: &Caller) -> Result<Option<&str>, ApiError> {
    match caller.grant.whole_workspace() {
        Some(slug) => Ok(Some(slug)),
        None if caller.sees_everything() => Ok(None),
        None => Err(ApiError::forbidden("limits need a key of a workspace, or of the whole organization")),
    }
}

/// Returns the limits of a kind that a caller may see: those from the configuration first, and then the oldest first.
pub(super) async fn all(
    api: &ApiState,
    limiter: &Limiter,
    caller: &Caller,
    kind: &str,
) -> Result<Vec<Listed>, ApiError> {
    let own = bound_to(caller)?;
    let set = Arc::clone(&limiter.current());
    let configured = set.configured.iter().map(|compiled| Listed { rule: Arc::clone(&compiled.rule), policy: None });
    let configured = configured.filter(|listed| listed.rule.is_budget() == (kind == PolicyForm::USAGE));
    let stored = api.analytics.limit_rules().await?;
    let stored = stored.into_iter().filter(|record| record.kind == kind).filter_map(readable);
    let is_visible = |listed: &Listed| own.is_none_or(|own| listed.workspace().as_deref() == Some(own));
    Ok(configured.chain(stored).filter(is_visible).collect())
}

/// Returns a stored limit. `None` if another version of this crate stored what this one does not know, which is reported when
/// the limiter reads it.
fn readable(record: LimitRuleRecord) -> Option<Listed> {
    let policy = Policy::read(record).ok()?;
    Some(Listed { rule: Arc::new(policy.rule().ok()?), policy: Some(policy) })
}

/// Returns a limit that the caller may see.
///
/// # Errors
/// Returns the status 404 if there is none.
pub(super) async fn find(
    api: &ApiState,
    limiter: &Limiter,
    caller: &Caller,
    kind: &str,
    id: &str,
) -> Result<Listed, ApiError> {
    let found = all(api, limiter, caller, kind).await?.into_iter().find(|listed| listed.rule.name() == id);
    found.ok_or_else(|| ApiError::not_found("limit not found"))
}

/// Returns the policy of a limit.
///
/// # Errors
/// Returns the status 409 if the limit is from code or configuration.
pub(super) fn changeable(listed: &Listed) -> Result<&Policy, ApiError> {
    listed.policy.as_ref().ok_or_else(|| {
        ApiError::conflict(format!("the limit {:?} is from the configuration: change it there", listed.rule.name()))
    })
}

/// Returns `true` if a limit is one that the parameters ask for.
pub(super) fn is_listed(parameters: &Parameters, listed: &Listed) -> Result<bool, ApiError> {
    // All limits are active.
    let status = parameters.word("status", &["active", "archived"])?;
    let is_of_workspace = parameters.get("workspace_id").is_none_or(|slug| listed.workspace().as_deref() == Some(slug));
    Ok(status != Some("archived") && is_of_workspace)
}

/// Creates a limit.
pub(super) async fn create(
    api: &ApiState,
    limiter: &Limiter,
    caller: &Caller,
    mut form: PolicyForm,
) -> Result<Listed, ApiError> {
    if let Some(own) = bound_to(caller)? {
        if form.workspace().is_some_and(|slug| slug != own) {
            return Err(ApiError::forbidden("this key may create limits of its own workspace only"));
        }
        form.set_workspace(Some(own));
    }
    let policy = Policy::new(form);
    let rule = policy.rule().map_err(|error| ApiError::invalid(error.to_string()))?;
    let analytics = api.analytics.authored_by(caller.author());
    if analytics.add_limit_rule(policy.record.clone()).await? != LimitRuleSaved::Saved {
        return Err(ApiError::conflict(format!(
            "there are {MAX_LIMIT_RULES} limits of this workspace: delete one of them"
        )));
    }
    let kind = policy.form.kind();
    let listed = Listed { rule: Arc::new(rule), policy: Some(policy) };
    changed(api, limiter, caller, &listed, "create").await?;
    // With its author.
    find(api, limiter, caller, kind, listed.rule.name()).await
}

/// Changes the members of a limit that a patch has.
pub(super) async fn update(
    api: &ApiState,
    limiter: &Limiter,
    caller: &Caller,
    (kind, id): (&str, &str),
    patch: &Map<String, Value>,
) -> Result<Listed, ApiError> {
    for _ in 0..ATTEMPTS {
        let listed = find(api, limiter, caller, kind, id).await?;
        let policy = changeable(&listed)?;
        let body = patched(policy.form.to_json(), patch)?;
        let form = PolicyForm::read(kind, body)
            .map_err(|error| ApiError::invalid(format!("invalid JSON body: {}", json_problem(&error))))?;
        if form == policy.form {
            return Ok(listed);
        }
        let record = LimitRuleRecord { body: form.to_json().to_string(), ..policy.record.clone() };
        let policy = Policy { record, form };
        let rule = policy.rule().map_err(|error| ApiError::invalid(error.to_string()))?;
        if api.analytics.change_limit_rule(policy.record.clone()).await? == LimitRuleSaved::Saved {
            let listed = Listed { rule: Arc::new(rule), policy: Some(policy) };
            changed(api, limiter, caller, &listed, "change").await?;
            return find(api, limiter, caller, kind, id).await;
        }
        // Another caller was faster. The patch is applied to what that caller wrote, unless the limit was deleted.
    }
    Err(ApiError::conflict("other callers change this limit at the same time: try again"))
}

/// Applies a patch to a body.
fn patched(mut body: Value, patch: &Map<String, Value>) -> Result<Value, ApiError> {
    let members = body.as_object_mut().ok_or_else(|| ApiError::server("the limit could not be read"))?;
    for (name, value) in patch {
        let old = members.get(name).unwrap_or(&Value::Null);
        if FIXED.contains(&name.as_str()) && old != value {
            return Err(ApiError::invalid(format!("{name} cannot be changed: create another limit")));
        }
    }
    // One kind of window replaces the other.
    for (one, other) in [("periodic_reset", "periodic_reset_days"), ("periodic_reset_days", "periodic_reset")] {
        if patch.get(one).is_some_and(|value| !value.is_null()) && !patch.contains_key(other) {
            members.remove(other);
        }
    }
    for (name, value) in patch {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    Ok(body)
}

/// Deletes a limit.
pub(super) async fn delete(
    api: &ApiState,
    limiter: &Limiter,
    caller: &Caller,
    kind: &str,
    id: &str,
) -> Result<(), ApiError> {
    let listed = find(api, limiter, caller, kind, id).await?;
    changeable(&listed)?;
    if !api.analytics.delete_limit_rule(id).await? {
        return Err(ApiError::not_found("limit not found"));
    }
    changed(api, limiter, caller, &listed, "delete").await
}

/// Puts a change into effect, and adds it to the log.
async fn changed(
    api: &ApiState,
    limiter: &Limiter,
    caller: &Caller,
    listed: &Listed,
    verb: &str,
) -> Result<(), ApiError> {
    let noun = if listed.rule.is_budget() { "usage limit" } else { "rate limit" };
    record(api, caller, listed, format!("{verb} {noun}"), listed.subject()).await?;
    limiter.refresh_from(&api.analytics).await?;
    Ok(())
}

/// Adds a change of a limit to the log.
pub(super) async fn record(
    api: &ApiState,
    caller: &Caller,
    listed: &Listed,
    action: String,
    subject: String,
) -> Result<(), ApiError> {
    let change = Change::new(action, subject).in_workspace(listed.workspace().as_deref());
    let change = change.of_scope(caller.grant.change_scope());
    Ok(api.analytics.authored_by(caller.author()).record_change(change).await?)
}
