use std::{
    future::Future,
    io,
    pin::pin,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures_util::future::{Either, join3, select};
use tokio::{
    runtime::{self, Handle},
    sync::{
        Mutex,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout_at,
};
use uuid::Uuid;

use crate::time::{after, micros, saturated};

use super::{
    super::{
        LedgerError, LedgerStatus,
        backend::{Adjustment, Backend, Reply, Reservation, Reserved, Settlement, SlotUsage},
    },
    circuit::Permit,
    driver::{Driver, OwnedReservation},
    health::Health,
    job::{Answer, Command, Inquiry, Job, least_time},
    lane::Lane,
    maintenance::Maintenance,
    unanswered::Unanswered,
};

/// The number of calls that may wait.
const QUEUE: usize = 8_192;
/// The factor by which calls that no request waits for may take longer.
const PATIENCE_OF_INQUIRIES: u32 = 10;

/// Counts on a server. Its client runs on a dedicated thread with its own runtime, so that it works on any runtime, and while
/// the runtime of the service shuts down.
pub(in super::super) struct RemoteLedger {
    kind: &'static str,
    patience: Duration,
    jobs: mpsc::Sender<Job>,
    inquiries: mpsc::Sender<Inquiry>,
    health: Arc<Health>,
    /// The runtime of the thread.
    runtime: Handle,
}

impl RemoteLedger {
    /// Starts the thread. It ends after the ledger is dropped and all calls are answered.
    ///
    /// # Errors
    ///
    /// Returns an error if the system starts no thread.
    pub(in super::super) fn start<D: Driver>(driver: D, patience: Duration) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (health, handle) = (Arc::new(Health::new()), runtime.handle().clone());
        let (jobs, waiting_jobs) = mpsc::channel(QUEUE);
        let (inquiries, waiting_inquiries) = mpsc::channel(QUEUE);
        let of_thread = Arc::clone(&health);
        thread::Builder::new().name("tagging-ledger".to_owned()).spawn(move || {
            let (driver, health, queue) = (Rc::new(driver), of_thread, Rc::new(Mutex::new(waiting_jobs)));
            let lane = || {
                let (driver, queue, health) = (Rc::clone(&driver), Rc::clone(&queue), Arc::clone(&health));
                Lane { driver, queue, health, patience }
            };
            let maintenance = Maintenance {
                driver: Rc::clone(&driver),
                queue: waiting_inquiries,
                health: Arc::clone(&health),
                patience: patience.saturating_mul(PATIENCE_OF_INQUIRIES),
            };
            // While one lane waits for the server, the other one collects calls.
            runtime.block_on(async { join3(lane().run(), lane().run(), maintenance.run()).await });
        })?;
        Ok(Self { kind: D::KIND, patience, jobs, inquiries, health, runtime: handle })
    }

    fn send<T: Send + 'static>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Reply<T> {
        let now = Instant::now();
        self.send_until(now, after(now, self.patience), command)
    }

    fn send_until<T: Send + 'static>(
        &self,
        now: Instant,
        deadline: Instant,
        command: impl FnOnce(Answer<T>) -> Command,
    ) -> Reply<T> {
        let permit = self.health.circuit.permit(now, self.patience);
        if permit == Permit::Refused {
            return self.refuse(Unanswered::CircuitOpen);
        }
        let (answer, result) = oneshot::channel();
        let is_probe = permit == Permit::Probe;
        let job = Job { command: command(answer), deadline, is_probe };
        match self.jobs.try_send(job) {
            Ok(()) => self.later(result),
            Err(error) => {
                if is_probe {
                    self.health.circuit.failed(now);
                }
                self.refuse(match error {
                    TrySendError::Full(_) => Unanswered::QueueFull,
                    TrySendError::Closed(_) => Unanswered::Ended,
                })
            }
        }
    }

    fn ask<T: Send + 'static>(&self, inquiry: impl FnOnce(Answer<T>) -> Inquiry) -> Reply<T> {
        let (answer, result) = oneshot::channel();
        match self.inquiries.try_send(inquiry(answer)) {
            Ok(()) => self.later(result),
            Err(TrySendError::Full(_)) => self.refuse(Unanswered::QueueFull),
            Err(TrySendError::Closed(_)) => self.refuse(Unanswered::Ended),
        }
    }

    /// Fails at a deadline, also while the call still waits for other calls, which may have more time.
    fn until<T: Send + 'static>(
        &self,
        deadline: Instant,
        reply: impl Future<Output = Result<T, LedgerError>> + Send + 'static,
    ) -> Reply<T> {
        let (mut answer, result) = oneshot::channel();
        let error = LedgerError::new(self.kind, Unanswered::TimedOut(self.patience));
        // The runtime of the caller may have no timer.
        self.runtime.spawn(async move {
            let result = match select(pin!(timeout_at(deadline.into(), reply)), pin!(answer.closed())).await {
                Either::Left((result, _)) => result.unwrap_or(Err(error)),
                // The caller has gone.
                Either::Right(_) => return,
            };
            drop(answer.send(result));
        });
        self.later(result)
    }

    fn refuse<T>(&self, cause: Unanswered) -> Reply<T> {
        self.health.failed(1);
        Reply::Now(Err(LedgerError::new(self.kind, cause)))
    }

    fn later<T: Send + 'static>(
        &self,
        result: impl Future<Output = Result<Result<T, LedgerError>, oneshot::error::RecvError>> + Send + 'static,
    ) -> Reply<T> {
        let kind = self.kind;
        Reply::Later(Box::pin(async move {
            result.await.unwrap_or_else(|_| Err(LedgerError::new(kind, Unanswered::Ended)))
        }))
    }
}

