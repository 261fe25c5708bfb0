//! The ledger of a single process.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    event::Clock,
    sync::lock,
    time::{micros, saturated, signed_micros},
};

use super::{
    LedgerStatus,
    amounts::whole_second,
    backend::{
        Adjustment, Backend, Charge, Check, CheckKind, CheckState, REMEMBERED, Reply, Reservation, Reserved,
        Settlement, SlotUsage,
    },
    scan_pages::{count_series, keep_series},
};

/// The number of series and slots after whose creation old ones are removed.
const ENTRIES_BETWEEN_SWEEPS: usize = 1_024;
/// The number of series that are read while the books are locked.
const SERIES_AT_ONCE: usize = 100;

/// Counts in memory.
pub(crate) struct MemoryLedger {
    clock: Arc<dyn Clock>,
    /// A time, and the instant of it. Leases and rates must not follow a system clock that is changed.
    start: (i64, Instant),
    books: Mutex<Books>,
}

impl MemoryLedger {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let start = (signed_micros(clock.now()), clock.instant());
        Self { clock, start, books: Mutex::default() }
    }

    fn now(&self) -> i64 {
        let (time, instant) = self.start;
        time.saturating_add(saturated(micros(self.clock.instant().saturating_duration_since(instant))))
    }
}

impl Backend for MemoryLedger {
    fn reserve(&self, reservation: &Reservation<'_>) -> Reply<Reserved> {
        let now = self.now();
        Reply::Now(Ok(lock(&self.books).reserve(reservation, now)))
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Reply<()> {
        let now = self.now();
        let mut books = lock(&self.books);
        settlements.into_iter().for_each(|settlement| books.settle(settlement, now));
        Reply::Now(Ok(()))
    }

    fn extend(&self, ids: Vec<Uuid>, lease: Duration) -> Reply<()> {
        let now = self.now();
        lock(&self.books).extend(&ids, lease, now);
        Reply::Now(Ok(()))
    }

    fn scan(&self, prefix: &str, after: &str, from_slot: i64, limit: usize) -> Reply<Vec<SlotUsage>> {
        let now = self.now();
        let (mut found, mut count) = (Vec::new(), 0);
        let mut next: Option<Arc<str>> = None;
        while count < limit {
            // The lock is free between the parts, so that requests do not wait for all of them.
            let (part, last) = lock(&self.books).scan(prefix, next.as_deref().unwrap_or(after), from_slot, now);
            count += count_series(&part);
            found.extend(part);
            next = last;
            if next.is_none() {
                break;
            }
        }
        keep_series(&mut found, limit);
        Reply::Now(Ok(found))
    }

    fn settled_before(&self, slots: Vec<(String, i64)>, before: i64) -> Reply<Vec<i64>> {
        Reply::Now(Ok(lock(&self.books).settled_before(&slots, before)))
    }

    fn adjust(&self, changes: Vec<Adjustment>) -> Reply<()> {
        let now = self.now();
        let mut books = lock(&self.books);
        for Adjustment { series, slot, keep_until, delta } in changes {
            books.add(&series, slot, keep_until, delta, now);
        }
        Reply::Now(Ok(()))
    }

    fn status(&self) -> LedgerStatus {
        LedgerStatus { kind: "memory", is_available: true, errors: 0 }
    }
}

/// All counts. The methods get the time, so that they are a pure function of their arguments.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Books {
    series: HashMap<Arc<str>, Series>,
    /// The keys of `series` in their order, for scans.
    names: BTreeSet<Arc<str>>,
    /// The requests with live reservations.
    held: HashMap<Uuid, Held>,
    /// The ends of all leases.
    ends: BTreeSet<(i64, Uuid)>,
    /// The requests that were settled, with what they used.
    settled: HashMap<Uuid, (i64, Vec<Charge>)>,
    /// When which request was settled, oldest first.
    order: VecDeque<(i64, Uuid)>,
    /// The series and slots that were created since the last sweep.
    new_entries: usize,
}

/// The counts of one series. Which of them are used depends on the kind of the rule.
#[cfg_attr(test, derive(Clone))]
struct Series {
    name: Arc<str>,
    /// Ordered by start. Calendar windows have few, rolling ones about thirty.
    slots: Vec<Slot>,
    live: i64,
    tat: i64,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    start: i64,
    keep_until: i64,
    settled: i64,
    reserved: i64,
}

/// A series with the slot and the amount that a request holds of it, or with `None` for a running request.
type Part = (Arc<str>, Option<(i64, i64)>);

/// The parts that a request holds until it is settled, or its lease ends.
#[cfg_attr(test, derive(Clone))]
struct Held {
    end: i64,
    parts: Vec<Part>,
}

