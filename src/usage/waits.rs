use std::time::{Duration, Instant};

/// Maximum number of separate intervals that are kept.
const MAX_INTERVALS: usize = 64;

/// The time that a request spent waiting for its calls. Time in which several calls run at once counts once.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Disjoint intervals in the order of time.
    intervals: Vec<(Instant, Instant)>,
    /// The time outside of `intervals`. `None` if no time is known.
    other: Option<Duration>,
}

impl Waits {
    /// Adds a time of which only the length is known.
    pub(super) fn add(&mut self, time: Duration) {
        self.other = Some(self.other.unwrap_or_default().saturating_add(time));
    }

    /// Adds the time of a call. Calls are added at about the time when they end, in any order.
    pub(super) fn add_interval(&mut self, mut start: Instant, mut end: Instant) {
        let first = self.intervals.partition_point(|(_, other_end)| *other_end < start);
        let after = self.intervals.partition_point(|(other_start, _)| *other_start <= end);
        for (other_start, other_end) in self.intervals.drain(first..after.max(first)) {
            (start, end) = (start.min(other_start), end.max(other_end));
        }
        self.intervals.insert(first, (start, end));
        if self.intervals.len() > MAX_INTERVALS {
            let (first_start, first_end) = self.intervals.remove(0);
            self.add(first_end.saturating_duration_since(first_start));
        }
    }

    /// Returns the total time, or `None` if no time is known.
    pub(super) fn total(&self) -> Option<Duration> {
        let times = self.intervals.iter().map(|(start, end)| end.saturating_duration_since(*start));
        let known = times.chain(self.other).reduce(Duration::saturating_add);
        known.filter(|_| self.other.is_some() || !self.intervals.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{MAX_INTERVALS, Waits};

    fn total(intervals: &[(u64, u64)]) -> Option<u64> {
        let origin = Instant::now();
        let at = |millis: u64| origin + Duration::from_millis(millis);
        let mut waits = Waits::default();
        for (start, end) in intervals {
            waits.add_interval(at(*start), at(*end));
        }
        waits.total().map(|time| u64::try_from(time.as_millis()).unwrap())
    }

    #[test]
    fn counts_time_with_several_calls_once() {
        for (intervals, expected) in [
            (&[][..], None),
            (&[(0, 10)], Some(10)),
            (&[(0, 10), (20, 25)], Some(15)),
            (&[(0, 10), (0, 10)], Some(10)),
            (&[(0, 10), (5, 15)], Some(15)),
            (&[(2, 10), (0, 12)], Some(12)),
            (&[(0, 5), (6, 8), (1, 10), (20, 21)], Some(11)),
            (&[(5, 5)], Some(0)),
            // Calls that are added after one that ended later.
            (&[(0, 12), (0, 10)], Some(12)),
            (&[(20, 25), (5, 10)], Some(10)),
            (&[(20, 25), (5, 10), (8, 22)], Some(20)),
            (&[(20, 25), (5, 10), (10, 20)], Some(20)),
            (&[(0, 30), (5, 10)], Some(30)),
        ] {
            assert_eq!(total(intervals), expected, "{intervals:?}");
        }
    }

    #[test]
    fn keeps_the_total_beyond_the_limit_of_intervals() {
        let intervals: Vec<_> = (0..10 * MAX_INTERVALS as u64).map(|at| (10 * at, 10 * at + 3)).collect();
        assert_eq!(total(&intervals), Some(3 * intervals.len() as u64));
    }

    #[test]
    fn adds_times_without_an_interval() {
        let mut waits = Waits::default();
        waits.add(Duration::from_secs(1));
        waits.add_interval(Instant::now(), Instant::now());
        assert!(waits.total().unwrap() >= Duration::from_secs(1));
    }
}
