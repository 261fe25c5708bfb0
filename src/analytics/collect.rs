use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    row::{Dimension, EventRow},
    store::Totals,
};

use super::{Filter, QueryError};

/// The values of the dimensions of a group.
pub(crate) type GroupKey = Vec<Option<String>>;

/// The sums to collect: one set per group and bucket.
#[derive(Clone, Debug)]
pub(crate) struct Collect {
    /// The instants at which the buckets begin, and the end of the last one.
    pub(crate) cuts: Vec<Timestamp>,
    /// All conditions, including those of the grant.
    pub(crate) filters: Vec<Filter>,
    pub(crate) dimensions: Vec<Dimension>,
}

/// The largest number of sums that are held in memory.
const MAX_SUMS: usize = 500_000;

/// Sums by group and bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    pub(crate) groups: BTreeMap<GroupKey, BTreeMap<usize, Totals>>,
    sums: usize,
}

impl Collected {
    /// Adds sums.
    ///
    /// # Errors
    /// Returns [`QueryError::TooLarge`] if there are too many groups.
    pub(crate) fn add(&mut self, key: GroupKey, bucket: usize, totals: &Totals) -> Result<(), QueryError> {
        let buckets = self.groups.entry(key).or_default();
        self.sums += usize::from(!buckets.contains_key(&bucket));
        buckets.entry(bucket).or_default().add(totals);
        if self.sums > MAX_SUMS {
            return Err(QueryError::TooLarge(format!(
                "the answer needs more than {MAX_SUMS} sums: add a filter, or use fewer groups or buckets"
            )));
        }
        Ok(())
    }
}

impl Collect {
    /// Returns the index of the bucket of a time. `None` if it is not in the range.
    pub(crate) fn bucket(&self, time: Timestamp) -> Option<usize> {
        let after = self.cuts.partition_point(|cut| *cut <= time);
        (after < self.cuts.len()).then(|| after.checked_sub(1)).flatten()
    }

    /// Adds a row if it is in the range and meets the conditions.
    pub(crate) fn add_row(&self, row: &EventRow, into: &mut Collected) -> Result<(), QueryError> {
        let Ok(time) = Timestamp::try_from(row.requested_at) else { return Ok(()) };
        let Some(bucket) = self.bucket(time) else { return Ok(()) };
        if !self.filters.iter().all(|filter| filter.matches(row)) {
            return Ok(());
        }
        let key = self.dimensions.iter().map(|dimension| dimension.value(row).map(Into::into)).collect();
        into.add(key, bucket, &Totals::of(row))
    }
}
