use std::{
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, mpsc},
    time::timeout_at,
};

use crate::time::after;

use super::{
    super::{LedgerError, backend::Reserved},
    driver::{Done, Driver, Work},
    fault::Fault,
    health::Health,
    job::{Command, Job, least_time},
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
        let batch = self.in_time(batch);
        if batch.is_empty() {
            return Vec::new();
        }
        if self.health.circuit.is_open() && !batch.iter().any(|job| job.is_probe) {
            self.fail(batch, Unanswered::CircuitOpen);
            return Vec::new();
        }
        let work = work_of(&batch);
        let mut batch: Vec<Sent> = batch.into_iter().map(Sent::from).collect();
        let Some(done) = self.answer_in_time(&mut batch, self.attempt(session, &work)).await else {
            // What was sent may still be executed. Its answer must not be taken for the answer to something else.
            *session = None;
            self.health.circuit.failed(Instant::now());
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

    /// Returns the calls for which enough time is left. The others waited for too long, which says nothing about the server.
    fn in_time(&self, batch: Vec<Job>) -> Vec<Job> {
        let now = Instant::now();
        let least = after(now, least_time(self.patience));
        let (batch, late): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| least <= job.deadline);
        if late.iter().any(|job| job.is_probe) {
            self.health.circuit.failed(now);
        }
        if !late.is_empty() {
            self.fail(late, Unanswered::TimedOut(self.patience));
        }
        batch
    }

    /// Waits for the answer to a batch, and fails each call at its own deadline. Returns `None` after the last one.
    async fn answer_in_time(&self, batch: &mut [Sent], attempt: impl Future<Output = Done>) -> Option<Done> {
        let mut attempt = pin!(attempt);
        loop {
            let deadline = batch.iter().filter_map(|sent| Some(sent.job.as_ref()?.deadline)).min()?;
            if let Ok(done) = timeout_at(deadline.into(), attempt.as_mut()).await {
                return Some(done);
            }
            let late = batch.iter_mut().filter_map(|sent| sent.job.take_if(|job| job.deadline <= deadline));
            self.fail(late.collect(), Unanswered::TimedOut(self.patience));
        }
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

    fn answer(&self, batch: Vec<Sent>, done: Done) -> Vec<Job> {
        let is_single = batch.len() == 1;
        let mut repeated = Vec::new();
        let mut reserved = done.reserved.map(Vec::into_iter).map_err(|fault| Failed::new::<D>(fault));
        let settled = done.settled.map_err(|fault| Failed::new::<D>(fault));
        let extended = done.extended.map_err(|fault| Failed::new::<D>(fault));
        for Sent { job, is_reservation } in batch {
            let next = if is_reservation { reserved.as_mut().ok().and_then(Iterator::next) } else { None };
            let Some(job) = job else { continue };
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
                    succeed(job, next);
                }
            }
        }
        repeated
    }
}

/// A call that was sent. It always gets an answer, even if its caller has stopped waiting.
struct Sent {
    /// `None` after its deadline.
    job: Option<Job>,
    is_reservation: bool,
}

impl From<Job> for Sent {
    fn from(job: Job) -> Self {
        Self { is_reservation: matches!(job.command, Command::Reserve(..)), job: Some(job) }
    }
}

