use std::ops::Range;

use crate::row::Dimension;

use super::{SumColumn, Tier};

/// The quarter hour after all others: the rollup of a subject is complete.
pub(crate) const BUILT: i64 = i64::MAX;

/// Something that sums are kept for: all requests, a dimension, or a pair of dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The number in the tables. [`Subject::BASE`] stands for all requests.
    pub(crate) id: i32,
    pub(crate) first: Option<Dimension>,
    pub(crate) second: Option<Dimension>,
    /// The finest tier, which writers fill. `None` if there are too many values to keep sums.
    pub(crate) live: Option<Tier>,
    /// The quarter hour up to which stored rows are included, excluded. Later rows are added when their time is built.
    pub(crate) built_to: i64,
    /// The first quarter hour from which all requests are included.
    pub(crate) since: i64,
    /// For each tier: the bucket up to which it holds sums, excluded. The live tier has no such bound.
    pub(crate) sealed: [i64; 5],
    /// For each tier: the first bucket that was not deleted.
    pub(crate) kept: [i64; 5],
}

impl Subject {
    /// The number of the subject of all requests.
    pub(crate) const BASE: i32 = 0;

    /// Creates a subject whose sums are not built yet.
    pub(crate) fn new(id: i32, first: Option<Dimension>, second: Option<Dimension>) -> Self {
        let live = if id == Self::BASE { Tier::QuarterHour } else { Tier::Hour };
        Self { id, first, second, live: Some(live), built_to: 0, since: 0, sealed: [0; 5], kept: [0; 5] }
    }

    /// Returns `true` if sums of this subject include the distribution of durations.
    pub(crate) fn has_histograms(&self) -> bool {
        self.live.is_some_and(|live| live <= Tier::Hour)
    }

    /// Returns the columns that sums of this subject have.
    pub(crate) fn columns(&self) -> impl Iterator<Item = SumColumn> + use<> {
        let has_histograms = self.has_histograms();
        SumColumn::all().filter(move |column| has_histograms || !column.is_histogram())
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.live.is_some() && self.built_to == BUILT
    }

    /// Returns the buckets of a tier whose sums are complete.
    pub(crate) fn usable(&self, tier: Tier) -> Range<i64> {
        let end = match self.live {
            Some(live) if live == tier => i64::MAX,
            Some(live) if live < tier => self.sealed.get(tier.index()).copied().unwrap_or(0),
            _ => 0,
        };
        let kept = self.kept.get(tier.index()).copied().unwrap_or(0);
        kept.max(tier.bucket_after(self.since))..end
    }

    /// Returns `true` if the sums of a bucket are complete.
    pub(crate) fn is_usable(&self, tier: Tier, bucket: i64) -> bool {
        self.usable(tier).contains(&bucket)
    }

    /// Returns the tiers and buckets to which a request at a quarter hour is added.
    pub(crate) fn targets(&self, quarter: i64) -> impl Iterator<Item = (Tier, i64)> {
        let is_built = quarter < self.built_to && quarter >= self.since;
        let live = self.live.filter(|_| is_built);
        Tier::ALL.into_iter().filter_map(move |tier| {
            let (live, bucket) = (live?, tier.bucket(quarter));
            let is_filled = tier == live || tier > live && bucket < *self.sealed.get(tier.index())?;
            (is_filled && bucket >= *self.kept.get(tier.index())?).then_some((tier, bucket))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BUILT, Subject, Tier};

    #[test]
    fn late_requests_are_added_to_all_sealed_tiers() {
        let mut subject = Subject::new(3, None, None);
        subject.built_to = BUILT;
        subject.sealed[Tier::Day.index()] = 100;
        subject.sealed[Tier::EightDays.index()] = 12;
        let targets = |quarter: i64| subject.targets(quarter).collect::<Vec<_>>();
        assert_eq!(targets(100 * 96), [(Tier::Hour, 2_400)]);
        assert_eq!(targets(99 * 96 + 5), [(Tier::Hour, 2_377), (Tier::Day, 99)]);
        assert_eq!(targets(95 * 96), [(Tier::Hour, 2_280), (Tier::Day, 95), (Tier::EightDays, 11)]);
    }

    #[test]
    fn requests_of_times_that_are_not_built_are_left_to_the_build() {
        let mut subject = Subject::new(3, None, None);
        subject.built_to = 50 * 96;
        assert_eq!(subject.targets(50 * 96).count(), 0);
        assert_eq!(subject.targets(50 * 96 - 1).count(), 1);
        subject.since = 10 * 96;
        assert_eq!(subject.targets(10 * 96 - 1).count(), 0);
    }
}
