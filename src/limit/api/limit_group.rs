use std::{sync::Arc, time::SystemTime};

use crate::{analytics::api::ApiError, registry::SecretDigest, time::signed_micros};

use super::{
    super::{
        ledger::LedgerError,
        limiter::{LimitUsage, Limiter},
        rules::{Amount, LimitKind},
    },
    usage_shape::value_key,
};

/// The hexadecimal digits of an id.
const ID_DIGITS: usize = 32;

/// A group with its credit.
#[derive(Clone, Debug)]
pub(super) struct LimitGroup {
    pub(super) usage: LimitUsage,
    /// The start of the slot that is charged.
    pub(super) slot: i64,
    /// The amount that resets have added to the limit in this slot, in the units of the ledger.
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
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        tracing::warn!(target: "tower_tagging::limit", %error, "the ledger failed to answer a request of the API");
        Self::server("the ledger is not available")
    }
}

/// The groups of a limit in its current window.
#[derive(Debug, Default)]
pub(super) struct LimitGroups {
    pub(super) list: Vec<LimitGroup>,
    /// `true` if the limit has more groups, which are not in the list.
    pub(super) is_cut: bool,
}

impl LimitGroups {
    /// Returns the end of the message that a group was not found.
    pub(super) fn reach(&self) -> &'static str {
        if self.is_cut {
            " (the limit has more than 10,000 groups, and only the first 10,000 are searched)"
        } else {
            ""
        }
    }
}

/// Returns the groups of a limit in its current window.
pub(super) async fn groups(limiter: &Limiter, rule: &str, now: SystemTime) -> Result<LimitGroups, ApiError> {
    let set = Arc::clone(&limiter.current());
    let none = LimitGroups::default();
    let Some(compiled) = set.rules().find(|compiled| compiled.rule.name() == rule) else { return Ok(none) };
    let LimitKind::Budget { window, .. } = compiled.rule.kind() else { return Ok(none) };
    let slot = window.period(signed_micros(now)).slot;
    let usage = limiter.usage_of(&set, compiled, now).await?;
    let group = |usage: LimitUsage| LimitGroup { credit: set.credit(&usage.series, slot), slot, usage };
    Ok(LimitGroups { list: usage.groups.into_iter().map(group).collect(), is_cut: usage.is_cut })
}

/// Returns the group of a limit whose value key, or one of whose values, is a text.
pub(super) async fn find_value(limiter: &Limiter, rule: &str, text: &str) -> Result<LimitGroup, ApiError> {
    let is_meant = |group: &LimitGroup| {
        let mut values = group.usage.group.iter();
        value_key(&group.usage) == text || values.any(|(_, value)| value.as_deref() == Some(text))
    };
    let groups = groups(limiter, rule, SystemTime::now()).await?;
    let reach = groups.reach();
    let mut found = groups.list.into_iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(group), None) => Ok(group),
        (None, _) => {
            Err(ApiError::invalid(format!("reset_usage_for_value: nothing is used by {text:?} in this window{reach}")))
        }
        (Some(_), Some(_)) => Err(ApiError::invalid(format!(
            "reset_usage_for_value: expected the whole value key, because several groups have the value {text:?}"
        ))),
    }
}
