//! Random operations have the same results on all ledgers.

use std::{cell::RefCell, time::Duration};

use proptest::{prelude::*, sample::select};
use uuid::Uuid;

use super::{
    super::backend::{Adjustment, CheckKind, RateCorrection},
    support::{MINUTE, Subject, concurrency, forever, now, wait, window},
};

const SERIES: [&str; 3] = ["a", "b", "b2"];
const SLOTS: [i64; 4] = [-20, 0, 10, 30];
/// A rate is compared in multiples of this, because servers have their own clock.
const TICK: i64 = 1_000_000_000;

/// A request: its number, its age in seconds, its charges (series, slot, amount), and the correction of a rate.
type Settled = (u8, i64, Vec<(&'static str, i64, i64)>, Option<i64>);

#[derive(Clone, Debug)]
enum Step {
    Reserve { id: u8, is_lasting: bool, checks: Vec<(&'static str, bool, CheckKind)> },
    Settle(Vec<Settled>),
    Extend(Vec<u8>),
    Scan(&'static str),
    SettledBefore(i64),
    Adjust(&'static str, i64, i64),
}

fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0_i64..8, 1 => select(vec![(1_i64 << 53) + 1, (1 << 54) - 1, 999_999_999, 1_000_000_001])]
}

fn kinds() -> impl Strategy<Value = CheckKind> {
    let limits = prop_oneof![4 => 0_i64..30, 1 => select(vec![(1_i64 << 53) + 3, 1 << 55])];
    prop_oneof![
        4 => (select(&SLOTS), select(&SLOTS), amounts(), limits)
            .prop_map(|(one, other, amount, limit)| window(one.min(other), one.max(other), amount, limit)),
        1 => (0_i64..4).prop_map(concurrency),
        // Half a tick more, so that the time that a test takes does not matter.
        1 => (1_i64..3, 1_i64..5).prop_map(|(increment, tolerance)| CheckKind::Rate {
            increment: increment * TICK,
            tolerance: tolerance * TICK + TICK / 2,
        }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let check = (select(&SERIES), proptest::bool::weighted(0.8), kinds());
    let charge = (select(&SERIES), select(&SLOTS), amounts());
    let correction = proptest::option::weighted(0.2, (-3_i64..3).prop_map(|ticks| ticks * TICK));
    let settlement = (0_u8..12, 0_i64..1_200, prop::collection::vec(charge, 0..3), correction);
    prop_oneof![
        6 => (0_u8..12, proptest::bool::weighted(0.8), prop::collection::vec(check, 1..4))
            .prop_map(|(id, is_lasting, checks)| Step::Reserve { id, is_lasting, checks }),
        4 => prop::collection::vec(settlement, 1..4).prop_map(Step::Settle),
        1 => prop::collection::vec(0_u8..12, 1..4).prop_map(Step::Extend),
        2 => select(vec!["", "a", "b"]).prop_map(Step::Scan),
        1 => (0_i64..1_200).prop_map(Step::SettledBefore),
        1 => (select(&SERIES), select(&SLOTS), -5_i64..5).prop_map(|(series, slot, delta)| Step::Adjust(series, slot, delta)),
    ]
}

/// Performs a step, and returns what can be observed.
fn perform(ledger: &Subject, ids: &[Uuid], start: i64, step: &Step) -> String {
    let id = |at: &u8| ids[usize::from(*at)];
    match step {
        Step::Reserve { id: at, is_lasting, checks } => {
            let lease = if *is_lasting { 60 * MINUTE } else { Duration::ZERO };
            let mut reserved = ledger.reserve(id(at), lease, checks);
            for (state, (.., kind)) in reserved.states.iter_mut().zip(checks) {
                if matches!(kind, CheckKind::Rate { .. }) {
                    state.used = (state.used + TICK / 2) / TICK;
                }
            }
            format!("{reserved:?}")
        }
        Step::Settle(settlements) => {
            let settlement = |(at, seconds, charges, correction): &Settled| {
                let mut settlement = ledger.settlement(id(at), start - seconds * 1_000_000, charges);
                let correction = correction.map(|micros| RateCorrection { series: ledger.series("a"), micros });
                settlement.rates.extend(correction);
                settlement
            };
            ledger.settle_all(settlements.iter().map(settlement).collect());
            String::new()
        }
        Step::Extend(list) => {
            ledger.extend(&list.iter().map(id).collect::<Vec<_>>(), 90 * MINUTE);
            String::new()
        }
        Step::Scan(prefix) => format!("{:?}", ledger.scan(prefix)),
        Step::SettledBefore(seconds) => {
            let all = SERIES.iter().flat_map(|series| SLOTS.map(|slot| (ledger.series(series), slot)));
            let before = start - seconds * 1_000_000;
            format!("{:?}", wait(ledger.backend().settled_before(all.collect(), before)).unwrap())
        }
        Step::Adjust(series, slot, delta) => {
            let change =
                Adjustment { series: ledger.series(series), slot: *slot, keep_until: forever(), delta: *delta };
            wait(ledger.backend().adjust(vec![change])).unwrap();
            String::new()
        }
    }
}

fn compare(open: fn() -> Subject, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let ledger = RefCell::new(open());
    let name = ledger.borrow().name.clone();
    proptest!(config, |(steps in prop::collection::vec(steps(), 1..40))| {
        let mut ledger = ledger.borrow_mut();
        ledger.name = format!("{name}{}", Uuid::now_v7());
        let reference = Subject::memory();
        let ids: Vec<Uuid> = (0..12).map(|_| Uuid::now_v7()).collect();
        let start = now();
        for step in steps.iter().chain(&[Step::Scan(""), Step::SettledBefore(600)]) {
            let expected = perform(&reference, &ids, start, step);
            prop_assert_eq!(perform(&ledger, &ids, start, step), expected, "{:?}", step);
        }
    });
}

#[test]
#[ignore = "needs Postgres, which tests/run.sh starts"]
fn postgres_answers_like_memory() {
    compare(Subject::postgres, 48);
}

#[test]
#[ignore = "needs Valkey, which tests/run.sh starts"]
fn redis_answers_like_memory() {
    compare(Subject::redis, 128);
}
