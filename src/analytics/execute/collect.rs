use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analytics::{FeedbackTotals, QueryError},
    row::{Dimension, EventRow, Filter, limited_value},
    store::Totals,
    time::micros_since_1970,
};

use super::feedback_map::FeedbackMap;

/// The values of the dimensions of a group.
pub(crate) type GroupKey = Vec<Option<String>>;

/// The largest number of sums that are held in memory.
const MAX_SUMS: usize = 500_000;

/// Sums to collect, by the values of some dimensions.
#[derive(Clone, Debug)]
pub(crate) struct Collect {
    /// All conditions, including those of the grant.
    pub(crate) filters: Vec<Filter>,
    pub(crate) dimensions: Vec<Dimension>,
    /// The groups to collect. `None` collects all.
    pub(crate) only: Option<BTreeSet<GroupKey>>,
}

impl Collect {
    /// Adds a row if it meets the conditions. `cuts` are the starts of the parts of the range and its end.
    pub(crate) fn add_row(
        &self,
        row: &EventRow,
        totals: &Totals,
        cuts: &[u64],
        into: &mut Collected,
    ) -> Result<(), QueryError> {
        let Some(part) = part_of(cuts, micros_since_1970(row.requested_at)) else { return Ok(()) };
        if !self.filters.iter().all(|filter| filter.matches(row)) {
            return Ok(());
        }
        let key = self.key(row);
        if !self.includes(&key) {
            return Ok(());
        }
        into.add(key, part, totals)
    }

    /// Adds the feedback on the requests in the range that meet the conditions.
    pub(crate) fn add_feedback(&self, feedback: &FeedbackMap, cuts: &[u64], into: &mut Collected) {
        for (row, more) in feedback.requests() {
            let part = part_of(cuts, micros_since_1970(row.requested_at));
            let Some(part) = part.filter(|_| self.filters.iter().all(|filter| filter.matches(row))) else { continue };
            let key = self.key(row);
            if self.includes(&key) {
                into.feedback.entry(key).or_default().entry(part).or_default().add(&more);
            }
        }
    }

    fn key(&self, row: &EventRow) -> GroupKey {
        let value = |dimension: &Dimension| dimension.value(row).map(|value| limited_value(&value).into_owned());
        self.dimensions.iter().map(value).collect()
    }

    /// Returns `true` if a group is collected. The dimensions of a group may be followed by others.
    pub(crate) fn includes(&self, key: &GroupKey) -> bool {
        self.only.as_ref().is_none_or(|only| {
            only.first().is_none_or(|group| key.get(..group.len()).is_some_and(|start| only.contains(start)))
        })
    }
}

/// Returns the index of the part of the range that a time lies in. `None` if it is not in the range.
pub(crate) fn part_of(cuts: &[u64], micros: u64) -> Option<usize> {
    let after = cuts.partition_point(|cut| *cut <= micros);
    (after < cuts.len()).then(|| after.checked_sub(1)).flatten()
}

/// Sums by group and part of the range.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    /// The parts of a group are sorted.
    pub(crate) groups: BTreeMap<GroupKey, Vec<(usize, Totals)>>,
    pub(crate) feedback: BTreeMap<GroupKey, BTreeMap<usize, FeedbackTotals>>,
    sums: usize,
}

impl Collected {
    /// Adds sums.
    ///
    /// # Errors
    /// Returns [`QueryError::TooLarge`] if there are too many groups.
    pub(crate) fn add(&mut self, key: GroupKey, part: usize, totals: &Totals) -> Result<(), QueryError> {
        let parts = self.groups.entry(key).or_default();
        match parts.binary_search_by_key(&part, |(part, _)| *part) {
            Ok(at) => parts.get_mut(at).into_iter().for_each(|(_, sums)| sums.add(totals)),
            Err(at) => {
                parts.insert(at, (part, totals.clone()));
                self.sums += 1;
            }
        }
        if self.sums > MAX_SUMS {
            return Err(QueryError::TooLarge(format!(
                "the answer needs more than {MAX_SUMS} sums: add a filter, or use fewer groups or buckets"
            )));
        }
        Ok(())
    }
}
