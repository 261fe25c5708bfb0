use std::collections::BTreeMap;

use crate::{
    row::{Dimension, EventRow},
    time::micros_since_1970,
};

use super::{RollupKey, Subject, Totals, encode, quarter_of};

/// The sums of the rows of one transaction, sorted by the key of the table.
#[derive(Debug, Default)]
pub(crate) struct RollupBatch {
    sums: BTreeMap<RollupKey, Totals>,
}

impl RollupBatch {
    /// Adds a row to the sums of all subjects.
    pub(crate) fn add(&mut self, subjects: &[Subject], row: &EventRow) {
        let quarter = quarter_of(micros_since_1970(row.requested_at));
        let totals = Totals::of(row);
        let slim = totals.without_histograms();
        let workspace = encode(row.workspace.as_deref());
        let value = |dimension: &Option<Dimension>| {
            dimension.as_ref().map_or_else(String::new, |dimension| encode(dimension.value(row).as_deref()))
        };
        for subject in subjects {
            let mut targets = subject.targets(quarter).peekable();
            if targets.peek().is_none() {
                continue;
            }
            let (first, second) = (value(&subject.first), value(&subject.second));
            let totals = if subject.has_histograms() { &totals } else { &slim };
            for (tier, bucket) in targets {
                let key = RollupKey {
                    subject: subject.id,
                    tier,
                    bucket,
                    first: first.clone(),
                    second: second.clone(),
                    workspace: workspace.clone(),
                };
                self.sums.entry(key).or_default().add(totals);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sums.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RollupKey, &Totals)> {
        self.sums.iter()
    }

    pub(crate) fn into_sums(self) -> BTreeMap<RollupKey, Totals> {
        self.sums
    }
}
