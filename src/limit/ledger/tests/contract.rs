//! The contract of `Backend`, on each ledger.

use std::time::Duration;

use super::{
    super::backend::{Adjustment, CheckKind},
    support::{MINUTE, SLOT, Subject, admitted, budget, concurrency, forever, id, now, rate, rejected, wait, window},
};

const SHORT: Duration = Duration::from_millis(300);
/// Longer than a short lease.
const LATER: Duration = Duration::from_millis(400);

macro_rules! on_each_ledger {
    ($($test:ident)*) => {
        mod memory {
            use super::Subject;
            $(#[test] fn $test() { super::$test(&Subject::memory()); })*
        }
        mod postgres {
            use super::Subject;
            $(#[test] #[ignore = "needs Postgres, which tests/run.sh starts"] fn $test() { super::$test(&Subject::postgres()); })*
        }
        mod redis {
            use super::Subject;
            $(#[test] #[ignore = "needs Valkey, which tests/run.sh starts"] fn $test() { super::$test(&Subject::redis()); })*
        }
    };
}

on_each_ledger! {
    counts_settled_and_reserved_amounts
    takes_nothing_if_an_enforced_check_fails
    takes_what_is_not_enforced_although_it_fails
    takes_of_a_rate_that_is_not_enforced_only_if_it_passes
    sums_the_slots_of_a_window
    is_exact_with_large_amounts
    keeps_the_largest_sum_of_reservations
    admits_a_live_id_again_without_taking
    admits_a_settled_id_again_without_taking
    settles_an_id_once
    settles_once_within_a_batch
    counts_settlements_after_the_end_of_a_lease
    releases_reservations_at_the_end_of_their_lease
    extends_live_leases_only
    never_shortens_a_lease
    limits_concurrent_requests
    paces_requests
    corrects_rates
    a_correction_grants_nothing_before_now
    scans_in_order_by_prefix
    scans_a_number_of_series_with_all_slots
    scans_many_series
    leaves_out_late_requests
    adjusts_settled_amounts
    keeps_series_with_odd_values_apart
    omits_states_that_are_not_needed
    several_checks_of_a_series_see_the_state_before
}

fn counts_settled_and_reserved_amounts(ledger: &Subject) {
    let (first, second) = (id(), id());
    assert_eq!(ledger.reserve(first, MINUTE, &[("a", true, budget(6, 10))]), admitted(&[(true, 0)]));
    assert_eq!(ledger.reserve(second, MINUTE, &[("a", true, budget(5, 10))]), rejected(&[(false, 6)]));
    ledger.settle(first, &[("a", SLOT, 4)]);
    assert_eq!(ledger.scan("a"), [("a".to_owned(), SLOT, 4, 0)]);
    assert_eq!(ledger.reserve(second, MINUTE, &[("a", true, budget(6, 10))]), admitted(&[(true, 4)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &[("a", true, budget(0, 10))]), admitted(&[(true, 10)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &[("a", true, budget(1, 10))]), rejected(&[(false, 10)]));
    assert_eq!(ledger.scan("a"), [("a".to_owned(), SLOT, 4, 6)]);
}

fn takes_nothing_if_an_enforced_check_fails(ledger: &Subject) {
    let checks = [
        ("budget", true, budget(1, 10)),
        ("rate", true, rate(MINUTE, MINUTE)),
        ("concurrent", true, concurrency(1)),
        ("full", true, budget(1, 0)),
    ];
    assert!(!ledger.reserve(id(), MINUTE, &checks).is_admitted);
    let states = admitted(&[(true, 0), (true, 0), (true, 0)]);
    assert_eq!(ledger.reserve(id(), MINUTE, &checks[..3]), states);
}

fn takes_what_is_not_enforced_although_it_fails(ledger: &Subject) {
    let checks = [("a", false, budget(3, 2)), ("c", false, concurrency(1))];
    assert_eq!(ledger.reserve(id(), MINUTE, &checks), admitted(&[(false, 0), (true, 0)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &checks), admitted(&[(false, 3), (false, 1)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &checks), admitted(&[(false, 6), (false, 2)]));
}

fn takes_of_a_rate_that_is_not_enforced_only_if_it_passes(ledger: &Subject) {
    let check = [("r", false, rate(MINUTE, MINUTE))];
    assert_eq!(ledger.reserve(id(), MINUTE, &check), admitted(&[(true, 0)]));
    for wants_states in [true, false, true] {
        let reserved = ledger.reserve_with(id(), MINUTE, &check, wants_states);
        assert!(reserved.is_admitted && reserved.states.iter().all(|state| !state.passes));
        assert!(reserved.states.iter().all(|state| state.used <= 60_000_000), "{reserved:?}");
    }
}

fn sums_the_slots_of_a_window(ledger: &Subject) {
    for slot in [-5, 100, 200, 300] {
        ledger.settle(id(), &[("a", slot, slot.abs())]);
    }
    assert!(ledger.reserve(id(), MINUTE, &[("a", true, window(100, 100, 7, 107))]).is_admitted);
    assert_eq!(ledger.reserve(id(), MINUTE, &[("a", true, window(100, 250, 1, 307))]), rejected(&[(false, 307)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &[("a", true, window(-5, 300, 1, 613))]), admitted(&[(true, 612)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &[("a", true, window(400, 500, 1, 1))]), admitted(&[(true, 0)]));
}

fn is_exact_with_large_amounts(ledger: &Subject) {
    // A double cannot hold these.
    let large = (1 << 60) + 1;
    ledger.settle(id(), &[("a", 1, large), ("a", 2, 3)]);
    let held = id();
    assert_eq!(
        ledger.reserve(held, MINUTE, &[("a", true, window(1, 2, large, 2 * large + 2))]),
        rejected(&[(false, large + 3)])
    );
    assert_eq!(
        ledger.reserve(held, MINUTE, &[("a", true, window(1, 2, large, 2 * large + 3))]),
        admitted(&[(true, large + 3)])
    );
    assert_eq!(ledger.scan("a"), [("a".to_owned(), 1, large, 0), ("a".to_owned(), 2, 3, large)]);
    ledger.settle(held, &[("a", 2, large - 2)]);
    assert_eq!(ledger.scan("a"), [("a".to_owned(), 1, large, 0), ("a".to_owned(), 2, large + 1, 0)]);
    let slots = vec![(ledger.series("a"), 1), (ledger.series("a"), 2)];
    assert_eq!(wait(ledger.backend().settled_before(slots.clone(), now() + 1_000_000)).unwrap(), [large, large + 1]);
    assert_eq!(wait(ledger.backend().settled_before(slots, now() - 60_000_000)).unwrap(), [0, 0]);
}

fn keeps_the_largest_sum_of_reservations(ledger: &Subject) {
    let (one, other) = (id(), id());
    for id in [one, other] {
        assert!(
            ledger.reserve(id, MINUTE, &[("a", false, budget(i64::MAX - 5, 9)), ("b", true, budget(1, 9))]).is_admitted
        );
    }
    assert_eq!(ledger.scan(""), [("a".to_owned(), SLOT, 0, i64::MAX), ("b".to_owned(), SLOT, 0, 2)]);
    ledger.settle(one, &[]);
    ledger.settle(other, &[]);
    assert_eq!(ledger.scan(""), [("a".to_owned(), SLOT, 0, 0), ("b".to_owned(), SLOT, 0, 0)]);
    assert_eq!(ledger.reserve(id(), MINUTE, &[("a", true, budget(9, 9))]), admitted(&[(true, 0)]));
}

fn admits_a_live_id_again_without_taking(ledger: &Subject) {
    let (request, checks) = (id(), [("a", true, budget(1, 1)), ("r", true, rate(MINUTE, MINUTE))]);
    assert!(ledger.reserve(request, MINUTE, &checks).is_admitted);
    let again = ledger.reserve(request, MINUTE, &checks);
    assert!(again.is_admitted && again.states.iter().all(|state| !state.passes));
    assert_eq!(ledger.scan("a"), [("a".to_owned(), SLOT, 0, 1)]);
}

fn admits_a_settled_id_again_without_taking(ledger: &Subject) {
    let request = id();
    ledger.settle(request, &[("a", SLOT, 1)]);
    assert!(ledger.reserve(request, MINUTE, &[("a", true, budget(1, 1))]).is_admitted);
    assert_eq!(ledger.scan("a"), [("a".to_owned(), SLOT, 1, 0)]);
}

fn settles_an_id_once(ledger: &Subject) {
    let request = id();
    ledger.settle(request, &[("a", SLOT, 1)]);
    ledger.settle(request, &[("a", SLOT, 1), ("b", SLOT, 1)]);
    assert_eq!(ledger.scan(""), [("a".to_owned(), SLOT, 1, 0)]);
}

fn settles_once_within_a_batch(ledger: &Subject) {
    let (one, other) = (id(), id());
    ledger.settle_all(vec![
        ledger.settlement(one, now(), &[("a", SLOT, 1), ("a", SLOT, 10)]),
        ledger.settlement(other, now(), &[("a", SLOT, 100), ("b", SLOT, 5)]),
        ledger.settlement(one, now(), &[("a", SLOT, 1_000)]),
        ledger.settlement(id(), now(), &[]),
    ]);
    assert_eq!(ledger.scan(""), [("a".to_owned(), SLOT, 111, 0), ("b".to_owned(), SLOT, 5, 0)]);
}

fn counts_settlements_after_the_end_of_a_lease(ledger: &Subject) {
    let request = id();
    ledger.reserve(request, SHORT, &[("a", true, budget(7, 10))]);
    ledger.advance(LATER);
    // Someone else takes the room that is free again.
    assert!(ledger.reserve(id(), MINUTE, &[("a", true, budget(9, 10))]).is_admitted);
    ledger.settle(request, &[("a", SLOT, 3)]);
    ledger.settle(request, &[("a", SLOT, 3)]);
    assert_eq!(ledger.scan("a"), [("a".to_owned(), SLOT, 3, 9)]);
}

fn releases_reservations_at_the_end_of_their_lease(ledger: &Subject) {
    let checks = [("a", true, budget(2, 3)), ("b", true, budget(1, 9)), ("c", true, concurrency(1))];
    assert!(ledger.reserve(id(), SHORT, &checks).is_admitted);
    assert!(!ledger.reserve(id(), SHORT, &checks).is_admitted);
    ledger.advance(LATER);
    assert_eq!(ledger.scan(""), [("a".to_owned(), SLOT, 0, 0), ("b".to_owned(), SLOT, 0, 0)]);
    // The other series are released as well.
    assert_eq!(ledger.reserve(id(), MINUTE, &checks[..1]), admitted(&[(true, 0)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &checks[1..]), admitted(&[(true, 0), (true, 0)]));
}

fn extends_live_leases_only(ledger: &Subject) {
    let (live, dead) = (id(), id());
    ledger.reserve(dead, SHORT, &[("a", true, budget(1, 9)), ("c", true, concurrency(5))]);
    ledger.advance(LATER);
    ledger.reserve(live, Duration::from_secs(2), &[("a", true, budget(2, 9)), ("c", true, concurrency(5))]);
    ledger.extend(&[id(), live, dead], MINUTE);
    ledger.advance(Duration::from_millis(2_100));
    let state = admitted(&[(true, 2), (true, 1)]);
    assert_eq!(ledger.reserve(id(), MINUTE, &[("a", true, budget(1, 9)), ("c", true, concurrency(5))]), state);
}

fn never_shortens_a_lease(ledger: &Subject) {
    let request = id();
    ledger.reserve(request, MINUTE, &[("a", true, budget(2, 9))]);
    ledger.extend(&[request], Duration::ZERO);
    ledger.advance(Duration::from_millis(10));
    assert_eq!(ledger.scan("a"), [("a".to_owned(), SLOT, 0, 2)]);
}

fn limits_concurrent_requests(ledger: &Subject) {
    let (one, two) = (id(), id());
    let check = [("c", true, concurrency(2))];
    assert_eq!(ledger.reserve(one, MINUTE, &check), admitted(&[(true, 0)]));
    assert_eq!(ledger.reserve(two, MINUTE, &check), admitted(&[(true, 1)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &check), rejected(&[(false, 2)]));
    ledger.settle(one, &[]);
    ledger.settle(one, &[]);
    assert_eq!(ledger.reserve(id(), MINUTE, &check), admitted(&[(true, 1)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &check), rejected(&[(false, 2)]));
}

fn paces_requests(ledger: &Subject) {
    let check = |millis| [("r", true, rate(Duration::from_millis(millis), Duration::from_secs(4)))];
    assert_eq!(ledger.reserve(id(), MINUTE, &check(2_000)), admitted(&[(true, 0)]));
    assert!(ledger.reserve(id(), MINUTE, &check(2_000)).is_admitted);
    let full = ledger.reserve(id(), MINUTE, &check(2_000));
    assert!(!full.is_admitted);
    assert!((3_000_000..=4_000_000).contains(&full.states[0].used), "{full:?}");
    ledger.advance(Duration::from_millis(2_010));
    assert!(ledger.reserve(id(), MINUTE, &check(2_000)).is_admitted);
    assert!(!ledger.reserve(id(), MINUTE, &check(2_000)).is_admitted);
}

fn corrects_rates(ledger: &Subject) {
    let check = [("r", true, rate(MINUTE, 2 * MINUTE))];
    assert!(ledger.reserve(id(), MINUTE, &check).is_admitted && ledger.reserve(id(), MINUTE, &check).is_admitted);
    assert!(!ledger.reserve(id(), MINUTE, &check).is_admitted);
    let request = id();
    ledger.correct(request, "r", -60_000_000);
    ledger.correct(request, "r", -60_000_000);
    assert!(ledger.reserve(id(), MINUTE, &check).is_admitted);
    assert!(!ledger.reserve(id(), MINUTE, &check).is_admitted);
    ledger.correct(id(), "r", 600_000_000);
    assert!(ledger.reserve(id(), MINUTE, &check).states[0].used > 690_000_000);
}

fn a_correction_grants_nothing_before_now(ledger: &Subject) {
    ledger.correct(id(), "r", -3_600_000_000);
    let check = [("r", true, rate(MINUTE, MINUTE))];
    assert_eq!(ledger.reserve(id(), MINUTE, &check), admitted(&[(true, 0)]));
    assert!(!ledger.reserve(id(), MINUTE, &check).is_admitted);
}

fn scans_in_order_by_prefix(ledger: &Subject) {
    let names = ["b", "a\u{e9}", "a", "a%_*?[x]\\", "aa", "A", "c"];
    names.iter().for_each(|name| ledger.settle(id(), &[(name, 20, 2), (name, -10, 1)]));
    let found = |prefix: &str| ledger.scan(prefix).into_iter().map(|(name, slot, ..)| (name, slot)).collect::<Vec<_>>();
    let expected = |names: &[&str]| {
        names.iter().flat_map(|name| [((*name).to_owned(), -10), ((*name).to_owned(), 20)]).collect::<Vec<_>>()
    };
    assert_eq!(found(""), expected(&["A", "a", "a%_*?[x]\\", "aa", "a\u{e9}", "b", "c"]));
    assert_eq!(found("a"), expected(&["a", "a%_*?[x]\\", "aa", "a\u{e9}"]));
    assert_eq!(found("a%_*?["), expected(&["a%_*?[x]\\"]));
    assert_eq!(found("d"), []);
}

fn scans_a_number_of_series_with_all_slots(ledger: &Subject) {
    let long = "\u{1f980}".repeat(600);
    let names: Vec<String> = ["a", "a0", "a1", "a2", "b"].map(str::to_owned).into_iter().chain([long]).collect();
    for name in &names {
        ledger.settle(id(), &[(name, 20, 2), (name, -10, 1), (name, 30, 3)]);
    }
    ledger.settle(id(), &[("a00", -10, 7)]);
    let scan = |prefix: &str, after: &str, limit| {
        let after = if after.is_empty() { String::new() } else { ledger.series(after) };
        let found = wait(ledger.backend().scan(&ledger.series(prefix), &after, 0, limit)).unwrap();
        let short = |series: &str| series[ledger.name.len()..].to_owned();
        found.iter().map(|usage| (short(&usage.series), usage.slot)).collect::<Vec<_>>()
    };
    let expected = |names: &[&str]| {
        names.iter().flat_map(|name| [((*name).to_owned(), 20), ((*name).to_owned(), 30)]).collect::<Vec<_>>()
    };
    // The series without a slot of the time does not count.
    assert_eq!(scan("a", "", 3), expected(&["a", "a0", "a1"]));
    assert_eq!(scan("a", "a1", 3), expected(&["a2"]));
    assert_eq!(scan("a", "a", 1), expected(&["a0"]));
    assert_eq!(scan("a", "a0", 9), expected(&["a1", "a2"]));
    assert_eq!(scan("a", "a2", 3), []);
    assert_eq!(scan("a", "", 0), []);
    // A page may begin between series, and after one that an index does not hold in full.
    assert_eq!(scan("", "a15", 2), expected(&["a2", "b"]));
    assert_eq!(scan("", "b", 2), expected(&[names[5].as_str()]));
    assert_eq!(scan("", &names[5], 2), []);
}

fn scans_many_series(ledger: &Subject) {
    let names: Vec<String> = (0..450).map(|number| format!("s{number:03}")).collect();
    let charges: Vec<(&str, i64, i64)> = names.iter().map(|name| (name.as_str(), SLOT, 1)).collect();
    ledger.settle(id(), &charges);
    let scan = |limit| wait(ledger.backend().scan(&ledger.series("s"), "", 0, limit)).unwrap();
    for (limit, count) in [(100, 100), (101, 101), (399, 399), (400, 400), (450, 450), (1_000, 450)] {
        let found: Vec<String> = scan(limit).into_iter().map(|usage| usage.series).collect();
        let expected: Vec<String> = names[..count].iter().map(|name| ledger.series(name)).collect();
        assert_eq!(found, expected, "{limit}");
    }
}

fn leaves_out_late_requests(ledger: &Subject) {
    let second = now() / 1_000_000 - 600;
    let at = |seconds: i64, micros: i64| (second + seconds) * 1_000_000 + micros;
    ledger.settle_all(vec![
        ledger.settlement(id(), at(0, 0), &[("a", SLOT, 1)]),
        ledger.settlement(id(), at(0, 999_999), &[("a", SLOT, 10), ("a", 7, 5), ("b", SLOT, 3)]),
        ledger.settlement(id(), at(1, 0), &[("a", SLOT, 100)]),
        ledger.settlement(id(), at(120, 0), &[("a", SLOT, 1_000)]),
    ]);
    ledger.reserve(id(), MINUTE, &[("a", true, budget(5, 10_000))]);
    let slots = vec![
        (ledger.series("a"), SLOT),
        (ledger.series("missing"), SLOT),
        (ledger.series("a"), 7),
        (ledger.series("b"), SLOT),
        (ledger.series("a"), SLOT),
    ];
    let before = |time| wait(ledger.backend().settled_before(slots.clone(), time)).unwrap();
    assert_eq!(before(at(0, 0)), [0, 0, 0, 0, 0]);
    assert_eq!(before(at(0, 999_999)), [0, 0, 0, 0, 0], "rounded down to the second");
    assert_eq!(before(at(1, 0)), [11, 0, 5, 3, 11]);
    assert_eq!(before(at(1, 5)), [11, 0, 5, 3, 11]);
    assert_eq!(before(at(2, 0)), [111, 0, 5, 3, 111]);
    assert_eq!(before(at(121, 0)), [1_111, 0, 5, 3, 1_111]);
    assert!(wait(ledger.backend().settled_before(Vec::new(), now())).unwrap().is_empty());
}

fn adjusts_settled_amounts(ledger: &Subject) {
    ledger.settle(id(), &[("a", SLOT, 10)]);
    let change =
        |series: &str, delta| Adjustment { series: ledger.series(series), slot: SLOT, keep_until: forever(), delta };
    wait(ledger.backend().adjust(vec![change("a", -4), change("b", 7), change("a", 1)])).unwrap();
    wait(ledger.backend().adjust(Vec::new())).unwrap();
    assert_eq!(ledger.scan(""), [("a".to_owned(), SLOT, 7, 0), ("b".to_owned(), SLOT, 7, 0)]);
    let slots = vec![(ledger.series("a"), SLOT)];
    assert_eq!(wait(ledger.backend().settled_before(slots, now() - 60_000_000)).unwrap(), [-3]);
}

fn keeps_series_with_odd_values_apart(ledger: &Subject) {
    // Longer than an entry of an index, and different at the end only.
    let long = "\u{1f980}".repeat(3_000);
    let names = [format!("{long}a"), format!("{long}b"), "x:1:2".into(), "x".into(), "x'; DROP TABLE y; --".into()];
    for (amount, name) in (1..).zip(&names) {
        ledger.settle(id(), &[(name, SLOT, amount)]);
        assert_eq!(ledger.reserve(id(), SHORT, &[(name, true, budget(1, 99))]), admitted(&[(true, amount)]));
    }
    ledger.advance(LATER);
    for (amount, name) in (1..).zip(&names) {
        assert_eq!(ledger.reserve(id(), MINUTE, &[(name, true, budget(1, 99))]), admitted(&[(true, amount)]));
    }
    let mut sorted = names.to_vec();
    sorted.sort();
    let found: Vec<_> = ledger.scan("").into_iter().map(|(name, ..)| name).collect();
    assert_eq!(found, sorted);
}

fn omits_states_that_are_not_needed(ledger: &Subject) {
    let check = [("a", true, budget(1, 1))];
    assert_eq!(ledger.reserve_with(id(), MINUTE, &check, false), admitted(&[]));
    assert_eq!(ledger.reserve_with(id(), MINUTE, &check, false), rejected(&[(false, 1)]));
    assert_eq!(ledger.reserve_with(id(), MINUTE, &[], false), admitted(&[]));
}

fn several_checks_of_a_series_see_the_state_before(ledger: &Subject) {
    let two = |kind: CheckKind| [("x", true, kind.clone()), ("x", true, kind)];
    assert_eq!(ledger.reserve(id(), MINUTE, &two(budget(3, 4))), admitted(&[(true, 0), (true, 0)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &two(budget(3, 4))), rejected(&[(false, 6), (false, 6)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &two(concurrency(1))), admitted(&[(true, 0), (true, 0)]));
    let third = id();
    assert_eq!(ledger.reserve(third, MINUTE, &two(concurrency(9))), admitted(&[(true, 2), (true, 2)]));
    ledger.settle(third, &[]);
    assert_eq!(ledger.reserve(id(), MINUTE, &[("x", true, concurrency(2))]), rejected(&[(false, 2)]));
    assert_eq!(ledger.reserve(id(), MINUTE, &two(rate(MINUTE, MINUTE))), admitted(&[(true, 0), (true, 0)]));
    let full = ledger.reserve(id(), MINUTE, &[("x", true, rate(MINUTE, MINUTE))]);
    assert!(full.states[0].used > 100_000_000, "{full:?}");
}
