use std::{future::Future, ops::Range, pin::Pin, time::Duration};

use uuid::Uuid;

use super::{LedgerError, LedgerStatus};

/// The microseconds for which a settlement is remembered: the hour of the contract, and a margin for clocks that differ.
pub(crate) const REMEMBERED: i64 = 65 * 60 * 1_000_000;

/// A result that is there at once, or later. After an error that is there at once, nothing was sent.
pub(crate) enum Reply<T> {
    Now(Result<T, LedgerError>),
    #[cfg_attr(
        not(any(feature = "postgres", feature = "redis")),
        allow(dead_code, reason = "the memory ledger answers at once")
    )]
    Later(Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send>>),
}

impl<T> Reply<T> {
    pub(crate) async fn wait(self) -> Result<T, LedgerError> {
        match self {
            Self::Now(result) => result,
            Self::Later(reply) => reply.await,
        }
    }
}

/// The place where limits are counted. All times are microseconds since 1970.
///
/// A *series* is the canonical text of a rule's unit, window, and group; see `Series`. A budget's series has *slots*, named by
/// their start. Leases and rates use the clock of the backend. Slots come from the caller.
///
/// The memory backend is the reference; the same tests run against all backends.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Takes what a request needs from every check, or nothing from any.
    ///
    /// If an enforced check fails, nothing is taken. Budgets and concurrency that are not enforced are taken even if they fail.
    /// A rate that is not enforced moves its `tat` only if it passes, so that its failures are those of an enforced one. All
    /// checks see the state before the reservation, also if they have the same series.
    ///
    /// Repeating a reservation with an id that is live, or settled within the last hour, takes nothing and is admitted. This
    /// does not apply to reservations with rates alone, which are not remembered.
    fn reserve(&self, reservation: &Reservation<'_>) -> Reply<Reserved>;

    /// Like [`reserve`](Self::reserve), for one of several calls that together have to end in time: it fails at the deadline.
    /// Ledgers that never wait ignore it.
    #[cfg(any(feature = "postgres", feature = "redis", test))]
    fn reserve_until(&self, reservation: &Reservation<'_>, deadline: std::time::Instant) -> Reply<Reserved> {
        let _ = deadline;
        self.reserve(reservation)
    }

    /// Releases the reservations of requests, and adds what they used. Repeating a settlement within an hour has no effect,
    /// also after the lease of its reservation has ended. Settlements without a reservation count as well.
    fn settle(&self, settlements: Vec<Settlement>) -> Reply<()>;

    /// Extends the leases of requests that are still running. Ids that are unknown, or whose lease has ended, are ignored. A
    /// lease is never shortened.
    fn extend(&self, ids: Vec<Uuid>, lease: Duration) -> Reply<()>;

    /// Returns the slots of the first series whose text starts with `prefix` and is greater than `after`, from a slot on, ordered
    /// by series and slot. `limit` is the number of series that have such a slot. An empty `after` is the start.
    fn scan(&self, prefix: &str, after: &str, from_slot: i64, limit: usize) -> Reply<Vec<SlotUsage>>;

    /// Returns what is settled in slots without the requests whose time is at or after `before`, which is rounded down to a
    /// whole second. `before` is at most one hour in the past.
    fn settled_before(&self, slots: Vec<(String, i64)>, before: i64) -> Reply<Vec<i64>>;

    /// Adds differences to what is settled in slots: corrections from the stored rows.
    fn adjust(&self, changes: Vec<Adjustment>) -> Reply<()>;

    /// Returns the name and the health of the backend.
    fn status(&self) -> LedgerStatus;
}

/// The needs of a request.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    /// The id of the event.
    pub(crate) id: Uuid,
    /// The time after which the reservation is released, unless it is extended or settled.
    pub(crate) lease: Duration,
    /// The series of all checks, one after the other.
    pub(crate) text: &'a str,
    pub(crate) checks: &'a [Check],
    /// `false` if the states of a reservation that is admitted are not needed.
    pub(crate) wants_states: bool,
}

impl Reservation<'_> {
    /// Returns the series of a check.
    pub(crate) fn series(&self, check: &Check) -> &str {
        self.text.get(check.series.clone()).unwrap_or_default()
    }
}

/// A limit that a request has to pass. A rule may have several, with the same series.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// The place of the series in the text of the reservation.
    pub(crate) series: Range<usize>,
    /// `false` for rules in shadow mode.
    pub(crate) is_enforced: bool,
    /// The position of the rule in the caller's list. Ledgers ignore it.
    pub(crate) rule: usize,
    pub(crate) kind: CheckKind,
}

/// The kind of a limit, with its numbers.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "redis")),
    allow(dead_code, reason = "the memory ledger lends no chunks")
)]
pub(crate) enum CheckKind {
    /// Passes if the settled and reserved amounts of the slots from `from` to `slot`, and `amount`, are at most `limit`.
    /// Reserves `amount` in `slot`. A process may borrow `chunk` at once; 0 is exact.
    Budget { from: i64, slot: i64, keep_until: i64, amount: i64, limit: i64, chunk: i64 },
    /// GCRA: passes if `max(tat, now) + increment - now <= tolerance`, which becomes the new `tat`. In microseconds of the
    /// clock of the backend.
    Rate { increment: i64, tolerance: i64 },
    /// Passes if fewer than `limit` reservations of the series are live. Settling releases it.
    Concurrency { limit: i64 },
}

/// The result of a reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// Everything was taken.
    pub(crate) is_admitted: bool,
    /// One for each check, in their order. Empty if everything was taken and the states are not needed.
    pub(crate) states: Vec<CheckState>,
}

/// The state of a check before the reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CheckState {
    pub(crate) passes: bool,
    /// Budgets: the settled and reserved amounts. Concurrency: the live reservations. Rates: microseconds from now to the
    /// `tat`, at least 0.
    pub(crate) used: i64,
}

/// The usage of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// The id of the event.
    pub(crate) id: Uuid,
    /// The time of the request.
    pub(crate) time: i64,
    pub(crate) charges: Vec<Charge>,
    /// Corrections of rates whose cost was estimated.
    pub(crate) rates: Vec<RateCorrection>,
}

/// An amount that a request used of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) series: String,
    pub(crate) slot: i64,
    pub(crate) keep_until: i64,
    pub(crate) amount: i64,
}

/// Microseconds by which the `tat` of a rate moves. Never moves it below the current time of the backend's clock minus
/// what was really used: a `tat` in the past counts as the current time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RateCorrection {
    pub(crate) series: String,
    pub(crate) micros: i64,
}

/// The usage of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotUsage {
    pub(crate) series: String,
    pub(crate) slot: i64,
    pub(crate) settled: i64,
    /// The live reservations.
    pub(crate) reserved: i64,
}

/// A difference that is added to what is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adjustment {
    pub(crate) series: String,
    pub(crate) slot: i64,
    pub(crate) keep_until: i64,
    pub(crate) delta: i64,
}
