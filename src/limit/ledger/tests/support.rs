//! Ledgers under test, and short ways to call them.

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use crate::{
    event::ManualClock,
    time::{micros, saturated, signed_micros},
};

use super::super::{
    Ledger, PostgresLedger, RedisLedger,
    backend::{
        Backend, Charge, Check, CheckKind, CheckState, RateCorrection, Reply, Reservation, Reserved, Settlement,
        SlotUsage,
    },
};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// A slot whose time does not matter, and that is kept.
pub(super) const SLOT: i64 = 1_000;

/// A ledger with a name for series that no other test uses.
pub(super) struct Subject {
    ledger: Ledger,
    clock: Option<ManualClock>,
    pub(super) name: String,
}

/// Reads the URL of a server.
pub(super) fn url_of(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run tests/run.sh"))
}

/// Opens a ledger that waits long enough for a machine under load.
pub(super) fn open(url: &str, namespace: &str, timeout: Duration) -> Ledger {
    if url.starts_with("redis") {
        let builder = RedisLedger::from_url(url).unwrap().timeout(timeout);
        if namespace.is_empty() { builder } else { builder.namespace(namespace) }.open().unwrap()
    } else {
        PostgresLedger::from_url(url).unwrap().timeout(timeout).namespace(namespace).open().unwrap()
    }
}

impl Subject {
    pub(super) fn memory() -> Self {
        let clock = ManualClock::at(SystemTime::now());
        Self { ledger: Ledger::memory_with_clock(clock.clone()), clock: Some(clock), name: name() }
    }

    pub(super) fn postgres() -> Self {
        Self { ledger: open(&url_of("DATABASE_URL"), "", MINUTE), clock: None, name: name() }
    }

    pub(super) fn redis() -> Self {
        Self { ledger: open(&url_of("REDIS_URL"), "", MINUTE), clock: None, name: name() }
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        self.ledger.backend()
    }

    /// Lets time pass.
    pub(super) fn advance(&self, by: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(by),
            None => thread::sleep(by),
        }
    }

    pub(super) fn reserve(&self, id: Uuid, lease: Duration, checks: &[(&str, bool, CheckKind)]) -> Reserved {
        self.reserve_with(id, lease, checks, true)
    }

    pub(super) fn reserve_with(
        &self,
        id: Uuid,
        lease: Duration,
        checks: &[(&str, bool, CheckKind)],
        wants_states: bool,
    ) -> Reserved {
        reserve(self.backend(), &self.name, id, lease, checks, wants_states).unwrap()
    }

    pub(super) fn settle(&self, id: Uuid, charges: &[(&str, i64, i64)]) {
        self.settle_all(vec![self.settlement(id, now(), charges)]);
    }

    pub(super) fn settle_all(&self, settlements: Vec<Settlement>) {
        wait(self.backend().settle(settlements)).unwrap();
    }

    pub(super) fn settlement(&self, id: Uuid, time: i64, charges: &[(&str, i64, i64)]) -> Settlement {
        let charge = |(series, slot, amount): &(&str, i64, i64)| Charge {
            series: self.series(series),
            slot: *slot,
            keep_until: forever(),
            amount: *amount,
        };
        Settlement { id, time, charges: charges.iter().map(charge).collect(), rates: Vec::new() }
    }

    pub(super) fn correct(&self, id: Uuid, series: &str, micros: i64) {
        let rates = vec![RateCorrection { series: self.series(series), micros }];
        self.settle_all(vec![Settlement { id, time: now(), charges: Vec::new(), rates }]);
    }

    pub(super) fn extend(&self, ids: &[Uuid], lease: Duration) {
        wait(self.backend().extend(ids.to_vec(), lease)).unwrap();
    }

    /// Returns series, slot, settled, and reserved.
    pub(super) fn scan(&self, prefix: &str) -> Vec<(String, i64, i64, i64)> {
        let found = wait(self.backend().scan(&self.series(prefix), "", i64::MIN, 1_000)).unwrap();
        let short =
            |usage: SlotUsage| (usage.series[self.name.len()..].to_owned(), usage.slot, usage.settled, usage.reserved);
        found.into_iter().map(short).collect()
    }

    pub(super) fn series(&self, name: &str) -> String {
        format!("{}{name}", self.name)
    }
}

pub(super) fn reserve(
    backend: &dyn Backend,
    start: &str,
    id: Uuid,
    lease: Duration,
    checks: &[(&str, bool, CheckKind)],
    wants_states: bool,
) -> Result<Reserved, super::super::LedgerError> {
    let (mut text, mut list) = (String::new(), Vec::new());
    for (series, is_enforced, kind) in checks {
        let from = text.len();
        text.push_str(start);
        text.push_str(series);
        list.push(Check { series: from..text.len(), is_enforced: *is_enforced, rule: 0, kind: kind.clone() });
    }
    wait(backend.reserve(&Reservation { id, lease, text: &text, checks: &list, wants_states }))
}

/// Waits on a runtime without timers, as a request of any service would.
pub(super) fn wait<T>(reply: Reply<T>) -> Result<T, super::super::LedgerError> {
    futures_executor::block_on(reply.wait())
}

fn name() -> String {
    format!("[\"{}\",\"", Uuid::now_v7())
}

pub(super) fn id() -> Uuid {
    Uuid::now_v7()
}

pub(super) fn now() -> i64 {
    signed_micros(SystemTime::now())
}

/// A time after the test.
pub(super) fn forever() -> i64 {
    now() + saturated(micros(Duration::from_secs(3 * 24 * 60 * 60)))
}

/// A budget with the window of one slot.
pub(super) fn budget(amount: i64, limit: i64) -> CheckKind {
    window(SLOT, SLOT, amount, limit)
}

pub(super) fn window(from: i64, slot: i64, amount: i64, limit: i64) -> CheckKind {
    CheckKind::Budget { from, slot, keep_until: forever(), amount, limit, chunk: 0 }
}

pub(super) fn rate(increment: Duration, tolerance: Duration) -> CheckKind {
    CheckKind::Rate { increment: saturated(micros(increment)), tolerance: saturated(micros(tolerance)) }
}

pub(super) fn concurrency(limit: i64) -> CheckKind {
    CheckKind::Concurrency { limit }
}

pub(super) fn admitted(states: &[(bool, i64)]) -> Reserved {
    Reserved { is_admitted: true, states: states.iter().map(state).collect() }
}

pub(super) fn rejected(states: &[(bool, i64)]) -> Reserved {
    Reserved { is_admitted: false, states: states.iter().map(state).collect() }
}

fn state((passes, used): &(bool, i64)) -> CheckState {
    CheckState { passes: *passes, used: *used }
}

/// Ledgers that tests share between threads.
pub(super) fn shared(url: &str, namespace: &str, timeout: Duration) -> Arc<Ledger> {
    Arc::new(open(url, namespace, timeout))
}
