use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use crate::{
    registry::{Registry, VirtualKey, VirtualKeyStatus},
    row::{Dimension, Field},
    sync::lock,
};

use super::super::{
    ledger::LedgerError,
    limiter::{LimitUsage, Limiter},
    rules::{Condition, LimitMode, LimitRule},
};

/// The virtual keys to which rules apply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyBudgets<'r>(pub(crate) &'r LimitRule);

impl KeyBudgets<'_> {
    /// Returns `true` if the rule names a virtual key, and applies to some of its requests.
    pub(crate) fn selects(self, slug: &str) -> bool {
        let field = Dimension::Field(Field::VirtualKey);
        let is_met =
            |conditions: &[Condition]| conditions.iter().filter(|one| one.dimension == field).all(|one| one.has(slug));
        let is_named = self.0.group_by.contains(&field) || self.0.when.iter().any(|one| one.dimension == field);
        let is_excluded = self.0.exclude.iter().any(|one| one.dimension == field && one.has(slug));
        is_named && is_met(&self.0.when) && !is_excluded
    }

    /// Returns `true` if the rule applies to all requests with a virtual key that it [selects](Self::selects).
    pub(crate) fn covers(self, key: &VirtualKey) -> bool {
        let holds = |condition: &Condition| match &condition.dimension {
            Dimension::Field(Field::VirtualKey) => condition.has(key.slug()),
            Dimension::Field(Field::Provider) => condition.has(key.provider_name()),
            Dimension::Field(Field::Workspace) => {
                !key.workspaces.is_empty() && key.workspaces.iter().all(|slug| condition.has(slug))
            }
            _ => false,
        };
        let excludes_others = |condition: &Condition| match &condition.dimension {
            Dimension::Field(Field::VirtualKey) => !condition.has(key.slug()),
            Dimension::Field(Field::Provider) => !condition.has(key.provider_name()),
            _ => false,
        };
        let field = Dimension::Field(Field::VirtualKey);
        self.selects(key.slug())
            && self.0.group_by.iter().all(|dimension| *dimension == field)
            && self.0.when.iter().all(holds)
            && self.0.exclude.iter().all(excludes_others)
    }
}

impl Limiter {
    /// Sets the status of virtual keys whose own budget is used up to [`Exhausted`](VirtualKeyStatus::Exhausted), and back to
    /// [`Active`](VirtualKeyStatus::Active) once there is room again. Returns the slugs of those that are used up.
    ///
    /// The registry then rejects their requests before they are checked against any limit. A budget is that of a virtual key
    /// if it applies to all of its requests: its rule is enforced, groups by `virtual_key` or has a condition on it, and has no
    /// other groups and conditions. Call this method every few seconds. The status of keys without such a budget stays.
    ///
    /// # Errors
    ///
    /// Returns an error if the ledger is not available. No status changes then.
    pub async fn mark_virtual_keys(&self, registry: &Registry) -> Result<Vec<String>, LedgerError> {
        let keys = registry.snapshot();
        let exhausted = self.exhausted_keys(&keys.virtual_keys, SystemTime::now()).await?;
        let mut before = lock(&self.shared.stored.exhausted);
        for slug in before.difference(&exhausted) {
            registry.set_virtual_key_status(slug, VirtualKeyStatus::Active);
        }
        for slug in &exhausted {
            registry.set_virtual_key_status(slug, VirtualKeyStatus::Exhausted);
        }
        before.clone_from(&exhausted);
        Ok(exhausted.into_iter().collect())
    }

    /// Returns the slugs of the virtual keys whose own budget is used up.
    pub(crate) async fn exhausted_keys(
        &self,
        keys: &[VirtualKey],
        now: SystemTime,
    ) -> Result<BTreeSet<String>, LedgerError> {
        let set = std::sync::Arc::clone(&self.current());
        let mut exhausted = BTreeSet::new();
        for compiled in set.rules() {
            let rule = &*compiled.rule;
            let covered: BTreeMap<&str, &VirtualKey> = keys
                .iter()
                .filter(|key| rule.is_budget() && rule.mode == LimitMode::Enforce && KeyBudgets(rule).covers(key))
                .map(|key| (key.slug(), key))
                .collect();
            if covered.is_empty() {
                continue;
            }
            for usage in self.usage_of(&set, compiled, now).await?.groups {
                if usage.settled.count < usage.limit.count {
                    continue;
                }
                exhausted.extend(keys_of(&usage).map_or_else(
                    || covered.keys().map(|slug| (*slug).to_owned()).collect::<Vec<_>>(),
                    |slug| covered.contains_key(slug).then(|| slug.to_owned()).into_iter().collect(),
                ));
            }
        }
        Ok(exhausted)
    }
}

/// Returns the virtual key of a group. `None` if the rule counts all of its keys together.
fn keys_of(usage: &LimitUsage) -> Option<&str> {
    usage.group.first().map(|(_, slug)| slug.as_deref().unwrap_or_default())
}
