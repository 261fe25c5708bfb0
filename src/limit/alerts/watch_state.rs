use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use crate::sync::lock;

/// Maximum number of alerts that are remembered as raised. They are only remembered to save writes.
const MAX_KNOWN: usize = 100_000;

/// The memory of a process between evaluations. Alerts are raised once without it.
#[derive(Debug, Default)]
pub(super) struct WatchState(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// The end of the time that each rule has evaluated, in microseconds since 1970.
    evaluated: HashMap<String, i64>,
    /// Counts of this process that were reported.
    reported: HashMap<String, u64>,
    attempts: HashMap<String, Interval>,
    /// The records that exist.
    known: HashSet<String>,
}

/// A count of this process in an interval.
#[derive(Debug, Default)]
struct Interval {
    start: i64,
    count_before: u64,
    last_count: u64,
}

impl WatchState {
    /// Returns `true` if a rule has evaluated the time up to `to`.
    pub(super) fn has_evaluated(&self, rule: &str, to: i64) -> bool {
        lock(&self.0).evaluated.get(rule).is_some_and(|evaluated| *evaluated >= to)
    }

    pub(super) fn set_evaluated(&self, rule: &str, to: i64) {
        lock(&self.0).evaluated.insert(rule.to_owned(), to);
    }

    /// Returns the count that was reported last.
    pub(super) fn reported(&self, key: &str) -> u64 {
        lock(&self.0).reported.get(key).copied().unwrap_or(0)
    }

    pub(super) fn set_reported(&self, key: &str, count: u64) {
        lock(&self.0).reported.insert(key.to_owned(), count);
    }

    /// Returns by how much a count rose since the start of its interval. Before the first interval, the count was zero.
    pub(super) fn rise(&self, key: &str, interval: i64, count: u64) -> u64 {
        let mut memory = lock(&self.0);
        let state = memory.attempts.entry(key.to_owned()).or_default();
        if state.start != interval {
            (state.start, state.count_before) = (interval, state.last_count);
        }
        state.last_count = count;
        count.saturating_sub(state.count_before)
    }

    pub(super) fn is_known(&self, record: &str) -> bool {
        lock(&self.0).known.contains(record)
    }

    pub(super) fn add_known(&self, record: String) {
        let known = &mut lock(&self.0).known;
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(record);
    }
}

#[cfg(test)]
mod tests {
    use super::WatchState;

    #[test]
    fn a_rise_includes_what_happened_between_evaluations_of_two_intervals() {
        let state = WatchState::default();
        assert_eq!(state.rise("web", 10, 7), 7);
        assert_eq!(state.rise("web", 10, 9), 9);
        assert_eq!(state.rise("web", 20, 15), 6);
        assert_eq!(state.rise("web", 20, 16), 7);
    }
}
