use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::{
    event::Event,
    row::EventRow,
    sink::{WriteError, WriteErrorKind},
};

use super::{
    super::{key_counts::KeyCounts, rollup::RollupBatch},
    copy::copy,
    failure::Failure,
    keys,
    locks::ACTIVATION_LOCK,
    partitions::{self, Partitions},
    rollups,
    server::{Server, Session},
};

/// The interval at which the statistics of keys are added to the table.
const FOLD_INTERVAL: Duration = Duration::from_secs(1);

/// The connection of a writer, if it is open, and the statistics that outlive it.
pub(super) struct Connection {
    server: Server,
    open: Option<(Session, Option<Partitions>)>,
    /// Statistics that are not in the table yet.
    pending: KeyCounts,
    fold_at: Instant,
}

impl Connection {
    pub(super) fn new(server: Server) -> Self {
        Self { server, open: None, pending: KeyCounts::default(), fold_at: Instant::now() }
    }

    /// Returns the time at which statistics are due. `None` if there are none, or if there is no connection.
    pub(super) fn next_fold(&self) -> Option<Instant> {
        (!self.pending.is_empty() && self.open.is_some()).then_some(self.fold_at)
    }

    pub(super) async fn fold_if_due(&mut self) {
        if self.fold_at <= Instant::now() {
            self.fold(self.server.write_timeout).await;
        }
    }

    /// Adds the pending statistics to the table.
    pub(super) async fn fold(&mut self, patience: Duration) {
        self.fold_at = Instant::now() + FOLD_INTERVAL;
        let Some((session, _)) = self.open.as_ref().filter(|_| !self.pending.is_empty()) else { return };
        let failure = match timeout(patience, keys::fold(session, &self.pending)).await {
            Ok(Ok(())) => return self.pending.clear(),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::TimedOut(patience),
        };
        let error = failure.during("write to", &self.server.name);
        tracing::warn!(target: "tower_tagging::store", %error, "statistics of metadata keys are not stored yet");
        self.open = None;
    }

    /// Stores a batch.
    pub(super) async fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let patience = self.server.write_timeout;
        let result = match self.connect().await {
            Ok((session, partitions)) => match timeout(patience, store(session, partitions, events, patience)).await {
                Ok(result) => result,
                Err(_) => Err(Failure::TimedOut(patience)),
            },
            Err(failure) => Err(failure),
        };
        match result {
            Ok(stored) => {
                self.pending.add(stored);
                Ok(())
            }
            Err(failure) => {
                let error = failure.write_error(&self.server.name);
                // A rejected event does not affect the connection, and finding it among the others takes many attempts. After
                // any other error, a new connection starts from a known state.
                if error.kind() != WriteErrorKind::Rejected || !self.roll_back().await {
                    self.open = None;
                }
                Err(error)
            }
        }
    }

    /// Ends the current transaction. Returns `false` if the connection is no longer usable.
    async fn roll_back(&self) -> bool {
        let Some((session, _)) = &self.open else { return false };
        matches!(timeout(self.server.connect_timeout, session.batch_execute("ROLLBACK")).await, Ok(Ok(())))
    }

    async fn connect(&mut self) -> Result<&mut (Session, Option<Partitions>), Failure> {
        if self.open.as_ref().is_some_and(|(session, _)| session.is_closed()) {
            self.open = None;
        }
        if self.open.is_none() {
            let session = self.server.open().await?;
            let kind = timeout(self.server.connect_timeout, partitions::is_partitioned(&session)).await;
            let kind = kind.map_err(|_| Failure::TimedOut(self.server.connect_timeout))??;
            let is_partitioned = kind.ok_or(Failure::NotMigrated)?;
            self.open = Some((session, is_partitioned.then(Partitions::default)));
        }
        self.open.as_mut().ok_or(Failure::NotMigrated)
    }
}

/// Stores a batch in one transaction, and returns the statistics of the rows that it inserted.
async fn store(
    session: &mut Session,
    partitions: &mut Option<Partitions>,
    events: &[Arc<Event>],
    patience: Duration,
) -> Result<KeyCounts, Failure> {
    let mut rows: Vec<EventRow> = events.iter().map(|event| EventRow::from(&**event)).collect();
    if let Some(partitions) = partitions {
        partitions.ensure(session, rows.iter().map(|row| row.requested_at)).await?;
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
    let state = rollups::state(session).await?;
    for row in &mut rows {
        row.indexed_metadata = active.indexed(&row.raw_metadata);
    }
    match copy(session, rows.iter()).await {
        Ok(()) => {}
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            session.batch_execute("ROLLBACK TO fresh").await?;
            retain_missing(session, &mut rows).await?;
            copy(session, rows.iter()).await?;
        }
        Err(error) => return Err(error.into()),
    }
    let mut sums = RollupBatch::default();
    rows.iter().for_each(|row| sums.add(&state.subjects, row));
    // The last statement before the commit: other writers wait for the sums of all requests.
    rollups::add(session, &sums).await?;
    session.batch_execute("COMMIT").await?;
    let mut counts = KeyCounts::default();
    rows.iter().for_each(|row| counts.count(row));
    Ok(counts)
}

/// Removes the rows that the table has, and rows that occur twice.
async fn retain_missing(session: &Session, rows: &mut Vec<EventRow>) -> Result<(), Failure> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let stored = session.query("SELECT id FROM tagging_events WHERE id = ANY($1)", &[&ids]).await?;
    let mut seen = stored.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<Uuid>, _>>()?;
    rows.retain(|row| seen.insert(row.id));
    Ok(())
}
