//! The limits that were created through the API, the credits of groups, and alerts. The module `limit` gives them their
//! meaning.

use std::time::{Duration, SystemTime};

use crate::{
    store::{
        AlertRecord, LimitCreditRecord, LimitRuleRecord,
        records::{LimitRuleSaved, RulesRevision},
    },
    time::whole_micros,
};

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::limit_jobs::{
    AddCredit, AddRule, AlertDelivered, AlertFailed, ChangeRule, ClaimAlerts, DeleteRule, LastAlert, ListAlerts,
    ListCredits, ListRules, PruneAlerts, RaiseAlert, ReadRevision,
};
use super::{Analytics, QueryError, analytics_source::Source};

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(clippy::unused_async, reason = "only databases wait")
)]
impl Analytics {
    /// Returns all limits that were created through the API, the oldest first.
    pub(crate) async fn limit_rules(&self) -> Result<Vec<LimitRuleRecord>, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.rules())),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ListRules()).await,
        }
    }

    /// Returns a value that differs after each change of the limits, and after each new credit.
    pub(crate) async fn limit_rules_revision(&self) -> Result<RulesRevision, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.revision())),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ReadRevision()).await,
        }
    }

    /// Adds a limit, by the [author](Self::authored_by) of this handle.
    pub(crate) async fn add_limit_rule(&self, mut rule: LimitRuleRecord) -> Result<LimitRuleSaved, QueryError> {
        rule.created_by = self.author.as_deref().map(ToOwned::to_owned);
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.add_rule(rule))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(AddRule(rule)).await,
        }
    }

    /// Replaces the body of a limit, unless another caller changed it since it was read.
    pub(crate) async fn change_limit_rule(&self, mut rule: LimitRuleRecord) -> Result<LimitRuleSaved, QueryError> {
        let since = rule.revision;
        rule.updated_at = whole_micros(SystemTime::now());
        rule.revision = crate::time::micros_since_1970(rule.updated_at).max(since + 1);
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.change_rule(&rule, since))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ChangeRule(rule, since)).await,
        }
    }

    /// Deletes a limit. Returns `false` if there is none.
    pub(crate) async fn delete_limit_rule(&self, id: &str) -> Result<bool, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.delete_rule(id))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(DeleteRule(id.to_owned())).await,
        }
    }

    /// Adds a credit, by the [author](Self::authored_by) of this handle. Returns `false` if there is one with the same id.
    pub(crate) async fn add_limit_credit(&self, mut credit: LimitCreditRecord) -> Result<bool, QueryError> {
        credit.created_by = self.author.as_deref().map(ToOwned::to_owned);
        credit.created_at = whole_micros(credit.created_at);
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.add_credit(credit))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(AddCredit(credit)).await,
        }
    }

    /// Returns the newest credits in slots from one on.
    pub(crate) async fn limit_credits(
        &self,
        from_slot: i64,
        limit: usize,
    ) -> Result<Vec<LimitCreditRecord>, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.credits(from_slot, limit))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ListCredits(from_slot, limit)).await,
        }
    }
}

/// Alerts. Several processes raise and deliver them.
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(clippy::unused_async, reason = "only databases wait")
)]
#[allow(dead_code, reason = "used by the delivery of alerts")]
impl Analytics {
    /// Adds an alert. Returns `false` if there is one with the same id, so that only one of several processes raises it.
    pub(crate) async fn raise_alert(&self, mut alert: AlertRecord) -> Result<bool, QueryError> {
        alert.raised_at = whole_micros(alert.raised_at);
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.raise(alert))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(RaiseAlert(alert)).await,
        }
    }

    /// Returns the time at which the latest alert about a subject was raised.
    pub(crate) async fn last_alert(&self, subject: &str) -> Result<Option<SystemTime>, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.last_alert(subject))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(LastAlert(subject.to_owned())).await,
        }
    }

    /// Returns alerts that are due, and leases them: no other process gets them before the lease ends, unless the attempt
    /// fails before.
    pub(crate) async fn claim_alerts(
        &self,
        now: SystemTime,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<AlertRecord>, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.claim(now, lease, limit))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ClaimAlerts(now, lease, limit)).await,
        }
    }

    /// Records that an alert was delivered.
    pub(crate) async fn alert_delivered(&self, id: &str, time: SystemTime) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(store) => {
                store.with_records(|records| records.limits.delivered(id, time));
                Ok(())
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(AlertDelivered(id.to_owned(), time)).await,
        }
    }

    /// Records that an attempt to deliver an alert failed. Ignored if another process has claimed the alert since.
    pub(crate) async fn alert_failed(
        &self,
        alert: &AlertRecord,
        next_attempt_at: SystemTime,
    ) -> Result<(), QueryError> {
        let (id, attempts) = (alert.id.as_str(), alert.attempts);
        match &self.source {
            Source::Memory(store) => {
                store.with_records(|records| records.limits.failed(id, attempts, next_attempt_at));
                Ok(())
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(AlertFailed(id.to_owned(), attempts, next_attempt_at)).await,
        }
    }

    /// Returns the newest alerts.
    pub(crate) async fn recent_alerts(&self, limit: usize) -> Result<Vec<AlertRecord>, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.alerts(limit))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ListAlerts(limit)).await,
        }
    }

    /// Deletes the alerts that were raised before a time, and returns their number. An alert about a window that has not ended
    /// would be raised again.
    pub(crate) async fn prune_alerts(&self, before: SystemTime) -> Result<u64, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.limits.prune(before))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(PruneAlerts(before)).await,
        }
    }
}

#[cfg(test)]
#[path = "limit_records_tests.rs"]
mod tests;
