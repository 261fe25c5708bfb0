//! Compares rates with an exact bucket.

use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    super::gcra::{available, increment, tolerance, wait},
    backend::{Check, CheckKind, Reservation, Reserved},
    memory::Books,
};

const START: i64 = 1_700_000_000_000_000;

#[allow(clippy::struct_field_names, reason = "the usual name of the number")]
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: i64,
    rate: i64,
    per: Duration,
}

impl Rate {
    fn per(&self) -> i128 {
        i128::try_from(self.per.as_micros()).unwrap()
    }

    fn check(&self, amount: i64) -> Check {
        let increment = increment(amount.min(self.burst), self.rate, self.per);
        let tolerance = tolerance(self.burst, self.rate, self.per);
        Check { series: 0..4, is_enforced: true, rule: 0, kind: CheckKind::Rate { increment, tolerance } }
    }

    fn reserve(&self, books: &mut Books, number: usize, amount: i64, now: i64) -> Reserved {
        let check = self.check(amount);
        let id = Uuid::from_u128(number as u128);
        let lease = Duration::from_secs(60);
        books.reserve(&Reservation { id, lease, text: "rate", checks: &[check], wants_states: true }, now)
    }

    fn wait(&self, used: i64, amount: i64) -> i64 {
        wait(used, increment(amount.min(self.burst), self.rate, self.per), tolerance(self.burst, self.rate, self.per))
    }
}

/// A bucket in exact numbers: the level is in units times the microseconds of the rate.
struct Bucket {
    rate: Rate,
    level: i128,
    time: i64,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        Self { rate, level: 0, time: START }
    }

    fn drain(&mut self, now: i64) {
        let drained = i128::from(now - self.time) * i128::from(self.rate.rate);
        self.level = (self.level - drained).max(0);
        self.time = now;
    }

    fn has_room(&self, amount: i64) -> bool {
        self.level + i128::from(amount) * self.rate.per() <= i128::from(self.rate.burst) * self.rate.per()
    }

    fn fill(&mut self, amount: i64) {
        self.level += i128::from(amount) * self.rate.per();
    }
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let per = prop::sample::select(vec![1_u64, 10, 60, 3_600, 86_400]).prop_map(Duration::from_secs);
    let amount = prop_oneof![1_i64..20, 1_i64..1_000, 1_i64..5_000_000_000];
    // Without bursts that take thousands of years.
    (amount.clone(), amount, per)
        .prop_map(|(burst, rate, per)| Rate { burst, rate, per })
        .prop_filter("too long", |rate| tolerance(rate.burst, rate.rate, rate.per) < i64::MAX / 100)
}

/// Rates whose units take a whole number of microseconds.
fn whole_rate() -> impl Strategy<Value = Rate> {
    (1_i64..50, 1_u64..2_000_000, 1_i64..200).prop_map(|(rate, unit, burst)| Rate {
        burst,
        rate,
        per: Duration::from_micros(unit * rate.unsigned_abs()),
    })
}

/// Pauses in the time of a unit, and amounts in the size of the burst.
fn arrivals() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((prop_oneof![Just(0.0), 0.0_f64..2.0, 0.0_f64..40.0], 0.0_f64..1.0), 1..60)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn scaled(factor: f64, of: i64) -> i64 {
    (of as f64 * factor) as i64
}

/// Returns the time and the amount of each arrival. Half of the amounts are small.
fn requests(rate: Rate, arrivals: &[(f64, f64)]) -> Vec<(i64, i64)> {
    let unit = i64::try_from(rate.per() / i128::from(rate.rate)).unwrap();
    let mut now = START;
    let request = |(pause, share): &(f64, f64)| {
        now += scaled(*pause, unit);
        let size = if *share < 0.5 { scaled(*share, rate.burst.min(4)) } else { scaled(*share, rate.burst) };
        (now, size.clamp(1, rate.burst))
    };
    arrivals.iter().map(request).collect()
}