impl Books {
    pub(crate) fn reserve(&mut self, reservation: &Reservation<'_>, now: i64) -> Reserved {
        self.expire(now);
        let is_known = self.held.contains_key(&reservation.id) || self.settled.contains_key(&reservation.id);
        let passes = |check: &Check| !check.is_enforced || self.state(reservation, check, now).passes;
        let is_admitted = is_known || reservation.checks.iter().all(passes);
        let all_enforced = reservation.checks.iter().all(|check| check.is_enforced);
        let mut states = if is_admitted && !reservation.wants_states && all_enforced {
            Vec::new()
        } else {
            reservation.checks.iter().map(|check| self.state(reservation, check, now)).collect()
        };
        if is_admitted && !is_known {
            self.take_all(reservation, &states, now);
        }
        if is_admitted && !reservation.wants_states {
            states.clear();
        }
        Reserved { is_admitted, states }
    }

    /// Takes what a request needs. The states may be empty if every check passes.
    fn take_all(&mut self, reservation: &Reservation<'_>, states: &[CheckState], now: i64) {
        let mut parts = Vec::with_capacity(reservation.checks.len());
        for (at, check) in reservation.checks.iter().enumerate() {
            // As if the rule were enforced, a request that does not pass takes nothing of a rate.
            let is_rejected = states.get(at).is_some_and(|state| !state.passes);
            if !(is_rejected && matches!(check.kind, CheckKind::Rate { .. })) {
                self.take(reservation.series(check), check, now, &mut parts);
            }
        }
        if !parts.is_empty() {
            let end = now.saturating_add(saturated(micros(reservation.lease)));
            self.ends.insert((end, reservation.id));
            self.held.insert(reservation.id, Held { end, parts });
        }
    }

    fn state(&self, reservation: &Reservation<'_>, check: &Check, now: i64) -> CheckState {
        let series = self.series.get(reservation.series(check));
        match check.kind {
            CheckKind::Budget { from, slot, amount, limit, .. } => {
                let slots = series.map_or(&[][..], |series| &series.slots).iter();
                let counted = slots.filter(|at| from <= at.start && at.start <= slot);
                let used = counted.fold(0_i64, |sum, at| sum.saturating_add(at.settled).saturating_add(at.reserved));
                CheckState { passes: used.saturating_add(amount) <= limit, used }
            }
            CheckKind::Rate { increment, tolerance } => {
                let used = series.map_or(0, |series| series.tat.saturating_sub(now).max(0));
                CheckState { passes: used.saturating_add(increment) <= tolerance, used }
            }
            CheckKind::Concurrency { limit } => {
                let used = series.map_or(0, |series| series.live);
                CheckState { passes: used < limit, used }
            }
        }
    }

    fn take(&mut self, name: &str, check: &Check, now: i64, parts: &mut Vec<Part>) {
        match check.kind {
            CheckKind::Budget { slot, keep_until, amount, .. } => {
                let reserve = |at: &mut Slot| at.reserved = at.reserved.saturating_add(amount);
                let name = self.change_slot(name, (slot, keep_until), now, reserve);
                parts.push((name, Some((slot, amount))));
            }
            CheckKind::Rate { increment, .. } => {
                self.change(name, now, |series| series.tat = series.tat.max(now).saturating_add(increment));
            }
            CheckKind::Concurrency { .. } => {
                let name = self.change(name, now, |series| {
                    series.live += 1;
                    Arc::clone(&series.name)
                });
                parts.push((name, None));
            }
        }
    }

    pub(super) fn settle(&mut self, settlement: Settlement, now: i64) {
        self.expire(now);
        let Settlement { id, time, charges, rates } = settlement;
        if self.settled.contains_key(&id) {
            return;
        }
        self.release(id);
        for Charge { series, slot, keep_until, amount } in &charges {
            self.add(series, *slot, *keep_until, *amount, now);
        }
        for rate in rates {
            self.change(&rate.series, now, |series| series.tat = series.tat.max(now).saturating_add(rate.micros));
        }
        self.settled.insert(id, (time, charges));
        self.order.push_back((now, id));
    }

    /// Adds an amount to what is settled in a slot.
    pub(crate) fn add(&mut self, series: &str, slot: i64, keep_until: i64, amount: i64, now: i64) {
        self.change_slot(series, (slot, keep_until), now, |at| at.settled = at.settled.saturating_add(amount));
    }

    pub(super) fn extend(&mut self, ids: &[Uuid], lease: Duration, now: i64) {
        self.expire(now);
        let end = now.saturating_add(saturated(micros(lease)));
        for id in ids {
            if let Some(held) = self.held.get_mut(id) {
                self.ends.remove(&(held.end, *id));
                held.end = held.end.max(end);
                self.ends.insert((held.end, *id));
            }
        }
    }

    /// Releases what expired leases hold, and forgets old settlements.
    fn expire(&mut self, now: i64) {
        while let Some((end, id)) = self.ends.first().copied()
            && end <= now
        {
            self.release(id);
        }
        while let Some((time, id)) = self.order.front().copied()
            && time.saturating_add(REMEMBERED) <= now
        {
            self.order.pop_front();
            self.settled.remove(&id);
        }
    }

