//! Covers a range with buckets of stored sums.

#![cfg(any(feature = "postgres", feature = "sqlite"))]

use std::{cmp::Reverse, ops::Range};

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
        // Each step adds all blocks up to the next one of a larger tier, so the length of the range does not matter.
        while quarter < end {
            let blocks = Tier::ALL.map(|tier| Blocks::after(subject, tier, quarter..end));
            let Some(first) = blocks.iter().flatten().min_by_key(|blocks| (blocks.start(), Reverse(blocks.tier)))
            else {
                break;
            };
            self.add_edge(quarter_start(quarter), quarter_start(first.start()));
            let larger = blocks.iter().flatten().filter(|blocks| blocks.tier > first.tier).map(Blocks::start).min();
            let to = larger.map_or(first.to, |start| first.to.min(first.tier.bucket(start)));
            self.spans.push(Span { part, tier: first.tier, from: first.from, to });
            quarter = first.tier.start(to);
        }
        self.add_edge(quarter_start(quarter), to);
    }

    fn add_edge(&mut self, from: u64, to: u64) {
        match self.edges.last_mut() {
            _ if from >= to => {}
            Some((_, end)) if *end == from => *end = to,
            _ => self.edges.push((from, to)),
        }
    }

    /// Returns `true` if only rows can distinguish a time.
    pub(super) fn has_edge_at(&self, micros: u64) -> bool {
        let after = self.edges.partition_point(|(from, _)| *from <= micros);
        self.edges.get(..after).and_then(<[_]>::last).is_some_and(|(_, to)| micros < *to)
    }

    /// Returns the times that are at the edges of any of the covers, without overlaps.
    pub(super) fn all_edges(covers: &[&Self]) -> Vec<(u64, u64)> {
        let mut edges: Vec<(u64, u64)> = covers.iter().flat_map(|cover| cover.edges.iter().copied()).collect();
        edges.sort_unstable();
        edges.dedup_by(|(from, to), (_, end)| {
            let is_joined = *from <= *end;
            *end = if is_joined { (*end).max(*to) } else { *end };
            is_joined
        });
        edges
    }

    /// Returns the length of all edges, in microseconds.
    pub(super) fn edge_micros(&self) -> u64 {
        self.edges.iter().map(|(from, to)| to - from).sum()
    }
}

/// The buckets of a tier whose sums are complete and that lie within a range.
struct Blocks {
    tier: Tier,
    from: i64,
    to: i64,
}

impl Blocks {
    fn after(subject: &Subject, tier: Tier, quarters: Range<i64>) -> Option<Self> {
        let usable = subject.usable(tier);
        let from = tier.bucket_after(quarters.start).max(usable.start);
        let to = tier.bucket(quarters.end).min(usable.end);
        (from < to).then_some(Self { tier, from, to })
    }

    /// Returns the first quarter hour.
    fn start(&self) -> i64 {
        self.tier.start(self.from)
    }
}

#[cfg(test)]
mod tests {
    use crate::{store::rollup::BUILT, time::LAST_MICRO};

    use super::{Cover, Span, Subject, Tier, quarter_of, quarter_start};

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

    /// Walking over quarter hours one by one would take minutes.
    #[test]
    fn covers_all_times_in_few_steps() {
        let cover = Cover::of(&subject(Tier::QuarterHour, 20_000), &[1, LAST_MICRO]);
        assert!(cover.spans.len() < 12 && cover.edges.len() == 2, "{cover:?}");
        let parts: Vec<u64> = (0..1_000).map(|part| LAST_MICRO / 1_000 * part).collect();
        assert!(Cover::of(&subject(Tier::Day, 20_000), &parts).spans.len() < 12_000);
    }

    #[test]
    fn each_quarter_hour_is_in_one_span_or_edge() {
        let mut seed = 7_u64;
        let mut random = |below: i64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(seed >> 33).unwrap() % below
        };
        for _ in 0..2_000 {
            let mut subject =
                subject([Tier::QuarterHour, Tier::Hour, Tier::Day][usize::try_from(random(3)).unwrap()], random(300));
            subject.since = random(20_000);
            subject.kept = [random(20_000), random(5_000), random(200), random(20), 0];
            let from = random(25_000);
            let (from, to) = (from, from + 1 + random(15_000));
            let cover = Cover::of(&subject, &[quarter_start(from), quarter_start(to)]);
            let spans = cover.spans.iter().inspect(|span| {
                assert!((span.from..span.to).all(|bucket| subject.is_usable(span.tier, bucket)), "{span:?}");
            });
            let spans = spans.map(|span| (span.tier.start(span.from), span.tier.start(span.to)));
            let edges = cover.edges.iter().map(|(from, to)| (quarter_of(*from), quarter_of(*to)));
            let mut pieces: Vec<_> = spans.chain(edges).collect();
            pieces.sort_unstable();
            let end = pieces.iter().fold(from, |at, (start, end)| {
                assert_eq!(at, *start);
                *end
            });
            assert_eq!(end, to);
            // No bucket that is complete is left to rows.
            let live = subject.live.unwrap();
            for quarter in cover.edges.iter().flat_map(|(from, to)| quarter_of(*from)..quarter_of(*to)) {
                let bucket = live.bucket(quarter);
                let is_whole = live.start(bucket) >= from && live.start(bucket + 1) <= to;
                assert!(!is_whole || !subject.is_usable(live, bucket), "{quarter}");
            }
        }
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