proptest! {
    #[test]
    fn rates_of_whole_microseconds_are_exact(rate in whole_rate(), arrivals in arrivals()) {
        let (mut books, mut bucket) = (Books::default(), Bucket::new(rate));
        for (number, (now, amount)) in requests(rate, &arrivals).into_iter().enumerate() {
            bucket.drain(now);
            let has_room = bucket.has_room(amount);
            prop_assert_eq!(rate.reserve(&mut books, number, amount, now).is_admitted, has_room, "{}", number);
            if has_room {
                bucket.fill(amount);
            }
        }
    }

    #[test]
    fn no_rate_lets_more_through_than_the_bucket(rate in any_rate(), arrivals in arrivals()) {
        let (mut books, mut bucket) = (Books::default(), Bucket::new(rate));
        for (number, (now, amount)) in requests(rate, &arrivals).into_iter().enumerate() {
            bucket.drain(now);
            if rate.reserve(&mut books, number, amount, now).is_admitted {
                bucket.fill(amount);
            }
            // Fast rates round the burst up to a microsecond.
            let excess = bucket.level - i128::from(rate.burst) * rate.per();
            prop_assert!(excess < i128::from(rate.rate), "{number}: {excess}");
        }
    }

    #[test]
    fn the_wait_is_the_shortest_after_which_a_request_passes(rate in any_rate(), arrivals in arrivals()) {
        let mut books = Books::default();
        let mut numbers = 0..;
        for (now, amount) in requests(rate, &arrivals) {
            let mut reserve = |amount, now| rate.reserve(&mut books, numbers.next().unwrap(), amount, now);
            let reserved = reserve(amount, now);
            if reserved.is_admitted {
                continue;
            }
            let wait = rate.wait(reserved.states[0].used, amount);
            prop_assert!(wait > 0);
            prop_assert!(!reserve(amount, now + wait - 1).is_admitted);
            // Passes only in theory, so that the next arrival is not before it.
            let mut full = Books::default();
            let used = reserved.states[0].used;
            let filled = CheckKind::Rate { increment: used, tolerance: i64::MAX };
            let checks = [Check { series: 0..4, is_enforced: true, rule: 0, kind: filled }];
            let id = Uuid::from_u128(u128::MAX);
            full.reserve(&Reservation { id, lease: Duration::ZERO, text: "rate", checks: &checks, wants_states: false }, now);
            prop_assert!(rate.reserve(&mut full, 0, amount, now + wait).is_admitted);
        }
    }

    #[test]
    fn the_available_amount_passes_and_no_more(rate in any_rate(), share in 0.0_f64..1.2) {
        let tolerance = tolerance(rate.burst, rate.rate, rate.per);
        let used = scaled(share, tolerance);
        let amount = available(used, rate.burst, rate.rate, rate.per);
        prop_assert!((0..=rate.burst).contains(&amount));
        prop_assert!(amount == 0 || used + increment(amount, rate.rate, rate.per) <= tolerance);
        let more = increment(amount + 1, rate.rate, rate.per);
        prop_assert!(amount == rate.burst || used + more > tolerance);
    }

    #[test]
    fn the_whole_burst_is_available_in_single_units(rate in 1_i64..1_000, burst in 1_i64..300, seconds in 1_u64..100) {
        let rate = Rate { burst, rate, per: Duration::from_secs(seconds) };
        let mut books = Books::default();
        for number in 0..usize::try_from(burst).unwrap() {
            prop_assert!(rate.reserve(&mut books, number, 1, START).is_admitted, "{number}");
        }
        prop_assert!(!rate.reserve(&mut books, usize::MAX, 1, START).is_admitted);
    }

    #[test]
    fn no_rate_is_slower_by_more_than_rounding(rate in any_rate(), share in 0.0_f64..1.0) {
        let amount = scaled(share, rate.burst).max(1);
        let mut books = Books::default();
        let mut now = START;
        let mut number = 0;
        for _ in 0..50 {
            loop {
                number += 1;
                let reserved = rate.reserve(&mut books, number, amount, now);
                if reserved.is_admitted {
                    break;
                }
                now += rate.wait(reserved.states[0].used, amount);
            }
        }
        // The burst is free, and the rest takes its time.
        let exact = (i128::from(amount) * 50 - i128::from(rate.burst)).max(0) * rate.per() / i128::from(rate.rate);
        let taken = i128::from(now - START);
        prop_assert!(taken <= exact + exact / 1_000 + 100, "{taken} instead of {exact}");
    }
}

#[test]
fn extreme_numbers_saturate() {
    let per = Duration::from_secs(60);
    assert_eq!(increment(i64::MAX, 1, Duration::MAX), i64::MAX / 4);
    // The second request does not fit, whatever its size.
    let rate = Rate { burst: i64::MAX, rate: 1, per };
    let mut books = Books::default();
    assert!(rate.reserve(&mut books, 1, i64::MAX, START).is_admitted);
    assert!(!rate.reserve(&mut books, 2, 1, START).is_admitted);
    assert_eq!(increment(1, 0, per), 60_000_000);
    assert_eq!(increment(-1, 1, per), 0);
    assert_eq!(increment(1, i64::MAX, per), 1);
    assert_eq!(available(-1, 10, 10, per), 10);
    assert_eq!(available(i64::MAX, 10, 10, per), 0);
    assert_eq!(available(0, i64::MAX, i64::MAX, Duration::ZERO), i64::MAX);
    assert_eq!(wait(i64::MAX, i64::MAX, 0), i64::MAX);
}
