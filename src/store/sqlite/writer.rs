use std::{
    fmt, fs,
    path::Path,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, Statement, Transaction, TransactionBehavior, types::Null};
use uuid::Uuid;

use crate::{
    event::Event,
    sink::{BatchWriter, WriteError},
};

use super::{
    super::{
        StoreError,
        keys::{ActiveKeys, KeyCounts},
        row::{COLUMNS, Row, Value},
    },
    SqliteStore, is_busy, keys, time_text,
};

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (1..=COLUMNS.len()).map(|place| format!("?{place}")).collect();
    let (columns, places) = (COLUMNS.join(", "), places.join(", "));
    format!("INSERT INTO llm_requests ({columns}) VALUES ({places}) ON CONFLICT (id) DO NOTHING")
});

/// Key statistics of so few keys are stored with every batch, those of more keys once in [`FOLD_EVERY`].
const FOLD_AT_ONCE: usize = 100;
const FOLD_EVERY: Duration = Duration::from_secs(1);
/// Cache of pages, in KiB, so that the ends of the indexes are at hand.
const CACHE_KIB: i64 = 32 * 1024;
/// Pages that the log may grow by before it is copied into the file: 32 MiB.
const CHECKPOINT_PAGES: i64 = 4_096;

/// Which file stands at a path; the same for every file where the system does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    /// `None` when there is none.
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

/// The [`BatchWriter`] of a [`SqliteStore`]: a batch is a transaction.
///
/// A file that is busy, full, removed or replaced is worth another attempt; so is a table that is missing. What SQLite
/// refuses to hold is [rejected](WriteError::rejected).
pub struct SqliteWriter {
    store: SqliteStore,
    db: Option<Connection>,
    /// Which file the connection is to.
    file: Option<FileId>,
    /// What was counted and is not in the file yet.
    pending: KeyCounts,
    folded_at: Instant,
}

impl SqliteWriter {
    pub(super) fn new(store: SqliteStore) -> Self {
        Self { store, db: None, file: None, pending: KeyCounts::default(), folded_at: Instant::now() }
    }

    fn store(&mut self, events: &[Arc<Event>]) -> rusqlite::Result<()> {
        let db = match &mut self.db {
            Some(db) => db,
            none => {
                let db = none.insert(connect(&self.store)?);
                self.file = FileId::of(&self.store.path);
                db
            }
        };
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut counts = KeyCounts::default();
        insert(&transaction, &keys::active(&transaction)?, events, &mut counts)?;
        let is_few = self.pending.len() + counts.len() <= FOLD_AT_ONCE;
        let is_folded = is_few || self.folded_at.elapsed() >= FOLD_EVERY;
        if is_folded {
            keys::fold(&transaction, &self.pending)?;
            keys::fold(&transaction, &counts)?;
        }
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

fn connect(store: &SqliteStore) -> rusqlite::Result<Connection> {
    let db = store.connect()?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(db)
}

fn insert(
    transaction: &Transaction<'_>,
    active: &ActiveKeys,
    events: &[Arc<Event>],
    counts: &mut KeyCounts,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(&INSERT)?;
    for event in events {
        for (place, value) in (1..).zip(Row::new(event, active).values()) {
            bind(&mut insert, place, &value)?;
        }
        if insert.raw_execute()? > 0 {
            counts.count(event);
        }
    }
    Ok(())
}

fn bind(statement: &mut Statement<'_>, place: usize, value: &Value<'_>) -> rusqlite::Result<()> {
    match value {
        Value::Null => statement.raw_bind_parameter(place, Null),
        Value::Id(id) => {
            statement.raw_bind_parameter(place, &*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
        }
        Value::Time(time) => statement.raw_bind_parameter(place, time_text(*time)),
        Value::Bool(is) => statement.raw_bind_parameter(place, is),
        Value::Int(number) => statement.raw_bind_parameter(place, number),
        Value::BigInt(number) => statement.raw_bind_parameter(place, number),
        Value::Money(nano_usd) => statement.raw_bind_parameter(place, dollars(*nano_usd)),
        Value::Text(text) | Value::Json(text) => statement.raw_bind_parameter(place, &**text),
    }
}

#[allow(clippy::cast_precision_loss, reason = "SQLite has no exact decimals")]
fn dollars(nano_usd: u64) -> f64 {
    nano_usd as f64 / 1e9
}

impl BatchWriter for SqliteWriter {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        // A connection goes on writing to a file that has no name any more.
        if self.db.is_some() && self.file != FileId::of(&self.store.path) {
            self.db = None;
            let message = format!("the file {} was removed or replaced", self.store.path.display());
            return Err(WriteError::retryable(message));
        }
        self.store(events).map_err(|error| {
            let is_rejected = matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch)
            );
            if is_rejected {
                return WriteError::rejected(StoreError::from(error));
            }
            // The file may be another one when it is there again.
            if !is_busy(&error) {
                self.db = None;
            }
            WriteError::retryable(StoreError::from(error))
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
        f.debug_struct("SqliteWriter").field("store", &self.store).finish_non_exhaustive()
    }
}
