use std::{collections::HashMap, sync::Arc};

use crate::{ConfigError, row::Dimension, tagging::GateNeeds};

use super::{
    super::{
        rules::{LimitKind, LimitMode, LimitRule},
        series,
        window::{Period, PeriodCache},
    },
    counters::Counters,
};

/// The rules in force, and the credits of groups. Immutable: a change creates a new set.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    /// The rules from code or configuration.
    pub(crate) configured: Vec<Arc<CompiledRule>>,
    /// The rules from the tables of a store.
    pub(crate) stored: Vec<Arc<CompiledRule>>,
    /// Amounts that are added to the limit of a series in a slot, in the units of the ledger.
    pub(crate) credits: HashMap<(String, i64), i64>,
    /// The parts of request bodies that rules depend on. `None` if no rule has an effect.
    pub(crate) needs: Option<GateNeeds>,
}

/// Returns the parts of request bodies that a rule depends on.
fn needs(rule: &LimitRule) -> GateNeeds {
    GateNeeds { call: rule.is_estimated() || rule.depends_on_model(), user: rule.depends_on_user() }
}

/// A rule with what is derived from it.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) rule: Arc<LimitRule>,
    /// The start of the text of its series.
    pub(crate) prefix: String,
    pub(crate) counters: Arc<Counters>,
    periods: PeriodCache,
}

impl CompiledRule {
    /// Returns the period of a budget at a time, in microseconds since 1970. `None` for rates.
    pub(crate) fn period(&self, time: i64) -> Option<Period> {
        match &self.rule.kind {
            LimitKind::Budget { window, .. } => Some(self.periods.period(window, time)),
            LimitKind::Rate { .. } | LimitKind::Concurrency { .. } => None,
        }
    }

    /// Returns the properties and values of a series. `None` if it is not one of this rule.
    pub(crate) fn group(&self, series: &str) -> Option<Vec<(Dimension, Option<String>)>> {
        series::group(&self.rule, &self.prefix, series)
    }
}

impl RuleSet {
    /// Returns all rules: those from code and configuration first.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<CompiledRule>> {
        self.configured.iter().chain(&self.stored)
    }

    /// Creates a set.
    pub(crate) fn new(
        configured: Vec<Arc<CompiledRule>>,
        stored: Vec<Arc<CompiledRule>>,
        credits: HashMap<(String, i64), i64>,
    ) -> Self {
        let rules = configured.iter().chain(&stored).map(|rule| &*rule.rule);
        let needs = rules.filter(|rule| rule.mode != LimitMode::Off).map(needs).reduce(|mut all, of_rule| {
            all.call |= of_rule.call;
            all.user |= of_rule.user;
            all
        });
        Self { configured, stored, credits, needs }
    }

    /// Returns the credit of a series in a slot.
    pub(crate) fn credit(&self, series: &str, slot: i64) -> i64 {
        // Usually empty, so that no key is built on the path of a request.
        if self.credits.is_empty() {
            return 0;
        }
        self.credits.get(&(series.to_owned(), slot)).copied().unwrap_or(0)
    }
}

/// Prepares rules for use. Rules keep the counters that those with the same names had.
///
/// # Errors
///
/// Returns an error if two rules have the same name.
pub(crate) fn compiled(
    rules: impl IntoIterator<Item = LimitRule>,
    previous: &RuleSet,
) -> Result<Vec<Arc<CompiledRule>>, ConfigError> {
    let mut compiled: Vec<Arc<CompiledRule>> = Vec::new();
    for rule in rules {
        if compiled.iter().any(|other| other.rule.name == rule.name) {
            return Err(ConfigError::new(format!("duplicate limit rule {:?}", rule.name())));
        }
        let before = previous.rules().find(|other| other.rule.name == rule.name);
        let counters = before.map(|rule| Arc::clone(&rule.counters)).unwrap_or_default();
        compiled.push(Arc::new(CompiledRule {
            prefix: series::prefix(&rule),
            rule: Arc::new(rule),
            counters,
            periods: PeriodCache::default(),
        }));
    }
    Ok(compiled)
}
