//! The sums of the stored requests of a budget's window.

use std::{collections::BTreeMap, sync::Arc};

use crate::{row::EventRow, time::signed_micros};

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
    /// The time from which requests count: the start of the period, or the creation of the rule.
    pub(super) from: i64,
    pub(super) sums: BTreeMap<(String, i64), i64>,
    /// The reason why the rows are not complete.
    pub(super) reason: Option<UncheckedReason>,
    /// The rows are added up, complete or not.
    pub(super) is_read: bool,
}

impl RowSums {
    pub(super) fn new(compiled: Arc<CompiledRule>, window: Window, before: i64) -> Self {
        let period = window.period(before.saturating_sub(1));
        let created = compiled.rule.created_at.map_or(i64::MIN, signed_micros);
        let from = period.from.max(created);
        Self { compiled, window, period, from, sums: BTreeMap::new(), reason: None, is_read: true }
    }

    /// Adds a request in the same way as its event was settled.
    pub(super) fn add(&mut self, row: &EventRow, time: i64) {
        let rule = &self.compiled.rule;
        let is_counted = self.is_read && time >= self.from && !row.is_rejected();
        if !is_counted || rule.matches(row) != Match::Yes {
            return;
        }
        let Some(period) = self.compiled.period(time) else { return };
        let mut series = String::new();
        rule.write_series(&self.compiled.prefix, row, &mut series);
        let sum = self.sums.entry((series, period.slot)).or_default();
        *sum = sum.saturating_add(rule.used(row).unwrap_or(0));
        if self.sums.len() > MAX_SUMS {
            self.give_up();
        }
    }

    /// Leaves a rule with too many groups as it is.
    pub(super) fn give_up(&mut self) {
        self.reason = Some(UncheckedReason::TooManyGroups);
        self.is_read = false;
        self.sums.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{row::EventRow, time::time_of_micros};

    use super::{
        super::super::{
            limiter::rule_set::{RuleSet, compiled},
            rules::{Amount, LimitDecision, LimitRule},
            window::Window,
        },
        RowSums,
    };

    const NOON: i64 = 1_794_744_000_000_000;
    const HOUR: i64 = 3_600_000_000;

    /// Returns the sum of requests at each of five hours after noon.
    fn sum(created_at: Option<i64>) -> i64 {
        let window = Window::day("UTC").unwrap();
        let rule = LimitRule::budget("calls", Amount::requests(10), window.clone());
        let rule = rule.on_store_error(LimitDecision::Deny).build().unwrap();
        let rule = LimitRule { created_at: created_at.map(time_of_micros), ..rule };
        let rules = compiled([rule], &RuleSet::default()).unwrap();
        let mut sums = RowSums::new(Arc::clone(&rules[0]), window, NOON + 6 * HOUR);
        for hour in 1..=5 {
            sums.add(&EventRow::blank(), NOON + hour * HOUR);
        }
        sums.sums.values().sum()
    }

    #[test]
    fn rules_of_the_api_count_from_their_creation() {
        assert_eq!(sum(None), 5);
        assert_eq!(sum(Some(NOON + 2 * HOUR + 1)), 3);
        assert_eq!(sum(Some(NOON - 20 * HOUR)), 5);
    }
}
