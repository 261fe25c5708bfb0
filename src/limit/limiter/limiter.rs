use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

use crate::{
    ConfigError,
    event::Clock,
    registry::ErrorStyle,
    sync::lock,
    time::{signed_micros, time_of_micros},
};

use super::{
    super::{
        ledger::{Ledger, LedgerError, ScanPages, backend::SlotUsage},
        rules::{Amount, LimitKind, LimitRule},
        window::Period,
    },
    LimitCounts, LimitUsage, RuleUsage,
    estimates::Estimates,
    live_requests::LiveRequests,
    rule_set::{CompiledRule, RuleSet, compiled},
    stored_state::StoredState,
};

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
    /// The form of rejections.
    pub(super) errors: Mutex<ErrorStyle>,
    pub(super) has_headers: bool,
    pub(in crate::limit) clock: Arc<dyn Clock>,
    /// The state that was read from the tables of a store.
    pub(in crate::limit) stored: StoredState,
}

impl Limiter {
    /// The largest number of groups of a rule that are read.
    pub(crate) const MAX_GROUPS: usize = 10_000;

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
            Ok(RuleSet::new(configured, set.stored.clone(), set.credits.clone()))
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
            Ok(RuleSet::new(set.configured.clone(), stored, credits))
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

    /// Changes the form of rejections.
    pub fn set_errors(&self, style: ErrorStyle) {
        *lock(&self.shared.errors) = style;
    }

    pub(super) fn errors(&self) -> ErrorStyle {
        *lock(&self.shared.errors)
    }

    /// Returns the ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Returns what all groups have used of each budget in its current window, in the order of the rules.
    ///
    /// Returns the first 10,000 groups of each rule, in the order of their series. If a rule has more, a warning is logged.
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
            let usage = self.usage_of(&set, rule, time).await?;
            if usage.is_cut {
                tracing::warn!(
                    target: "tower_tagging::limit",
                    rule = rule.rule.name(),
                    max = Self::MAX_GROUPS,
                    "a budget has too many groups, reading only the first of them"
                );
            }
            found.extend(usage.groups);
        }
        Ok(found)
    }

    /// Returns the first groups of a budget, in the order of their series.
    pub(crate) async fn usage_of(
        &self,
        set: &RuleSet,
        compiled: &CompiledRule,
        time: SystemTime,
    ) -> Result<RuleUsage, LedgerError> {
        let LimitKind::Budget { window, .. } = &compiled.rule.kind else { return Ok(RuleUsage::default()) };
        let period = window.period(signed_micros(time));
        let mut pages = ScanPages::new(self.shared.ledger.backend(), &compiled.prefix, period.from);
        let (mut usage, mut read) = (RuleUsage::default(), 0);
        while let Some(page) = pages.next().await? {
            for slots in page.chunk_by(|one, other| one.series == other.series) {
                if read == Self::MAX_GROUPS {
                    usage.is_cut = true;
                    return Ok(usage);
                }
                read += 1;
                usage.groups.extend(group(set, compiled, &period, slots, time));
            }
        }
        Ok(usage)
    }

    /// Returns the decisions of each rule in this process.
    pub fn counts(&self) -> Vec<LimitCounts> {
        self.current().rules().map(|rule| rule.counters.read(rule.rule.name())).collect()
    }
}

/// Returns what a group has used, from the slots of its series. `None` if none of them counts at the time.
fn group(
    set: &RuleSet,
    compiled: &CompiledRule,
    period: &Period,
    slots: &[SlotUsage],
    time: SystemTime,
) -> Option<LimitUsage> {
    let mut counted = slots.iter().filter(|slot| slot.slot <= period.slot);
    let first = counted.next()?;
    let group = compiled.group(&first.series)?;
    let sums = (first.settled, first.reserved);
    let (settled, reserved) = counted.fold(sums, |(settled, reserved): (i64, i64), slot| {
        (settled.saturating_add(slot.settled), reserved.saturating_add(slot.reserved))
    });
    let mut limit = compiled.rule.amount_at(time);
    limit.count = limit.count.saturating_add(set.credit(&first.series, period.slot));
    let unit = compiled.rule.unit();
    Some(LimitUsage {
        rule: Arc::clone(&compiled.rule),
        group,
        series: first.series.clone(),
        from: time_of_micros(period.from),
        to: time_of_micros(period.end),
        limit,
        settled: Amount::of_count(unit.clone(), settled),
        reserved: Amount::of_count(unit.clone(), reserved),
    })
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("rules", &self.current())
            .field("ledger", &self.shared.ledger)
            .finish_non_exhaustive()
    }
}
