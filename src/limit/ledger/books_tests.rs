//! Runs all orders of a few operations on the ledger in memory, next to a model of what it should do.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use super::{
    backend::{Charge, Check, CheckKind, Reservation, Settlement},
    memory::Books,
};

const SLOT: i64 = 1_000;
const KEEP: i64 = i64::MAX;
const LEASE: i64 = 20;
/// Less than a lease, so that leases also end between other operations.
const TICK: i64 = 15;
const LIMIT: i64 = 10;
const RUNNING: i64 = 2;
/// The amounts that each request reserves and uses: as much, less, and more than the reservation.
const REQUESTS: [(i64, i64); 3] = [(6, 6), (4, 1), (5, 9)];
/// The series of the budget, of the running requests, and of a budget that is only watched.
const TEXT: &str = "budgetrunningwatched";
const BUDGET: std::ops::Range<usize> = 0..6;
const CONCURRENCY: std::ops::Range<usize> = 6..13;
const WATCHED: std::ops::Range<usize> = 13..20;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Reserve(usize),
    Settle(usize),
    Extend(usize),
    Tick,
}

/// The ledger as its contract describes it.
#[derive(Clone, Default)]
struct Model {
    now: i64,
    /// The end of the lease of each request that holds something.
    live: BTreeMap<usize, i64>,
    /// Set once a request is settled.
    settled: [bool; 3],
}

impl Model {
    /// Releases what expired leases hold.
    fn expire(&mut self) {
        let now = self.now;
        self.live.retain(|_, end| *end > now);
    }

    fn reserved(&self) -> i64 {
        self.live.keys().map(|request| REQUESTS[*request].0).sum()
    }

    fn used(&self) -> i64 {
        REQUESTS.iter().zip(self.settled).filter(|(_, is_settled)| *is_settled).map(|((_, used), _)| used).sum()
    }

    /// Returns `true` if the request is admitted.
    fn reserve(&mut self, request: usize) -> bool {
        self.expire();
        if self.live.contains_key(&request) || self.settled[request] {
            return true;
        }
        let has_room = self.used() + self.reserved() + REQUESTS[request].0 <= LIMIT;
        let is_admitted = has_room && i64::try_from(self.live.len()).unwrap() < RUNNING;
        if is_admitted {
            self.live.insert(request, self.now + LEASE);
        }
        is_admitted
    }
}

#[derive(Clone, Default)]
struct State {
    books: Books,
    model: Model,
}

fn id(request: usize) -> Uuid {
    Uuid::from_u128(request as u128 + 1)
}

fn checks(amount: i64) -> [Check; 3] {
    let budget = |limit| CheckKind::Budget { from: SLOT, slot: SLOT, keep_until: KEEP, amount, limit, chunk: 0 };
    [
        Check { series: BUDGET, is_enforced: true, rule: 0, kind: budget(LIMIT) },
        Check { series: CONCURRENCY, is_enforced: true, rule: 0, kind: CheckKind::Concurrency { limit: RUNNING } },
        Check { series: WATCHED, is_enforced: false, rule: 0, kind: budget(0) },
    ]
}

fn settlement(request: usize, now: i64) -> Settlement {
    let charge = |range: std::ops::Range<usize>| Charge {
        series: TEXT[range].to_owned(),
        slot: SLOT,
        keep_until: KEEP,
        amount: REQUESTS[request].1,
    };
    Settlement { id: id(request), time: now, charges: vec![charge(BUDGET), charge(WATCHED)], rates: Vec::new() }
}

impl State {
    fn apply(&mut self, operation: Operation) {
        let now = self.model.now;
        match operation {
            Operation::Tick => self.model.now += TICK,
            Operation::Reserve(request) => {
                let checks = checks(REQUESTS[request].0);
                let lease = Duration::from_micros(LEASE.unsigned_abs());
                let reservation =
                    Reservation { id: id(request), lease, text: TEXT, checks: &checks, wants_states: false };
                let is_new = !self.model.settled[request] && !self.model.live.contains_key(&request);
                let reserved = self.books.reserve(&reservation, now);
                assert_eq!(reserved.is_admitted, self.model.reserve(request));
                if reserved.is_admitted && is_new {
                    assert!(self.model.used() + self.model.reserved() <= LIMIT, "a reservation exceeds the limit");
                }
            }
            Operation::Settle(request) => {
                self.model.expire();
                self.model.live.remove(&request);
                self.model.settled[request] = true;
                self.books.settle(settlement(request, now), now);
            }
            Operation::Extend(request) => {
                self.model.expire();
                if let Some(end) = self.model.live.get_mut(&request) {
                    *end = (*end).max(now + LEASE);
                }
                self.books.extend(&[id(request)], Duration::from_micros(LEASE.unsigned_abs()), now);
            }
        }
    }

