//! Amounts that processes borrow at once.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use futures_util::FutureExt;
use proptest::prelude::*;
use uuid::Uuid;

use crate::{event::ManualClock, sync::lock};

use super::{
    super::{
        LedgerError, LedgerStatus,
        backend::{Adjustment, Backend, Charge, Check, CheckKind, Reply, Reservation, Reserved, Settlement, SlotUsage},
        chunked::{Chunked, USABLE},
        memory::MemoryLedger,
    },
    support::{MINUTE, SLOT, concurrency, forever, id, now, reserve, wait, window},
};

const SERIES: &str = "[\"chunks\"]";

/// A ledger that several processes share, which counts their calls.
#[derive(Clone)]
struct Shared {
    ledger: Arc<MemoryLedger>,
    reservations: Arc<AtomicUsize>,
    deadlines: Arc<Mutex<Vec<Instant>>>,
    fault: Arc<Mutex<Option<Fault>>>,
}

/// How the ledger answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Reservations are executed, and their answers are lost.
    NoAnswer,
    /// Reservations are executed, and their callers wait.
    Waits,
    /// Settlements fail.
    Refuses,
}

fn error<T>() -> Result<T, LedgerError> {
    Err(LedgerError::new("test", "no answer"))
}

impl Shared {
    fn new() -> Self {
        Self::with_clock(ManualClock::at(SystemTime::now()))
    }

    fn with_clock(clock: ManualClock) -> Self {
        let ledger = Arc::new(MemoryLedger::new(Arc::new(clock)));
        Self { ledger, reservations: Arc::default(), deadlines: Arc::default(), fault: Arc::default() }
    }

    fn fails(&self, fault: Option<Fault>) {
        *lock(&self.fault) = fault;
    }

    fn process(&self, usable: Duration) -> Chunked {
        Chunked::new(self.clone(), usable, MINUTE)
    }

    fn calls(&self) -> usize {
        self.reservations.load(SeqCst)
    }

    /// Returns what is settled and reserved.
    fn usage(&self) -> (i64, i64) {
        let usage = wait(self.ledger.scan(SERIES, "", SLOT, 1)).unwrap();
        usage.first().map_or((0, 0), |slot| (slot.settled, slot.reserved))
    }
}

impl Backend for Shared {
    fn reserve(&self, reservation: &Reservation<'_>) -> Reply<Reserved> {
        self.reservations.fetch_add(1, SeqCst);
        let reply = self.ledger.reserve(reservation);
        match *lock(&self.fault) {
            Some(Fault::NoAnswer) => Reply::Later(Box::pin(async { error() })),
            Some(Fault::Waits) => Reply::Later(Box::pin(pending())),
            _ => reply,
        }
    }

