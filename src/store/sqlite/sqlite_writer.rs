use std::{
    fmt, fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::{
    event::Event,
    row::EventRow,
    sink::{BatchWriter, WriteError},
};

use super::{
    super::{active_keys::ActiveKeys, key_counts::KeyCounts, rollup::RollupBatch},
    database_file::{DatabaseFile, is_busy},
    keys, rollups,
    rows::{INSERT, insert},
};

/// The statistics of up to this number of keys are stored with each batch. Those of more keys are stored once per
/// [`FOLD_INTERVAL`].
const FOLD_AT_ONCE: usize = 100;
const FOLD_INTERVAL: Duration = Duration::from_secs(1);
/// The size of the page cache in KiB. It holds the ends of the indexes.
const CACHE_KIB: i64 = 64 * 1024;
/// The number of pages that the log holds before SQLite copies it into the file: 64 MiB. A page that several batches change
/// is copied once.
const CHECKPOINT_PAGES: i64 = 16_384;

/// The identity of a file. All files are equal on systems that do not report one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    /// Returns `None` if there is no file.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        return Some(Self(
            std::os::unix::fs::MetadataExt::dev(&metadata),
            std::os::unix::fs::MetadataExt::ino(&metadata),
        ));
        #[cfg(not(unix))]
        Some(Self(0, u64::from(metadata.is_file())))
    }
}

/// The [`BatchWriter`] of a [`SqliteStore`](super::SqliteStore). It writes each batch in one transaction.
///
/// Errors are [retryable](WriteError::retryable) if the file is busy, full, removed, or replaced, or if a table is missing.
/// Events that SQLite cannot store are [rejected](WriteError::rejected).
pub struct SqliteWriter {
    file: DatabaseFile,
    db: Option<Connection>,
    /// The file that the connection is open on.
    id: Option<FileId>,
    /// Statistics that are not in the file yet.
    pending: KeyCounts,
    folded_at: Instant,
}

impl SqliteWriter {
    pub(super) fn new(file: DatabaseFile) -> Self {
        Self { file, db: None, id: None, pending: KeyCounts::default(), folded_at: Instant::now() }
    }

    fn store(&mut self, events: &[Arc<Event>]) -> rusqlite::Result<()> {
        let db = match &mut self.db {
            Some(db) => db,
            none => {
                let db = none.insert(connect(&self.file)?);
                self.id = FileId::of(&self.file.path);
                db
            }
        };
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (counts, sums) = insert_events(&transaction, &keys::active(&transaction)?, events)?;
        // The last statement before the commit, as the sums of all requests are written by each transaction.
        let is_few = self.pending.len() + counts.len() <= FOLD_AT_ONCE;
        let is_folded = is_few || self.folded_at.elapsed() >= FOLD_INTERVAL;
        if is_folded {
            keys::fold(&transaction, &self.pending)?;
            keys::fold(&transaction, &counts)?;
        }
        rollups::add(&transaction, &sums)?;
        transaction.commit()?;
        if is_folded {
            self.pending.clear();
            self.folded_at = Instant::now();
        } else {
            self.pending.add(counts);
        }
        Ok(())
    }

    fn fold_rest(&mut self) -> rusqlite::Result<()> {
        if let Some(db) = self.db.as_mut().filter(|_| !self.pending.is_empty()) {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            keys::fold(&transaction, &self.pending)?;
            transaction.commit()?;
        }
        Ok(())
    }
}

fn connect(file: &DatabaseFile) -> rusqlite::Result<Connection> {
    let db = file.connect()?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(db)
}

/// Inserts the events that are not in the table, and returns the statistics of their keys and their sums.
fn insert_events(
    transaction: &Transaction<'_>,
    active: &ActiveKeys,
    events: &[Arc<Event>],
) -> rusqlite::Result<(KeyCounts, RollupBatch)> {
    let state = rollups::state(transaction)?;
    let mut sums = RollupBatch::default();
    let mut statement = transaction.prepare_cached(&INSERT)?;
    let mut counts = KeyCounts::default();
    for event in events {
        let mut row = EventRow::from(&**event);
        row.indexed_metadata = active.indexed(&row.raw_metadata);
        if insert(&mut statement, &row)? {
            counts.count(&row);
            sums.add(&state.subjects, &row);
        }
    }
    Ok((counts, sums))
}

impl BatchWriter for SqliteWriter {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        // A connection continues to write to a file that was removed.
        if self.db.is_some() && self.id != FileId::of(&self.file.path) {
            self.db = None;
            let path = self.file.path.display();
            return Err(WriteError::retryable(format!("cannot write to {path}: the file was removed or replaced")));
        }
        self.store(events).map_err(|error| {
            let is_rejected = matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch)
            );
            // After other errors, there may be another file when the path is available again.
            if !is_rejected && !is_busy(&error) {
                self.db = None;
            }
            let error = self.file.error("write to")(error);
            if is_rejected { WriteError::rejected(error) } else { WriteError::retryable(error) }
        })
    }
}

impl Drop for SqliteWriter {
    fn drop(&mut self) {
        if let Err(error) = self.fold_rest() {
            tracing::warn!(target: "tower_tagging::store", %error, "the last statistics of metadata keys are lost");
        }
    }
}

impl fmt::Debug for SqliteWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteWriter").field("file", &self.file).finish_non_exhaustive()
    }
}
