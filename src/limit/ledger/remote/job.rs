use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    super::{
        LedgerError,
        backend::{Adjustment, Reserved, Settlement, SlotUsage},
    },
    driver::OwnedReservation,
};

/// Where the result of a call is expected. Works on any runtime.
pub(super) type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

/// Returns the time that a call needs to be worth sending.
pub(super) fn least_time(patience: Duration) -> Duration {
    patience / 10
}

/// A call that a request waits for.
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) deadline: Instant,
    pub(super) is_probe: bool,
}

pub(super) enum Command {
    Reserve(OwnedReservation, Answer<Reserved>),
    Settle(Vec<Settlement>, Answer<()>),
    /// The lease is in microseconds.
    Extend(Vec<Uuid>, i64, Answer<()>),
}

impl Job {
    /// Returns `true` if the request has gone, so that nothing has to be reserved.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(&self.command, Command::Reserve(_, answer) if answer.is_closed() && !self.is_probe)
    }

    /// Returns the number of requests that it is about.
    pub(super) fn weight(&self) -> usize {
        match &self.command {
            Command::Reserve(..) => 1,
            Command::Settle(settlements, _) => settlements.len(),
            Command::Extend(ids, ..) => ids.len(),
        }
    }

    pub(super) fn fail(self, error: LedgerError) {
        match self.command {
            Command::Reserve(_, answer) => drop(answer.send(Err(error))),
            Command::Settle(_, answer) | Command::Extend(_, _, answer) => drop(answer.send(Err(error))),
        }
    }
}

/// A call that no request waits for.
pub(super) enum Inquiry {
    Scan { prefix: String, after: String, from_slot: i64, limit: usize, answer: Answer<Vec<SlotUsage>> },
    SettledBefore { slots: Vec<(String, i64)>, before: i64, answer: Answer<Vec<i64>> },
    Adjust { changes: Vec<Adjustment>, answer: Answer<()> },
}