    fn release(&mut self, id: Uuid) {
        let Some(held) = self.held.remove(&id) else { return };
        self.ends.remove(&(held.end, id));
        for (name, part) in held.parts {
            let Some(series) = self.series.get_mut(&name) else { continue };
            match part {
                None => series.live -= 1,
                Some((slot, amount)) => {
                    if let Some(at) = series.slots.iter_mut().find(|at| at.start == slot) {
                        at.reserved = at.reserved.saturating_sub(amount).max(0);
                    }
                }
            }
        }
    }

    /// Reads up to 100 series after one. Returns their slots, and the last of the series if there may be more.
    pub(super) fn scan(
        &mut self,
        prefix: &str,
        after: &str,
        from_slot: i64,
        now: i64,
    ) -> (Vec<SlotUsage>, Option<Arc<str>>) {
        self.expire(now);
        let start = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let matching =
            self.names.range::<str, _>((start, Bound::Unbounded)).take_while(|name| name.starts_with(prefix));
        let names: Vec<&Arc<str>> = matching.take(SERIES_AT_ONCE).collect();
        let slots = names.iter().filter_map(|name| self.series.get(*name)).flat_map(|series| {
            let slots = series.slots.iter().filter(|slot| slot.start >= from_slot);
            slots.map(|slot| SlotUsage {
                series: series.name.to_string(),
                slot: slot.start,
                settled: slot.settled,
                reserved: slot.reserved,
            })
        });
        let last = names.last().filter(|_| names.len() == SERIES_AT_ONCE).map(|name| Arc::clone(name));
        (slots.collect(), last)
    }

    fn settled_before(&self, slots: &[(String, i64)], before: i64) -> Vec<i64> {
        let before = whole_second(before);
        // In one pass over the requests, because others wait for the lock.
        let mut late: HashMap<(&str, i64), i64> = HashMap::new();
        let recent = self.settled.values().filter(|(time, _)| *time >= before).flat_map(|(_, charges)| charges);
        for charge in recent {
            let sum = late.entry((&charge.series, charge.slot)).or_default();
            *sum = sum.saturating_add(charge.amount);
        }
        let total =
            |name: &str, start: i64| Some(self.series.get(name)?.slots.iter().find(|at| at.start == start)?.settled);
        let late = |name: &str, start: i64| late.get(&(name, start)).copied().unwrap_or(0);
        slots
            .iter()
            .map(|(name, start)| total(name, *start).map_or(0, |total| total.saturating_sub(late(name, *start))))
            .collect()
    }

    /// Changes a series, which is created if it does not exist.
    fn change<T>(&mut self, name: &str, now: i64, change: impl FnOnce(&mut Series) -> T) -> T {
        if let Some(series) = self.series.get_mut(name) {
            return change(series);
        }
        self.created(now);
        let name: Arc<str> = name.into();
        let mut series = Series { name: Arc::clone(&name), slots: Vec::new(), live: 0, tat: 0 };
        let result = change(&mut series);
        self.names.insert(Arc::clone(&name));
        self.series.insert(name, series);
        result
    }

    /// Changes a slot, which is created if it does not exist. Returns the shared name of the series.
    fn change_slot(
        &mut self,
        name: &str,
        (start, keep_until): (i64, i64),
        now: i64,
        change: impl FnOnce(&mut Slot),
    ) -> Arc<str> {
        let is_new = |series: &Series| !series.slots.iter().any(|at| at.start == start);
        if self.series.get(name).is_some_and(is_new) {
            self.created(now);
        }
        self.change(name, now, |series| {
            if let Some(slot) = series.slots.iter_mut().find(|at| at.start == start) {
                slot.keep_until = slot.keep_until.max(keep_until);
                change(slot);
            } else {
                let mut slot = Slot { start, keep_until, ..Slot::default() };
                change(&mut slot);
                let at = series.slots.partition_point(|at| at.start < start);
                series.slots.insert(at, slot);
            }
            Arc::clone(&series.name)
        })
    }

    /// Counts an entry that is about to be created, and removes old ones from time to time.
    fn created(&mut self, now: i64) {
        self.new_entries += 1;
        if self.new_entries >= ENTRIES_BETWEEN_SWEEPS.max(self.series.len()) {
            self.sweep(now);
        }
    }

    /// Removes slots and series that are not read any more.
    fn sweep(&mut self, now: i64) {
        self.new_entries = 0;
        let Self { series, names, .. } = self;
        series.retain(|name, series| {
            series.slots.retain(|slot| slot.keep_until > now || slot.reserved != 0);
            let is_read = !series.slots.is_empty() || series.live > 0 || series.tat > now;
            if !is_read {
                names.remove(name);
            }
            is_read
        });
    }
}