    /// Compares what can be observed, without changing the ledger.
    fn check(&self) {
        let (mut books, mut model) = (self.books.clone(), self.model.clone());
        model.expire();
        for (name, slot) in [("budget", BUDGET), ("watched", WATCHED)] {
            let found = books.scan(&TEXT[slot], "", 0, model.now).0;
            let (settled, reserved) = found.first().map_or((0, 0), |slot| (slot.settled, slot.reserved));
            assert_eq!(settled, model.used(), "{name}: settled");
            assert_eq!(reserved, model.reserved(), "{name}: reserved");
        }
        assert_eq!(running(&mut books, model.now), i64::try_from(model.live.len()).unwrap());
        // After all leases have ended, nothing is held.
        let later = model.now + LEASE;
        let after = books.scan(&TEXT[BUDGET], "", 0, later).0;
        assert!(after.iter().all(|slot| slot.reserved == 0 && slot.settled == model.used()));
        assert_eq!(running(&mut books, later), 0);
    }

    /// Runs all sequences of operations up to a length.
    fn explore(&self, operations: &[Operation], depth: usize, path: &mut Vec<Operation>) -> usize {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.check()));
        assert!(checked.is_ok(), "after {path:?}");
        if depth == 0 {
            return 1;
        }
        let mut count = 1;
        for operation in operations {
            let mut next = self.clone();
            path.push(*operation);
            let applied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| next.apply(*operation)));
            assert!(applied.is_ok(), "in {path:?}");
            count += next.explore(operations, depth - 1, path);
            path.pop();
        }
        count
    }
}

/// Returns the number of running requests, through a check that never passes.
fn running(books: &mut Books, now: i64) -> i64 {
    let checks = [Check { series: CONCURRENCY, is_enforced: true, rule: 0, kind: CheckKind::Concurrency { limit: 0 } }];
    let id = Uuid::from_u128(u128::MAX);
    let reservation =
        Reservation { id, lease: Duration::from_secs(1), text: TEXT, checks: &checks, wants_states: true };
    let reserved = books.reserve(&reservation, now);
    assert!(!reserved.is_admitted);
    reserved.states[0].used
}

fn operations(requests: usize) -> Vec<Operation> {
    let of_requests = [Operation::Reserve, Operation::Settle, Operation::Extend];
    let each = (0..requests).flat_map(|request| of_requests.map(|operation| operation(request)));
    each.chain([Operation::Tick]).collect()
}

#[test]
fn every_order_of_operations_on_two_requests_keeps_the_books() {
    let explored = State::default().explore(&operations(2), 6, &mut Vec::new());
    assert_eq!(explored, (0..=6).map(|depth| 7_usize.pow(depth)).sum::<usize>());
}

#[test]
fn every_order_of_operations_on_three_requests_keeps_the_books() {
    let explored = State::default().explore(&operations(3), 5, &mut Vec::new());
    assert_eq!(explored, (0..=5).map(|depth| 10_usize.pow(depth)).sum::<usize>());
}

#[test]
fn settled_requests_are_not_counted_again_after_their_lease() {
    let mut state = State::default();
    state.apply(Operation::Reserve(0));
    for _ in 0..3 {
        state.apply(Operation::Tick);
    }
    for _ in 0..3 {
        state.apply(Operation::Settle(0));
        state.apply(Operation::Reserve(0));
        state.check();
    }
}

#[test]
fn forgets_series_that_are_not_read_any_more() {
    let mut books = Books::default();
    let lease = Duration::from_secs(1);
    let rate = CheckKind::Rate { increment: 5, tolerance: 10 };
    let budget = CheckKind::Budget { from: SLOT, slot: SLOT, keep_until: KEEP, amount: 1, limit: 2, chunk: 0 };
    for number in 0..50_000_u32 {
        // Every hundredth series is a budget, which is kept. The rates have recovered by the next request.
        let (text, now) = (format!("series-{number}"), i64::from(number) * 10);
        let kind = if number.is_multiple_of(100) { &budget } else { &rate };
        let checks = [Check { series: 0..text.len(), is_enforced: true, rule: 0, kind: kind.clone() }];
        let id = Uuid::from_u128(number.into());
        let reservation = Reservation { id, lease, text: &text, checks: &checks, wants_states: false };
        assert!(books.reserve(&reservation, now).is_admitted);
    }
    assert!(books.len() < 20_000, "{} series", books.len());
    // The places of the others have changed, and still lead to them.
    for number in (0..50_000).step_by(100) {
        let found = books.scan(&format!("series-{number}"), "", 0, 500_000).0;
        let reserved = found.iter().filter(|usage| usage.series == format!("series-{number}"));
        assert_eq!(reserved.map(|usage| usage.reserved).collect::<Vec<_>>(), [1]);
    }
}
