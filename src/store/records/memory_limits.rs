use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use crate::store::{AlertRecord, LimitCreditRecord, LimitRuleRecord};

use super::{LimitRuleSaved, MAX_LIMIT_RULES, RulesRevision};

/// Maximum number of alerts that are kept.
const MAX_ALERTS: usize = 100_000;

/// The limits, credits, and alerts of a memory store.
#[derive(Debug, Default)]
pub(crate) struct MemoryLimits {
    rules: BTreeMap<String, LimitRuleRecord>,
    credits: BTreeMap<String, LimitCreditRecord>,
    alerts: BTreeMap<String, AlertRecord>,
}

impl MemoryLimits {
    pub(crate) fn rules(&self) -> Vec<LimitRuleRecord> {
        self.rules.values().cloned().collect()
    }

    pub(crate) fn revision(&self) -> RulesRevision {
        let sum = self.rules.values().fold(0_u64, |sum, rule| sum.saturating_add(rule.revision));
        RulesRevision([self.rules.len() as u64, sum, self.credits.len() as u64])
    }

    pub(crate) fn add_rule(&mut self, rule: LimitRuleRecord) -> LimitRuleSaved {
        let of_workspace = self.rules.values().filter(|other| other.workspace == rule.workspace);
        if of_workspace.count() >= MAX_LIMIT_RULES || self.rules.contains_key(&rule.id) {
            return LimitRuleSaved::TooMany;
        }
        self.rules.insert(rule.id.clone(), rule);
        LimitRuleSaved::Saved
    }

    pub(crate) fn change_rule(&mut self, rule: &LimitRuleRecord, since: u64) -> LimitRuleSaved {
        let Some(stored) = self.rules.get_mut(&rule.id).filter(|stored| stored.revision == since) else {
            return LimitRuleSaved::Changed;
        };
        stored.body.clone_from(&rule.body);
        (stored.updated_at, stored.revision) = (rule.updated_at, rule.revision);
        LimitRuleSaved::Saved
    }

    pub(crate) fn delete_rule(&mut self, id: &str) -> bool {
        self.rules.remove(id).is_some()
    }

    pub(crate) fn add_credit(&mut self, credit: LimitCreditRecord) -> bool {
        if self.credits.contains_key(&credit.id) {
            return false;
        }
        self.credits.insert(credit.id.clone(), credit);
        true
    }

    pub(crate) fn credits(&self, from_slot: i64, limit: usize) -> Vec<LimitCreditRecord> {
        let mut credits: Vec<_> = self.credits.values().filter(|credit| credit.slot >= from_slot).cloned().collect();
        credits.sort_by(|one, other| (other.created_at, &other.id).cmp(&(one.created_at, &one.id)));
        credits.truncate(limit);
        credits
    }

    pub(crate) fn raise(&mut self, alert: AlertRecord) -> bool {
        if self.alerts.contains_key(&alert.id) {
            return false;
        }
        if self.alerts.len() >= MAX_ALERTS {
            self.forget_oldest_alerts();
        }
        self.alerts.insert(alert.id.clone(), alert);
        true
    }

    /// Removes a tenth of the alerts: those that were delivered, and then those that were raised first.
    fn forget_oldest_alerts(&mut self) {
        let order = |alert: &AlertRecord| (alert.delivered_at.is_none(), alert.raised_at, alert.id.clone());
        let mut oldest: Vec<_> = self.alerts.values().map(order).collect();
        oldest.sort_unstable();
        for (_, _, id) in oldest.iter().take(MAX_ALERTS / 10) {
            self.alerts.remove(id);
        }
    }

    pub(crate) fn last_alert(&self, subject: &str) -> Option<SystemTime> {
        self.alerts.values().filter(|alert| alert.subject == subject).map(|alert| alert.raised_at).max()
    }

    pub(crate) fn claim(&mut self, now: SystemTime, lease: Duration, limit: usize) -> Vec<AlertRecord> {
        let is_due = |alert: &&mut AlertRecord| {
            alert.delivered_at.is_none() && alert.next_attempt_at <= now && alert.lease_until <= now
        };
        let mut due: Vec<&mut AlertRecord> = self.alerts.values_mut().filter(is_due).collect();
        due.sort_by(|one, other| (one.next_attempt_at, &one.id).cmp(&(other.next_attempt_at, &other.id)));
        let claim = |alert: &mut AlertRecord| {
            (alert.lease_until, alert.attempts) = (now + lease, alert.attempts + 1);
            alert.clone()
        };
        due.into_iter().take(limit).map(claim).collect()
    }

    pub(crate) fn delivered(&mut self, id: &str, time: SystemTime) {
        if let Some(alert) = self.alerts.get_mut(id).filter(|alert| alert.delivered_at.is_none()) {
            (alert.delivered_at, alert.lease_until) = (Some(time), SystemTime::UNIX_EPOCH);
        }
    }

    pub(crate) fn failed(&mut self, id: &str, attempts: u64, next_attempt_at: SystemTime) {
        let is_own = |alert: &&mut AlertRecord| alert.attempts == attempts && alert.delivered_at.is_none();
        if let Some(alert) = self.alerts.get_mut(id).filter(is_own) {
            (alert.next_attempt_at, alert.lease_until) = (next_attempt_at, SystemTime::UNIX_EPOCH);
        }
    }

    pub(crate) fn alerts(&self, limit: usize) -> Vec<AlertRecord> {
        let mut alerts: Vec<AlertRecord> = self.alerts.values().cloned().collect();
        alerts.sort_by(|one, other| (other.raised_at, &other.id).cmp(&(one.raised_at, &one.id)));
        alerts.truncate(limit);
        alerts
    }

    pub(crate) fn prune(&mut self, before: SystemTime) -> u64 {
        let count = self.alerts.len();
        self.alerts.retain(|_, alert| alert.raised_at >= before);
        (count - self.alerts.len()) as u64
    }
}