    fn reserve_until(&self, reservation: &Reservation<'_>, deadline: Instant) -> Reply<Reserved> {
        lock(&self.deadlines).push(deadline);
        self.reserve(reservation)
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Reply<()> {
        if *lock(&self.fault) == Some(Fault::Refuses) {
            return Reply::Later(Box::pin(async { error() }));
        }
        self.ledger.settle(settlements)
    }

    fn extend(&self, ids: Vec<Uuid>, lease: Duration) -> Reply<()> {
        self.ledger.extend(ids, lease)
    }

    fn scan(&self, prefix: &str, after: &str, from_slot: i64, limit: usize) -> Reply<Vec<SlotUsage>> {
        self.ledger.scan(prefix, after, from_slot, limit)
    }

    fn settled_before(&self, slots: Vec<(String, i64)>, before: i64) -> Reply<Vec<i64>> {
        self.ledger.settled_before(slots, before)
    }

    fn adjust(&self, changes: Vec<Adjustment>) -> Reply<()> {
        self.ledger.adjust(changes)
    }

    fn status(&self) -> LedgerStatus {
        self.ledger.status()
    }
}

fn chunked(amount: i64, limit: i64, chunk: i64) -> CheckKind {
    CheckKind::Budget { from: SLOT, slot: SLOT, keep_until: forever(), amount, limit, chunk }
}

fn take(process: &Chunked, id: Uuid, kinds: &[CheckKind]) -> bool {
    let checks: Vec<_> = kinds.iter().map(|kind| ("", true, kind.clone())).collect();
    reserve(process, SERIES, id, MINUTE, &checks, false).unwrap().is_admitted
}

fn settle(process: &Chunked, id: Uuid, amount: i64) {
    try_settle(process, id, amount).unwrap();
}

fn try_settle(process: &Chunked, id: Uuid, amount: i64) -> Result<(), LedgerError> {
    let charge = Charge { series: SERIES.to_owned(), slot: SLOT, keep_until: forever(), amount };
    let charges = if amount == 0 { Vec::new() } else { vec![charge] };
    wait(process.settle(vec![Settlement { id, time: now(), charges, rates: Vec::new() }]))
}

#[test]
fn takes_from_a_chunk_without_calls() {
    let shared = Shared::new();
    let process = shared.process(USABLE);
    let ids: Vec<_> = (0..10).map(|_| id()).collect();
    assert!(ids.iter().all(|id| take(&process, *id, &[chunked(1, 100, 10)])));
    assert_eq!((shared.calls(), shared.usage()), (1, (0, 10)));
    assert!(take(&process, ids[3], &[chunked(1, 100, 10)]), "a repetition takes nothing");
    ids.iter().for_each(|id| settle(&process, *id, 1));
    // The loan is used up, so it is released.
    assert_eq!((shared.calls(), shared.usage()), (1, (10, 0)));
    assert!(take(&process, id(), &[chunked(1, 100, 10)]));
    assert_eq!((shared.calls(), shared.usage()), (2, (10, 10)));
}

#[test]
fn uses_again_what_a_request_did_not_need() {
    let shared = Shared::new();
    let process = shared.process(USABLE);
    for used in [0, 1, 2] {
        let id = id();
        assert!(take(&process, id, &[chunked(4, 100, 4)]) && shared.calls() == 1 + usize::from(used == 2));
        settle(&process, id, used);
    }
    assert_eq!(shared.usage().0, 3);
}

#[test]
fn reserves_exactly_when_no_chunk_is_left() {
    let shared = Shared::new();
    let (one, other) = (shared.process(USABLE), shared.process(USABLE));
    let passed = |process: &Chunked| (0..20).filter(|_| take(process, id(), &[chunked(1, 15, 6)])).count();
    assert!(take(&other, id(), &[chunked(1, 15, 6)]));
    // A chunk of six, and three on its own. The other process still has five.
    assert_eq!(passed(&one), 9);
    assert_eq!(passed(&other), 5);
    assert_eq!(shared.usage(), (0, 15));
}

#[test]
fn combines_chunks_with_other_checks() {
    let shared = Shared::new();
    let process = shared.process(USABLE);
    let checks = [chunked(1, 100, 10), concurrency(2)];
    let (one, two) = (id(), id());
    assert!(take(&process, one, &checks) && take(&process, two, &checks));
    assert!(!take(&process, id(), &checks));
    settle(&process, one, 1);
    assert!(take(&process, id(), &checks));
    // Rejections give back what they took: the chunk has room for seven more.
    let calls = shared.calls();
    assert!((0..7).all(|_| take(&process, id(), &[chunked(1, 100, 10)])));
    assert_eq!(shared.calls(), calls);
}

#[test]
fn all_calls_of_a_request_have_one_deadline() {
    let shared = Shared::new();
    let process = shared.process(USABLE);
    let (start, other) = (Instant::now(), window(SLOT + 1, SLOT + 1, 1, 100));
    let CheckKind::Budget { from, slot, keep_until, amount, limit, .. } = other else { unreachable!() };
    let other = CheckKind::Budget { from, slot, keep_until, amount, limit, chunk: 10 };
    // Two loans, the check without a chunk, which fails, and all checks.
    assert!(!take(&process, id(), &[chunked(1, 100, 10), other, concurrency(0)]));
    let deadlines = lock(&shared.deadlines);
    assert!(deadlines.len() == 4 && deadlines.iter().all(|deadline| *deadline == deadlines[0]), "{deadlines:?}");
    assert!(start + MINUTE <= deadlines[0] && deadlines[0] <= Instant::now() + MINUTE);
}

#[test]
fn returns_old_chunks_when_no_request_holds_a_part() {
    let shared = Shared::new();
    let process = shared.process(Duration::ZERO);
    let request = id();
    // A loan that is old at once is not taken from.
    assert!(take(&process, request, &[chunked(1, 100, 10)]));
    wait(process.scan("", "", 0, 1)).unwrap();
    assert_eq!(shared.usage(), (0, 1));
    settle(&process, request, 1);
    assert_eq!(shared.usage(), (1, 0));
}

#[test]
fn returns_a_chunk_whose_answer_is_lost() {
    let shared = Shared::new();
    let process = shared.process(USABLE);
    shared.fails(Some(Fault::NoAnswer));
    let checks = [("", true, chunked(1, 100, 10))];
    assert!(reserve(&process, SERIES, id(), MINUTE, &checks, false).is_err());
    // What the request took itself.
    assert_eq!((shared.calls(), shared.usage()), (2, (0, 1)));
}

#[test]
fn returns_a_chunk_if_the_request_is_dropped() {
    let shared = Shared::new();
    let process = shared.process(USABLE);
    shared.fails(Some(Fault::Waits));
    let checks = [Check { series: 0..SERIES.len(), is_enforced: true, rule: 0, kind: chunked(1, 100, 10) }];
    let reservation = Reservation { id: id(), lease: MINUTE, text: SERIES, checks: &checks, wants_states: false };
    assert!(process.reserve(&reservation).wait().now_or_never().is_none());
    assert_eq!((shared.calls(), shared.usage()), (1, (0, 0)));
    shared.fails(None);
    assert!(take(&process, id(), &[chunked(1, 100, 10)]));
    assert_eq!(shared.usage(), (0, 10));
}

#[test]
fn holds_a_part_of_a_chunk_until_the_ledger_has_the_settlement() {
    let shared = Shared::new();
    let process = shared.process(USABLE);
    let request = id();
    assert!(take(&process, request, &[chunked(10, 100, 10)]));
    shared.fails(Some(Fault::Refuses));
    try_settle(&process, request, 4).unwrap_err();
    assert!(take(&process, id(), &[chunked(6, 100, 6)]));
    assert_eq!((shared.calls(), shared.usage()), (2, (0, 16)));
    shared.fails(None);
    settle(&process, request, 4);
    // The first loan was replaced.
    assert_eq!(shared.usage(), (4, 6));
}

#[test]
fn extends_the_loans_of_running_requests() {
    let clock = ManualClock::at(SystemTime::now());
    let shared = Shared::with_clock(clock.clone());
    let process = shared.process(USABLE);
    let request = id();
    assert!(take(&process, request, &[chunked(1, 100, 10)]));
    wait(process.extend(vec![request], 5 * MINUTE)).unwrap();
    clock.advance(4 * MINUTE);
    assert_eq!(shared.usage(), (0, 10));
    clock.advance(2 * MINUTE);
    assert_eq!(shared.usage(), (0, 0), "a loan of a process that ended is free after its lease");
}

proptest! {
    /// Whatever two processes do, requests never hold and use more than the limit.
    #[test]
    fn never_exceeds_the_limit(
        steps in prop::collection::vec((0_usize..2, 0_i64..4, any::<u8>()), 1..120),
        chunk in 1_i64..9,
        limit in 1_i64..30,
    ) {
        let shared = Shared::new();
        let processes = [shared.process(USABLE), shared.process(USABLE)];
        let mut running: Vec<(usize, Uuid, i64)> = Vec::new();
        let (mut held, mut settled) = (0, 0);
        for (at, amount, choice) in steps {
            if choice % 3 == 0 && !running.is_empty() {
                let (process, id, amount) = running.swap_remove(usize::from(choice) % running.len());
                let used = i64::from(choice) % (amount + 1);
                settle(&processes[process], id, used);
                (held, settled) = (held - amount, settled + used);
            } else {
                let id = id();
                if take(&processes[at], id, &[chunked(amount, limit, chunk)]) {
                    running.push((at, id, amount));
                    held += amount;
                }
            }
            prop_assert!(held + settled <= limit);
            let (of_ledger, reserved) = shared.usage();
            prop_assert_eq!(of_ledger, settled);
            prop_assert!(reserved >= held);
        }
    }
}
