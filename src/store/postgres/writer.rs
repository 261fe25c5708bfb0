use std::{
    collections::HashSet,
    fmt, io,
    panic::resume_unwind,
    sync::{Arc, mpsc::SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::{
    event::Event,
    sink::{BatchWriter, WriteError, WriteErrorKind},
};

use super::{
    super::{
        StoreError,
        keys::{ActiveKeys, KeyCounts},
        row::Micros,
    },
    ACTIVATION_LOCK,
    connect::{Server, Session},
    copy::copy,
    keys,
    partitions::{self, Partitions},
};

/// How often what was counted of keys is added to the table.
const FOLD_EVERY: Duration = Duration::from_secs(1);
/// How long the last of it may take when the writer ends.
const LAST_FOLD: Duration = Duration::from_secs(2);

/// The [`BatchWriter`] of a [`PostgresStore`](super::PostgresStore): a batch is a transaction, copied in binary.
///
/// It connects when it first writes, and anew after whatever error; the next attempt at the batch finds what was written all
/// the same by the ids. All that an operator can mend (the server is away, the disk is full, a table is missing) is worth
/// another attempt; what the server refuses to hold is [rejected](WriteError::rejected).
pub struct PostgresWriter {
    server: Server,
    worker: Option<Worker>,
}

/// The thread with the connection: it lives on between batches, so that statistics are stored when no event comes.
struct Worker {
    jobs: UnboundedSender<Job>,
    thread: JoinHandle<()>,
}

struct Job {
    events: Vec<Arc<Event>>,
    answer: SyncSender<Result<(), WriteError>>,
}

impl PostgresWriter {
    pub(super) fn new(server: Server) -> Self {
        Self { server, worker: None }
    }

    fn worker(&mut self) -> io::Result<Worker> {
        if let Some(worker) = self.worker.take() {
            return Ok(worker);
        }
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (jobs, inbox) = unbounded_channel();
        let connection = Connection::new(self.server.clone());
        let thread =
            thread::Builder::new().name("tagging pg".to_owned()).spawn(move || run(&runtime, connection, inbox))?;
        Ok(Worker { jobs, thread })
    }
}

impl BatchWriter for PostgresWriter {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let worker = self.worker().map_err(WriteError::retryable)?;
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        // Should the thread be gone, there is no answer either.
        let _ = worker.jobs.send(Job { events: events.to_vec(), answer });
        if let Ok(result) = answered.recv() {
            self.worker = Some(worker);
            return result;
        }
        // It ends without an answer only by a panic, which goes on here: the sink counts it.
        match worker.thread.join() {
            Ok(()) => Err(WriteError::retryable("the thread of the connection ended")),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for PostgresWriter {
    fn drop(&mut self) {
        if let Some(Worker { jobs, thread }) = self.worker.take() {
            drop(jobs);
            // It has no more than its last statistics to store.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for PostgresWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresWriter").finish_non_exhaustive()
    }
}

fn run(runtime: &Runtime, mut connection: Connection, mut inbox: UnboundedReceiver<Job>) {
    runtime.block_on(async {
        loop {
            if connection.fold_at <= Instant::now() {
                connection.fold(connection.server.write_timeout).await;
            }
            let next = if connection.is_folded() {
                Ok(inbox.recv().await)
            } else {
                timeout_at(connection.fold_at, inbox.recv()).await
            };
            match next {
                Ok(Some(Job { events, answer })) => {
                    let result = connection.write(&events).await;
                    // Events are used again when nobody else holds them.
                    drop(events);
                    let _ = answer.send(result);
                }
                Ok(None) => break,
                Err(_) => {}
            }
        }
        connection.fold(LAST_FOLD).await;
    });
}

/// The connection, when there is one, and what is to be kept beyond it.
struct Connection {
    server: Server,
    open: Option<(Session, Option<Partitions>)>,
    /// What was counted and is not in the table yet.
    pending: KeyCounts,
    fold_at: Instant,
}

impl Connection {
    fn new(server: Server) -> Self {
        Self { server, open: None, pending: KeyCounts::default(), fold_at: Instant::now() }
    }

    /// Whether there is nothing to store, or no connection to do it.
    fn is_folded(&self) -> bool {
        self.pending.is_empty() || self.open.is_none()
    }

    async fn fold(&mut self, patience: Duration) {
        self.fold_at = Instant::now() + FOLD_EVERY;
        let Some((session, _)) = self.open.as_ref().filter(|_| !self.pending.is_empty()) else { return };
        let error = match timeout(patience, keys::fold(session, &self.pending)).await {
            Ok(Ok(())) => return self.pending.clear(),
            Ok(Err(error)) => StoreError::from(error),
            Err(_) => StoreError::TimedOut(patience),
        };
        tracing::warn!(target: "tower_tagging::store", %error, "statistics of metadata keys are not stored yet");
        self.open = None;
    }

    async fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let patience = self.server.write_timeout;
        let result = match self.connect().await {
            Ok((session, partitions)) => match timeout(patience, store(session, partitions, events, patience)).await {
                Ok(result) => result,
                Err(_) => Err(StoreError::TimedOut(patience)),
            },
            Err(error) => Err(error),
        };
        match result {
            Ok(stored) => {
                self.pending.add(stored);
                Ok(())
            }
            Err(error) => {
                let error = write_error(error);
                // What was refused for an event in it says nothing of the connection, and the search for that event makes many
                // attempts. Of anything else a new connection knows nothing.
                if error.kind() != WriteErrorKind::Rejected || !self.roll_back().await {
                    self.open = None;
                }
                Err(error)
            }
        }
    }

    /// Ends the transaction at hand; false when the connection is of no more use.
    async fn roll_back(&self) -> bool {
        let Some((session, _)) = &self.open else { return false };
        matches!(timeout(self.server.connect_timeout, session.batch_execute("ROLLBACK")).await, Ok(Ok(())))
    }

    async fn connect(&mut self) -> Result<&mut (Session, Option<Partitions>), StoreError> {
        if self.open.as_ref().is_some_and(|(session, _)| session.is_closed()) {
            self.open = None;
        }
        if self.open.is_none() {
            let session = self.server.open().await?;
            let kind = timeout(self.server.connect_timeout, partitions::is_partitioned(&session)).await;
            let kind = kind.map_err(|_| StoreError::TimedOut(self.server.connect_timeout))??;
            let is_partitioned = kind.ok_or(StoreError::NotMigrated)?;
            self.open = Some((session, is_partitioned.then(Partitions::default)));
        }
        self.open.as_mut().ok_or(StoreError::NotMigrated)
    }
}

/// Stores a batch in one transaction, and gives what there is to count of it.
async fn store(
    session: &mut Session,
    partitions: &mut Option<Partitions>,
    events: &[Arc<Event>],
    patience: Duration,
) -> Result<KeyCounts, StoreError> {
    if let Some(partitions) = partitions {
        partitions.ensure(session, events.iter().map(|event| Micros::of(event.time()).time())).await?;
    }
    // The server gives up when we do. Each statement sees what was committed before it.
    let patience = patience.as_millis().clamp(1, i32::MAX as u128);
    session
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED;
             SET LOCAL statement_timeout = {patience};
             SET LOCAL idle_in_transaction_session_timeout = {patience};
             SELECT pg_advisory_xact_lock_shared({ACTIVATION_LOCK});
             SAVEPOINT fresh"
        ))
        .await?;
    let active = keys::active(session).await?;
    let inserted = match copy(session, "llm_requests", events, &active).await {
        Ok(()) => None,
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            session.batch_execute("ROLLBACK TO fresh").await?;
            Some(insert_missing(session, events, &active).await?)
        }
        Err(error) => return Err(error.into()),
    };
    session.batch_execute("COMMIT").await?;
    let mut counts = KeyCounts::default();
    match inserted {
        None => events.iter().for_each(|event| counts.count(event)),
        // An event may be twice in a batch.
        Some(mut ids) => events.iter().filter(|event| ids.remove(&event.id())).for_each(|event| counts.count(event)),
    }
    Ok(counts)
}

/// Inserts those events that are not in the table: the way of a batch of which some are. It gives their ids.
async fn insert_missing(
    session: &Session,
    events: &[Arc<Event>],
    active: &ActiveKeys,
) -> Result<HashSet<Uuid>, tokio_postgres::Error> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id()).collect();
    let stored = session.query("SELECT id FROM llm_requests WHERE id = ANY($1)", &[&ids]).await?;
    let stored: HashSet<Uuid> = stored.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let mut missing = HashSet::new();
    let events: Vec<_> = events
        .iter()
        .filter(|event| !stored.contains(&event.id()) && missing.insert(event.id()))
        .map(Arc::clone)
        .collect();
    copy(session, "llm_requests", &events, active).await?;
    Ok(missing)
}

fn write_error(error: StoreError) -> WriteError {
    let source = match &error {
        StoreError::Database(error) => error.downcast_ref::<tokio_postgres::Error>(),
        _ => None,
    };
    let code = source.and_then(|error| error.code());
    // A violation that is of no constraint.
    let lacks_partition = code == Some(&SqlState::CHECK_VIOLATION)
        && source.and_then(|error| error.as_db_error()).is_some_and(|error| error.constraint().is_none());
    if lacks_partition || code == Some(&SqlState::UNIQUE_VIOLATION) {
        // A month's partition was just dropped, or another writer stored an event of the batch meanwhile.
        return WriteError::retryable(error);
    }
    // Of class 22 (data), 23 (constraints) and 54 (limits): it is about what one of the events holds.
    match code.and_then(|code| code.code().get(..2)) {
        Some("22" | "23" | "54") => WriteError::rejected(error),
        _ => WriteError::retryable(error),
    }
}
