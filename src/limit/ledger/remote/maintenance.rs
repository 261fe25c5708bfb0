use std::{rc::Rc, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    super::LedgerError,
    driver::Driver,
    fault::Fault,
    health::Health,
    job::{Answer, Inquiry},
    unanswered::Unanswered,
};

/// The time between removals of old entries.
const BETWEEN_PRUNING: Duration = Duration::from_secs(60);
/// The largest number of parts that are removed at once.
const MAX_PARTS: usize = 100;

/// Answers questions that no request waits for, and removes old entries, over connections of their own.
pub(super) struct Maintenance<D: Driver> {
    pub(super) driver: Rc<D>,
    pub(super) queue: mpsc::Receiver<Inquiry>,
    pub(super) health: Arc<Health>,
    pub(super) patience: Duration,
}

impl<D: Driver> Maintenance<D> {
    /// Runs until the ledger is dropped.
    pub(super) async fn run(mut self) {
        let mut next = Instant::now() + BETWEEN_PRUNING;
        loop {
            match timeout_at(next, self.queue.recv()).await {
                Ok(Some(inquiry)) => self.serve(inquiry).await,
                Ok(None) => return,
                Err(_) => {
                    self.prune().await;
                    next = Instant::now() + BETWEEN_PRUNING;
                }
            }
        }
    }

    async fn serve(&self, inquiry: Inquiry) {
        let driver = &*self.driver;
        match inquiry {
            Inquiry::Scan { prefix, after, from_slot, limit, answer } => {
                let scan = async |open: &mut D::Session| driver.scan(open, (&prefix, &after), from_slot, limit).await;
                self.reply(answer, self.attempt(scan).await);
            }
            Inquiry::SettledBefore { slots, before, answer } => {
                let read = async |open: &mut D::Session| driver.settled_before(open, &slots, before).await;
                self.reply(answer, self.attempt(read).await);
            }
            Inquiry::Adjust { changes, answer } => {
                let adjust = async |open: &mut D::Session| driver.adjust(open, &changes).await;
                self.reply(answer, self.attempt(adjust).await);
            }
        }
    }

    /// Removes parts for a time. The rest remains for the next time.
    async fn prune(&self) {
        let prune = async |open: &mut D::Session| {
            let start = Instant::now();
            for _ in 0..MAX_PARTS {
                if !self.driver.prune(open).await? || start.elapsed() >= self.patience / 2 {
                    break;
                }
            }
            Ok(())
        };
        if let Err(error) = self.attempt(prune).await {
            tracing::warn!(
                target: "tower_tagging::limit",
                ledger = D::KIND,
                %error,
                "removing old entries of the ledger failed"
            );
        }
    }

    /// Calls the server on a new connection: one that was idle for long may be lost.
    async fn attempt<T>(&self, call: impl AsyncFnOnce(&mut D::Session) -> Result<T, Fault>) -> Result<T, LedgerError> {
        let attempt = async { call(&mut self.driver.open(self.patience).await?).await };
        match timeout(self.patience, attempt).await {
            Ok(result) => result.map_err(|fault| LedgerError::new(D::KIND, fault.into_cause())),
            Err(_) => Err(LedgerError::new(D::KIND, Unanswered::TimedOut(self.patience))),
        }
    }

    fn reply<T>(&self, answer: Answer<T>, result: Result<T, LedgerError>) {
        match result {
            Ok(_) => self.health.succeeded(),
            Err(_) => self.health.failed(1),
        }
        // A caller that has gone does not need the answer.
        drop(answer.send(result));
    }
}
