use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, mpsc},
    time::timeout_at,
};

use super::{
    super::LedgerError,
    driver::{Done, Driver, Work},
    fault::Fault,
    health::Health,
    job::{Command, Job},
    unanswered::Unanswered,
};

/// The largest number of requests that are sent together.
const MAX_WEIGHT: usize = 256;

/// Sends the calls of requests over one connection. What waits at the same time goes out together.
pub(super) struct Lane<D: Driver> {
    pub(super) driver: Rc<D>,
    pub(super) queue: Rc<Mutex<mpsc::Receiver<Job>>>,
    pub(super) health: Arc<Health>,
    pub(super) patience: Duration,
}

impl<D: Driver> Lane<D> {
    /// Runs until the ledger is dropped and all calls are answered.
    pub(super) async fn run(self) {
        let mut session = None;
        loop {
            let batch = self.next_batch().await;
            if batch.is_empty() {
                return;
            }
            for job in self.serve(&mut session, batch).await {
                // The server refuses one of several. Each goes out alone, so that the others succeed.
                self.serve(&mut session, vec![job]).await;
            }
        }
    }

    /// Waits for a call, and adds those that wait as well. Empty if there will be none.
    async fn next_batch(&self) -> Vec<Job> {
        let mut queue = self.queue.lock().await;
        let Some(first) = queue.recv().await else { return Vec::new() };
        let (mut batch, mut weight) = (Vec::new(), first.weight());
        batch.push(first);
        while weight < MAX_WEIGHT
            && let Ok(job) = queue.try_recv()
        {
            weight += job.weight();
            batch.push(job);
        }
        batch
    }

    /// Sends a batch, and answers its calls. Returns those that have to be repeated one by one.
    async fn serve(&self, session: &mut Option<D::Session>, mut batch: Vec<Job>) -> Vec<Job> {
        batch.retain(|job| !job.is_abandoned());
        let Some(deadline) = batch.iter().map(|job| job.deadline).min() else { return Vec::new() };
        if self.health.circuit.is_open() && !batch.iter().any(|job| job.is_probe) {
            self.fail(batch, Unanswered::CircuitOpen);
            return Vec::new();
        }
        let work = work_of(&batch);
        let Ok(done) = timeout_at(deadline.into(), self.attempt(session, &work)).await else {
            // What was sent may still be executed. Its answer must not be taken for the answer to something else.
            *session = None;
            self.health.circuit.failed(Instant::now());
            self.fail(batch, Unanswered::TimedOut(self.patience));
            return Vec::new();
        };
        if done.is_lost() {
            *session = None;
            self.health.circuit.failed(Instant::now());
        } else {
            self.health.circuit.succeeded();
        }
        self.answer(batch, done)
    }

    /// Works on an open connection. If it turns out to be lost, works again on a new one: all calls can be repeated.
    async fn attempt(&self, session: &mut Option<D::Session>, work: &Work) -> Done {
        if let Some(open) = session.as_mut().filter(|open| self.driver.is_usable(open)) {
            let done = self.driver.work(open, work).await;
            if !done.is_lost() {
                return done;
            }
        }
        match self.driver.open(self.patience).await {
            Ok(opened) => self.driver.work(session.insert(opened), work).await,
            Err(fault) => Done::failed(&fault),
        }
    }

    fn fail(&self, batch: Vec<Job>, cause: Unanswered) {
        self.health.failed(batch.len());
        let error = LedgerError::new(D::KIND, cause);
        batch.into_iter().for_each(|job| job.fail(error.clone()));
    }

    fn answer(&self, batch: Vec<Job>, done: Done) -> Vec<Job> {
        let is_single = batch.len() == 1;
        let mut repeated = Vec::new();
        let mut reserved = done.reserved.map(Vec::into_iter).map_err(|fault| Failed::new::<D>(fault));
        let settled = done.settled.map_err(|fault| Failed::new::<D>(fault));
        let extended = done.extended.map_err(|fault| Failed::new::<D>(fault));
        for job in batch {
            let failed = match &job.command {
                Command::Reserve(..) => reserved.as_ref().err(),
                Command::Settle(..) => settled.as_ref().err(),
                Command::Extend(..) => extended.as_ref().err(),
            };
            match failed {
                Some(failed) if failed.is_refused && !is_single => repeated.push(job),
                Some(failed) => {
                    self.health.failed(1);
                    job.fail(failed.error.clone());
                }
                None => {
                    self.health.succeeded();
                    succeed(job, || reserved.as_mut().ok()?.next());
                }
            }
        }
        repeated
    }
}

/// Answers a call that was executed.
fn succeed(job: Job, next: impl FnOnce() -> Option<super::super::backend::Reserved>) {
    // A caller that has gone does not need the answer.
    match job.command {
        Command::Reserve(_, answer) => {
            if let Some(reserved) = next() {
                drop(answer.send(Ok(reserved)));
            }
        }
        Command::Settle(_, answer) | Command::Extend(_, _, answer) => drop(answer.send(Ok(()))),
    }
}

/// A fault that several calls share.
struct Failed {
    is_refused: bool,
    error: LedgerError,
}

impl Failed {
    fn new<D: Driver>(fault: Fault) -> Self {
        Self { is_refused: matches!(fault, Fault::Refused(_)), error: LedgerError::new(D::KIND, fault.into_cause()) }
    }
}

fn work_of(batch: &[Job]) -> Work {
    let mut work = Work::default();
    for job in batch {
        match &job.command {
            Command::Reserve(reservation, _) => work.reservations.push(reservation.clone()),
            Command::Settle(settlements, _) => work.settlements.extend(settlements.iter().cloned()),
            Command::Extend(ids, lease, _) => work.extensions.extend(ids.iter().map(|id| (*id, *lease))),
        }
    }
    work
}

impl Done {
    fn is_lost(&self) -> bool {
        let is_lost = |fault: &Fault| matches!(fault, Fault::Lost(_));
        self.settled.as_ref().is_err_and(is_lost)
            || self.extended.as_ref().is_err_and(is_lost)
            || self.reserved.as_ref().is_err_and(is_lost)
    }

    /// Nothing was done.
    pub(in super::super) fn failed(fault: &Fault) -> Self {
        let again = || match fault {
            Fault::Lost(cause) => Fault::Lost(cause.to_string().into()),
            Fault::Refused(cause) => Fault::Refused(cause.to_string().into()),
        };
        Self { settled: Err(again()), extended: Err(again()), reserved: Err(again()) }
    }
}
