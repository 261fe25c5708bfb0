//! Covers a range with buckets of stored sums.

#![cfg(any(feature = "postgres", feature = "sqlite"))]

use crate::store::rollup::{Span, Subject, Tier, quarter_after, quarter_of, quarter_start};

/// The buckets that make up a range, and the times in between that only rows can distinguish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cover {
    pub(super) spans: Vec<Span>,
    /// Starts and ends in microseconds since 1970.
    pub(super) edges: Vec<(u64, u64)>,
}

impl Cover {
    /// Covers the parts between `cuts` with the largest buckets that are complete.
    pub(super) fn of(subject: &Subject, cuts: &[u64]) -> Self {
        let mut cover = Self::default();
        for (part, ends) in cuts.windows(2).enumerate() {
            if let [from, to] = ends {
                cover.add(subject, part, *from, *to);
            }
        }
        cover
    }

    fn add(&mut self, subject: &Subject, part: usize, from: u64, to: u64) {
        let (mut quarter, end) = (quarter_after(from), quarter_of(to));
        if quarter >= end {
            return self.add_edge(from, to);
        }
        self.add_edge(from, quarter_start(quarter));
        while quarter < end {
            let block = Tier::ALL.into_iter().rev().find(|tier| {
                let is_whole = quarter % tier.quarters() == 0 && quarter + tier.quarters() <= end;
                is_whole && subject.is_usable(*tier, tier.bucket(quarter))
            });
            match block {
                Some(tier) => self.add_block(part, tier, tier.bucket(quarter)),
                None => self.add_edge(quarter_start(quarter), quarter_start(quarter + 1)),
            }
            quarter += block.map_or(1, Tier::quarters);
        }
        self.add_edge(quarter_start(end), to);
    }

    fn add_block(&mut self, part: usize, tier: Tier, bucket: i64) {
        match self.spans.last_mut() {
            Some(last) if last.part == part && last.tier == tier && last.to == bucket => last.to += 1,
            _ => self.spans.push(Span { part, tier, from: bucket, to: bucket + 1 }),
        }
    }

    fn add_edge(&mut self, from: u64, to: u64) {
        match self.edges.last_mut() {
            _ if from >= to => {}
            Some((_, end)) if *end == from => *end = to,
            _ => self.edges.push((from, to)),
        }
    }

    /// Returns the length of all edges, in microseconds.
    pub(super) fn edge_micros(&self) -> u64 {
        self.edges.iter().map(|(from, to)| to - from).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::store::rollup::BUILT;

    use super::{Cover, Span, Subject, Tier, quarter_start};

    fn subject(live: Tier, sealed_days: i64) -> Subject {
        let mut subject = Subject::new(1, None, None);
        (subject.live, subject.built_to) = (Some(live), BUILT);
        subject.sealed = [0, 0, sealed_days, sealed_days / 8, sealed_days / 64];
        subject
    }

    #[test]
    fn covers_a_range_with_the_largest_blocks() {
        let day = |day: i64| quarter_start(Tier::Day.start(day));
        let cover = Cover::of(&subject(Tier::Hour, 200), &[day(60), day(201)]);
        let spans =
            [(Tier::Day, 60, 64), (Tier::SixtyFourDays, 1, 3), (Tier::EightDays, 24, 25), (Tier::Hour, 4_800, 4_824)];
        assert_eq!(cover.spans, spans.map(|(tier, from, to)| Span { part: 0, tier, from, to }));
        assert_eq!(cover.edges, []);
    }

    #[test]
    fn leaves_what_is_finer_than_the_live_tier_to_rows() {
        let quarter = quarter_start;
        let cover = Cover::of(&subject(Tier::Hour, 0), &[quarter(2) + 1, quarter(9), quarter(12) + 7]);
        assert_eq!(
            cover.spans,
            [(0, 1, 2), (1, 3, 3)]
                .map(|(part, from, to)| Span { part, tier: Tier::Hour, from, to })
                .into_iter()
                .filter(|span| span.from < span.to)
                .collect::<Vec<_>>()
        );
        assert_eq!(cover.edges, [(quarter(2) + 1, quarter(4)), (quarter(8), quarter(12) + 7)]);
        assert_eq!(cover.edge_micros(), quarter(4) - quarter(2) - 1 + quarter(4) + 7);
    }
}