impl Backend for RemoteLedger {
    fn reserve(&self, reservation: &Reservation<'_>) -> Reply<Reserved> {
        if reservation.checks.is_empty() {
            return Reply::Now(Ok(Reserved { is_admitted: true, states: Vec::new() }));
        }
        let owned = OwnedReservation::new(reservation, saturated(micros(reservation.lease)));
        self.send(|answer| Command::Reserve(owned, answer))
    }

    fn reserve_until(&self, reservation: &Reservation<'_>, deadline: Instant) -> Reply<Reserved> {
        if reservation.checks.is_empty() {
            return self.reserve(reservation);
        }
        let now = Instant::now();
        if deadline < after(now, least_time(self.patience)) {
            return self.refuse(Unanswered::TimedOut(self.patience));
        }
        let owned = OwnedReservation::new(reservation, saturated(micros(reservation.lease)));
        let deadline = deadline.min(after(now, self.patience));
        match self.send_until(now, deadline, |answer| Command::Reserve(owned, answer)) {
            Reply::Later(reply) => self.until(deadline, reply),
            reply @ Reply::Now(_) => reply,
        }
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Reply<()> {
        if settlements.is_empty() {
            return Reply::Now(Ok(()));
        }
        self.send(|answer| Command::Settle(settlements, answer))
    }

    fn extend(&self, ids: Vec<Uuid>, lease: Duration) -> Reply<()> {
        if ids.is_empty() {
            return Reply::Now(Ok(()));
        }
        self.send(|answer| Command::Extend(ids, saturated(micros(lease)), answer))
    }

    fn scan(&self, prefix: &str, after: &str, from_slot: i64, limit: usize) -> Reply<Vec<SlotUsage>> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.ask(|answer| Inquiry::Scan { prefix, after, from_slot, limit, answer })
    }

    fn settled_before(&self, slots: Vec<(String, i64)>, before: i64) -> Reply<Vec<i64>> {
        self.ask(|answer| Inquiry::SettledBefore { slots, before, answer })
    }

    fn adjust(&self, changes: Vec<Adjustment>) -> Reply<()> {
        self.ask(|answer| Inquiry::Adjust { changes, answer })
    }

    fn status(&self) -> LedgerStatus {
        LedgerStatus { kind: self.kind, is_available: self.health.is_available(), errors: self.health.errors() }
    }
}