/// Answers a call that was executed.
fn succeed(job: Job, reserved: Option<Reserved>) {
    // A caller that has gone does not need the answer.
    match job.command {
        Command::Reserve(_, answer) => {
            if let Some(reserved) = reserved {
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::{sync::oneshot, time::sleep};
    use uuid::Uuid;

    use super::{
        super::{
            super::backend::{Adjustment, Settlement, SlotUsage},
            circuit::Permit,
        },
        *,
    };

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A server that answers after a time, and counts what was sent to it.
    #[derive(Default)]
    struct Server {
        takes: Cell<Duration>,
        opened: Cell<usize>,
        sent: RefCell<Vec<usize>>,
    }

    impl Driver for Server {
        const KIND: &'static str = "test";
        type Session = ();

        async fn open(&self, _: Duration) -> Result<(), Fault> {
            self.opened.set(self.opened.get() + 1);
            Ok(())
        }

        fn is_usable(&self, (): &()) -> bool {
            true
        }

        async fn work(&self, (): &mut (), work: &Work) -> Done {
            self.sent.borrow_mut().push(work.settlements.len());
            sleep(self.takes.get()).await;
            Done { settled: Ok(()), extended: Ok(()), reserved: Ok(Vec::new()) }
        }

        async fn scan(&self, (): &mut (), _: (&str, &str), _: i64, _: usize) -> Result<Vec<SlotUsage>, Fault> {
            Ok(Vec::new())
        }

        async fn settled_before(&self, (): &mut (), _: &[(String, i64)], _: i64) -> Result<Vec<i64>, Fault> {
            Ok(Vec::new())
        }

        async fn adjust(&self, (): &mut (), _: &[Adjustment]) -> Result<(), Fault> {
            Ok(())
        }

        async fn prune(&self, (): &mut ()) -> Result<bool, Fault> {
            Ok(false)
        }
    }

    type Answered = oneshot::Receiver<Result<(), LedgerError>>;

    fn lane() -> Lane<Server> {
        let (_, queue) = mpsc::channel(1);
        let queue = Rc::new(Mutex::new(queue));
        Lane { driver: Rc::default(), queue, health: Arc::new(Health::new()), patience: PATIENCE }
    }

    /// A settlement that has some time left.
    fn job(left: Duration) -> (Job, Answered) {
        let (answer, answered) = oneshot::channel();
        let settlement = Settlement { id: Uuid::nil(), time: 0, charges: Vec::new(), rates: Vec::new() };
        let deadline = tokio::time::Instant::now().into_std() + left;
        (Job { command: Command::Settle(vec![settlement], answer), deadline, is_probe: false }, answered)
    }

    #[tokio::test(start_paused = true)]
    async fn fails_late_calls_without_sending_them() {
        let (lane, mut session) = (lane(), None);
        let (late, mut of_late) = job(Duration::ZERO);
        let (short, mut of_short) = job(PATIENCE / 20);
        let (fresh, mut of_fresh) = job(2 * PATIENCE);
        assert!(lane.serve(&mut session, vec![late, short, fresh]).await.is_empty());
        assert!(of_late.try_recv().unwrap().is_err() && of_short.try_recv().unwrap().is_err());
        assert!(of_fresh.try_recv().unwrap().is_ok() && session.is_some() && !lane.health.circuit.is_open());
        assert_eq!((lane.driver.opened.get(), &*lane.driver.sent.borrow()), (1, &vec![1]));
        assert_eq!(lane.health.errors(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_calls_of_a_batch_that_have_time() {
        let (lane, mut session) = (lane(), None);
        lane.driver.takes.set(PATIENCE);
        let (short, mut of_short) = job(PATIENCE / 2);
        let (fresh, mut of_fresh) = job(2 * PATIENCE);
        assert!(lane.serve(&mut session, vec![short, fresh]).await.is_empty());
        assert!(of_short.try_recv().unwrap().is_err() && of_fresh.try_recv().unwrap().is_ok());
        assert!(session.is_some() && !lane.health.circuit.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn opens_the_circuit_after_the_last_deadline() {
        let (lane, mut session) = (lane(), None);
        lane.driver.takes.set(9 * PATIENCE);
        let (fresh, mut of_fresh) = job(PATIENCE);
        assert!(lane.serve(&mut session, vec![fresh]).await.is_empty());
        assert!(of_fresh.try_recv().unwrap().is_err() && session.is_none());
        assert_eq!(lane.health.circuit.permit(Instant::now(), PATIENCE), Permit::Refused);
    }
}
