use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;

use crate::{ConfigError, event::Clock, registry::ErrorStyle, sync::lock, time::micros_since_1970};

use super::{
    super::{
        ledger::{Ledger, LedgerError},
        rules::{Amount, LimitKind, LimitRule},
        series,
    },
    LimitCounts, LimitUsage,
    estimates::Estimates,
    live_requests::LiveRequests,
    rule_set::{CompiledRule, RuleSet, compiled},
    stored_state::StoredState,
};

/// Maximum number of groups of a rule that [`Limiter::usage`] returns.
const MAX_GROUPS: usize = 10_000;

/// Rules, and the ledger that counts for them. Clones share both.
#[derive(Clone)]
pub struct Limiter {
    pub(in crate::limit) shared: Arc<Shared>,
}

pub(in crate::limit) struct Shared {
    pub(super) rules: ArcSwap<RuleSet>,
    /// Held while the rules change.
    pub(super) changing: Mutex<()>,
    pub(super) ledger: Ledger,
    pub(super) estimates: Estimates,
    pub(super) live: LiveRequests,
    /// Set once a thread extends leases.
    pub(super) extending: OnceLock<()>,
    pub(super) lease: Duration,
    pub(super) errors: ErrorStyle,
    pub(super) has_headers: bool,
    pub(in crate::limit) clock: Arc<dyn Clock>,
    /// What was read from the tables of a store.
    pub(in crate::limit) stored: StoredState,
}

impl Limiter {
    pub(super) fn of(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Returns the rules in force: those from code or configuration first, and then those from a store.
    pub fn rules(&self) -> Vec<Arc<LimitRule>> {
        self.current().rules().map(|rule| Arc::clone(&rule.rule)).collect()
    }

    /// Replaces the rules from code or configuration. What was counted under the same names stays.
    ///
    /// # Errors
    ///
    /// Returns an error if two rules have the same name. The previous rules then stay in force.
    pub fn replace_rules(&self, rules: Vec<LimitRule>) -> Result<(), ConfigError> {
        self.change(|set| {
            let configured = compiled(rules, set)?;
            Ok(RuleSet { configured, stored: set.stored.clone(), credits: set.credits.clone() })
        })
    }

    /// Replaces the rules from a store, and the credits.
    ///
    /// # Errors
    ///
    /// As [`replace_rules`](Self::replace_rules).
    pub(crate) fn replace_stored(
        &self,
        rules: Vec<LimitRule>,
        credits: HashMap<(String, i64), i64>,
    ) -> Result<(), ConfigError> {
        self.change(|set| {
            let stored = compiled(rules, set)?;
            Ok(RuleSet { configured: set.configured.clone(), stored, credits })
        })
    }

    fn change(&self, change: impl FnOnce(&RuleSet) -> Result<RuleSet, ConfigError>) -> Result<(), ConfigError> {
        let _changing = lock(&self.shared.changing);
        let next = change(&self.shared.rules.load())?;
        self.shared.rules.store(Arc::new(next));
        Ok(())
    }

    pub(crate) fn current(&self) -> arc_swap::Guard<Arc<RuleSet>> {
        self.shared.rules.load()
    }

    /// Returns the ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Returns what all groups have used of each budget in its current window, in the order of the rules. At most 10,000 groups
    /// per rule.
    ///
    /// # Errors
    ///
    /// Returns an error if the ledger is not available.
    pub async fn usage(&self) -> Result<Vec<LimitUsage>, LedgerError> {
        self.usage_at(self.shared.clock.now()).await
    }

    /// Returns what all groups have used at a time.
    ///
    /// # Errors
    ///
    /// As [`usage`](Self::usage).
    pub async fn usage_at(&self, time: SystemTime) -> Result<Vec<LimitUsage>, LedgerError> {
        let set = Arc::clone(&self.current());
        let mut found = Vec::new();
        for rule in set.rules().filter(|rule| rule.rule.is_budget()) {
            found.extend(self.usage_of(&set, rule, time).await?);
        }
        Ok(found)
    }

    pub(crate) async fn usage_of(
        &self,
        set: &RuleSet,
        compiled: &CompiledRule,
        time: SystemTime,
    ) -> Result<Vec<LimitUsage>, LedgerError> {
        let LimitKind::Budget { window, .. } = &compiled.rule.kind else { return Ok(Vec::new()) };
        let period = window.period(i64::try_from(micros_since_1970(time)).unwrap_or(i64::MAX));
        let slots = self.shared.ledger.backend().scan(&compiled.prefix, period.from, MAX_GROUPS).wait().await?;
        let mut found: Vec<LimitUsage> = Vec::new();
        let unit = compiled.rule.unit();
        for slot in slots.into_iter().filter(|slot| slot.slot <= period.slot) {
            let Some(values) = series::group(&slot.series) else { continue };
            if let Some(last) = found.last_mut().filter(|last| last.series == slot.series) {
                last.settled.count = last.settled.count.saturating_add(slot.settled);
                last.reserved.count = last.reserved.count.saturating_add(slot.reserved);
                continue;
            }
            let mut limit = compiled.rule.amount_at(time);
            limit.count = limit.count.saturating_add(set.credit(&slot.series, period.slot));
            found.push(LimitUsage {
                rule: Arc::clone(&compiled.rule),
                group: compiled.rule.group_by.iter().cloned().zip(values).collect(),
                series: slot.series,
                from: at(period.from),
                to: at(period.end),
                limit,
                settled: Amount::of_count(unit.clone(), slot.settled),
                reserved: Amount::of_count(unit.clone(), slot.reserved),
            });
        }
        Ok(found)
    }

    /// Returns what each rule has decided in this process.
    pub fn counts(&self) -> Vec<LimitCounts> {
        self.current().rules().map(|rule| rule.counters.read(rule.rule.name())).collect()
    }
}

fn at(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("rules", &self.current())
            .field("ledger", &self.shared.ledger)
            .finish_non_exhaustive()
    }
}
