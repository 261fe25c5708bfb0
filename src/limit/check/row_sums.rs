//! The sums of the stored requests of a budget's window.

use std::{collections::BTreeMap, sync::Arc};

use crate::row::EventRow;

use super::{
    super::{
        limiter::rule_set::CompiledRule,
        rules::{Finished, Match},
        window::{Period, Window},
    },
    unchecked_reason::UncheckedReason,
};

/// Maximum number of groups and slots of a rule.
pub(super) const MAX_SUMS: usize = 100_000;

/// A budget, and the sums of its groups by series and slot.
pub(super) struct RowSums {
    pub(super) compiled: Arc<CompiledRule>,
    pub(super) window: Window,
    /// The period of the last moment that is covered.
    pub(super) period: Period,
    pub(super) sums: BTreeMap<(String, i64), i64>,
    /// The reason why the rule is not compared.
    pub(super) reason: Option<UncheckedReason>,
}

impl RowSums {
    pub(super) fn new(compiled: Arc<CompiledRule>, window: Window, before: i64) -> Self {
        let period = window.period(before.saturating_sub(1));
        Self { compiled, window, period, sums: BTreeMap::new(), reason: None }
    }

    /// Adds a request in the same way as its event was settled.
    pub(super) fn add(&mut self, row: &EventRow, time: i64) {
        let rule = &self.compiled.rule;
        let is_counted = self.reason.is_none() && time >= self.period.from && !row.is_rejected();
        if !is_counted || rule.matches(row) != Match::Yes {
            return;
        }
        let Some(period) = self.compiled.period(time) else { return };
        let mut series = String::new();
        rule.write_series(&self.compiled.prefix, row, &mut series);
        let sum = self.sums.entry((series, period.slot)).or_default();
        *sum = sum.saturating_add(rule.used(row).unwrap_or(0));
        if self.sums.len() > MAX_SUMS {
            self.reason = Some(UncheckedReason::TooManyGroups);
            self.sums.clear();
        }
    }
}
