//! The ledger of a single process.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    mem,
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
const ENTRIES_BETWEEN_SWEEPS: usize = 16_384;
/// The time that the clock of events may be ahead of that of the ledger, in microseconds.
const CLOCKS_DIFFER: i64 = 60_000_000;
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
        books.tidy(now);
        for Adjustment { series, slot, keep_until, delta } in changes {
            books.add(&series, slot, keep_until, delta);
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
    series: Vec<Series>,
    /// The places of series by their names.
    places: HashMap<Arc<str>, usize>,
    /// The names of series in their order, for scans.
    names: BTreeSet<Arc<str>>,
    /// The places of the series that a request needs. Kept for its memory.
    needed: Vec<Option<usize>>,
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
        self.tidy(now);
        let is_known = self.held.contains_key(&reservation.id) || self.settled.contains_key(&reservation.id);
        // Each series is looked up once.
        let mut needed = mem::take(&mut self.needed);
        needed.extend(reservation.checks.iter().map(|check| self.places.get(reservation.series(check)).copied()));
        let checks = || reservation.checks.iter().zip(&needed);
        let mut passes = checks().map(|(check, place)| !check.is_enforced || self.state(*place, check, now).passes);
        let is_admitted = is_known || passes.all(|passes| passes);
        let all_enforced = reservation.checks.iter().all(|check| check.is_enforced);
        let mut states = if is_admitted && !reservation.wants_states && all_enforced {
            Vec::new()
        } else {
            checks().map(|(check, place)| self.state(*place, check, now)).collect()
        };
        if is_admitted && !is_known {
            self.take_all(reservation, &needed, &states, now);
        }
        if is_admitted && !reservation.wants_states {
            states.clear();
        }
        needed.clear();
        self.needed = needed;
        Reserved { is_admitted, states }
    }

    /// Takes what a request needs. The states may be empty if every check passes.
    fn take_all(&mut self, reservation: &Reservation<'_>, needed: &[Option<usize>], states: &[CheckState], now: i64) {
        let is_held = |check: &&Check| !matches!(check.kind, CheckKind::Rate { .. });
        let mut parts = Vec::with_capacity(reservation.checks.iter().filter(is_held).count());
        for (at, (check, place)) in reservation.checks.iter().zip(needed).enumerate() {
            // As if the rule were enforced, a request that does not pass takes nothing of a rate.
            let is_rejected = states.get(at).is_some_and(|state| !state.passes);
            if !(is_rejected && matches!(check.kind, CheckKind::Rate { .. })) {
                // Checks with the same series find it under its name once the first one has created it.
                let place = place.unwrap_or_else(|| self.place(reservation.series(check)));
                self.take(place, check, now, &mut parts);
            }
        }
        if !parts.is_empty() {
            let end = now.saturating_add(saturated(micros(reservation.lease)));
            self.ends.insert((end, reservation.id));
            self.held.insert(reservation.id, Held { end, parts });
        }
    }

    fn state(&self, place: Option<usize>, check: &Check, now: i64) -> CheckState {
        let series = place.and_then(|place| self.series.get(place));
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

    fn take(&mut self, place: usize, check: &Check, now: i64, parts: &mut Vec<Part>) {
        match check.kind {
            CheckKind::Budget { slot, keep_until, amount, .. } => {
                let reserve = |at: &mut Slot| at.reserved = at.reserved.saturating_add(amount);
                self.change_slot(place, (slot, keep_until), reserve);
                parts.extend(self.series.get(place).map(|series| (Arc::clone(&series.name), Some((slot, amount)))));
            }
            CheckKind::Rate { increment, .. } => self.change_tat(place, increment, now),
            CheckKind::Concurrency { .. } => {
                if let Some(series) = self.series.get_mut(place) {
                    series.live += 1;
                    parts.push((Arc::clone(&series.name), None));
                }
            }
        }
    }

    pub(super) fn settle(&mut self, settlement: Settlement, now: i64) {
        self.tidy(now);
        let Settlement { id, time, charges, rates } = settlement;
        if self.settled.contains_key(&id) {
            return;
        }
        self.release(id);
        for Charge { series, slot, keep_until, amount } in &charges {
            self.add(series, *slot, *keep_until, *amount);
        }
        for rate in rates {
            let place = self.place(&rate.series);
            self.change_tat(place, rate.micros, now);
        }
        self.settled.insert(id, (time, charges));
        self.order.push_back((now, id));
    }

    /// Adds an amount to what is settled in a slot.
    pub(crate) fn add(&mut self, series: &str, slot: i64, keep_until: i64, amount: i64) {
        let place = self.place(series);
        self.change_slot(place, (slot, keep_until), |at| at.settled = at.settled.saturating_add(amount));
    }

    pub(super) fn extend(&mut self, ids: &[Uuid], lease: Duration, now: i64) {
        self.tidy(now);
        let end = now.saturating_add(saturated(micros(lease)));
        for id in ids {
            if let Some(held) = self.held.get_mut(id) {
                self.ends.remove(&(held.end, *id));
                held.end = held.end.max(end);
                self.ends.insert((held.end, *id));
            }
        }
    }

    /// Releases what expired leases hold, forgets old settlements, and from time to time removes old slots and series.
    fn tidy(&mut self, now: i64) {
        if self.new_entries >= ENTRIES_BETWEEN_SWEEPS.max(self.series.len()) {
            self.sweep(now);
        }
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
            let Some(series) = self.named_mut(&name) else { continue };
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
        self.tidy(now);
        let start = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let matching =
            self.names.range::<str, _>((start, Bound::Unbounded)).take_while(|name| name.starts_with(prefix));
        let names: Vec<&Arc<str>> = matching.take(SERIES_AT_ONCE).collect();
        let slots = names.iter().filter_map(|name| self.named(name)).flat_map(|series| {
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
        // A request is settled after it began, except for what clocks differ.
        let settled = self.order.iter().rev().take_while(|(at, _)| *at >= before.saturating_sub(CLOCKS_DIFFER));
        let recent = settled.filter_map(|(_, id)| self.settled.get(id)).filter(|(time, _)| *time >= before);
        let recent = recent.flat_map(|(_, charges)| charges);
        for charge in recent {
            let sum = late.entry((&charge.series, charge.slot)).or_default();
            *sum = sum.saturating_add(charge.amount);
        }
        let total = |name: &str, start: i64| Some(self.named(name)?.slots.iter().find(|at| at.start == start)?.settled);
        let late = |name: &str, start: i64| late.get(&(name, start)).copied().unwrap_or(0);
        slots
            .iter()
            .map(|(name, start)| total(name, *start).map_or(0, |total| total.saturating_sub(late(name, *start))))
            .collect()
    }

    /// Returns the number of series.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    fn named(&self, name: &str) -> Option<&Series> {
        self.series.get(*self.places.get(name)?)
    }

    fn named_mut(&mut self, name: &str) -> Option<&mut Series> {
        self.series.get_mut(*self.places.get(name)?)
    }

    /// Returns the place of a series, which is created if it does not exist.
    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let (name, place): (Arc<str>, usize) = (name.into(), self.series.len());
        self.new_entries += 1;
        self.names.insert(Arc::clone(&name));
        self.places.insert(Arc::clone(&name), place);
        self.series.push(Series { name, slots: Vec::new(), live: 0, tat: 0 });
        place
    }

    fn change_tat(&mut self, place: usize, micros: i64, now: i64) {
        if let Some(series) = self.series.get_mut(place) {
            series.tat = series.tat.max(now).saturating_add(micros);
        }
    }

    /// Changes a slot, which is created if it does not exist.
    fn change_slot(&mut self, place: usize, (start, keep_until): (i64, i64), change: impl FnOnce(&mut Slot)) {
        let Some(series) = self.series.get_mut(place) else { return };
        if let Some(slot) = series.slots.iter_mut().find(|at| at.start == start) {
            slot.keep_until = slot.keep_until.max(keep_until);
            return change(slot);
        }
        self.new_entries += 1;
        let mut slot = Slot { start, keep_until, ..Slot::default() };
        change(&mut slot);
        let at = series.slots.partition_point(|at| at.start < start);
        series.slots.insert(at, slot);
    }

    /// Removes slots and series that are not read any more. The places of the others change.
    fn sweep(&mut self, now: i64) {
        let Self { series, names, places, new_entries, .. } = self;
        *new_entries = 0;
        series.retain_mut(|series| {
            series.slots.retain(|slot| slot.keep_until > now || slot.reserved != 0);
            let is_read = !series.slots.is_empty() || series.live > 0 || series.tat > now;
            if !is_read {
                names.remove(&series.name);
                places.remove(&series.name);
            }
            is_read
        });
        for (place, series) in series.iter().enumerate() {
            if let Some(known) = places.get_mut(&series.name) {
                *known = place;
            }
        }
    }
}
