//! Counts of affected callers.

use std::{cmp::Reverse, collections::HashMap};

use crate::usage::Money;

use super::{affected::Affected, affected_caller::AffectedCaller};

/// Maximum number of values that are counted.
const MAX_VALUES: usize = 100_000;
/// The number of values in the result.
const TOP: usize = 20;

/// The rejections by caller or group.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: HashMap<Vec<Option<String>>, (u64, u64)>,
    is_full: bool,
}

impl Tally {
    /// Counts a rejection, with its cost in nano-dollars.
    pub(super) fn add(&mut self, values: Vec<Option<String>>, cost: u64) {
        if self.counts.len() >= MAX_VALUES && !self.counts.contains_key(&values) {
            self.is_full = true;
            return;
        }
        let (rejected, saved) = self.counts.entry(values).or_default();
        *rejected += 1;
        *saved = saved.saturating_add(cost);
    }

    pub(super) fn into_affected(self) -> Affected {
        // A missing key or workspace is no caller. In groups, it is a value like others.
        let is_caller = |values: &&Vec<Option<String>>| !matches!(values.as_slice(), [None]);
        let count = self.counts.keys().filter(is_caller).count() as u64;
        let mut top: Vec<AffectedCaller> = self
            .counts
            .into_iter()
            .map(|(values, (rejected, saved))| AffectedCaller { values, rejected, saved: Money::from_nano_usd(saved) })
            .collect();
        top.sort_by(|one, other| (Reverse(one.rejected), &one.values).cmp(&(Reverse(other.rejected), &other.values)));
        top.truncate(TOP);
        Affected { count, is_exact: !self.is_full, top }
    }
}
