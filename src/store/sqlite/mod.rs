mod keys;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

use crate::sink::Queued;

use super::{KeyInfo, StoreError, row::Micros};

pub use self::writer::SqliteWriter;

/// The tables, version by version: `SCHEMA[0]` makes version 1.
const SCHEMA: &[&str] = &[include_str!("schema_1.sql"), include_str!("schema_2.sql")];
/// How long a connection waits for another one's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Size of a page. A larger one is written in fewer pieces, and a small batch writes four at least.
const PAGE_BYTES: i64 = 8_192;
/// Rows that are changed in one transaction, so that a writer never waits for long.
const STEP_ROWS: i64 = 1_000;

/// Events in an SQLite file; see the [module](super).
///
/// The file is in WAL mode, so that readers never wait for the writer. One process, with one sink, writes to it; several
/// may, and then wait for each other. Clones are the same file.
///
/// Its functions block, for a few milliseconds mostly: within async code, call them by `spawn_blocking`.
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::{EventLayer, store::SqliteStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("tower-tagging-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let store = SqliteStore::open(folder.join("events.db"))?;
/// store.migrate()?;
/// let layer = EventLayer::new(store.sink());
/// // … serve requests through the layer, then:
/// assert!(layer.delivery().shutdown_blocking(Duration::from_secs(5)).is_complete());
///
/// store.activate_key("feature")?;
/// for key in store.list_keys()? {
///     println!("{}: {} requests, about {} values", key.name(), key.requests(), key.distinct_values());
/// }
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore {
    path: Arc<PathBuf>,
    is_full_sync: bool,
}

impl SqliteStore {
    /// Opens a file, which is created when it is not there. It must be a file: connections to `:memory:` would not see each
    /// other's tables.
    ///
    /// # Errors
    /// When the file can't be opened, or is no SQLite database.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let name = path.as_ref().to_string_lossy();
        if name.is_empty() || name == ":memory:" || name.starts_with("file:") {
            return Err(StoreError::database(format!("{name:?} is no path of a file")));
        }
        let store = Self { path: Arc::new(path.as_ref().to_owned()), is_full_sync: false };
        store.connect()?;
        Ok(store)
    }

    /// Waits for the disk at every commit (`synchronous = FULL`). By default a power failure may take the last batches
    /// with it; a process that is killed loses none of what was written either way.
    #[must_use]
    pub fn synchronous_full(mut self) -> Self {
        self.is_full_sync = true;
        self
    }

    /// Makes the tables, or brings them up to this version of the crate. Nothing happens when they are; several processes
    /// may call it at a time.
    ///
    /// # Errors
    /// [`StoreError::Newer`] when a newer version of the crate made the tables, else what SQLite says.
    pub fn migrate(&self) -> Result<(), StoreError> {
        let mut db = self.connect()?;
        let known = i32::try_from(SCHEMA.len()).unwrap_or(i32::MAX);
        loop {
            let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            step.execute_batch(
                "CREATE TABLE IF NOT EXISTS llm_requests_migrations (
                     version INTEGER PRIMARY KEY NOT NULL,
                     applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
                 )",
            )?;
            let found: i32 =
                step.query_row("SELECT coalesce(max(version), 0) FROM llm_requests_migrations", [], |row| row.get(0))?;
            if found > known {
                return Err(StoreError::Newer { found, known });
            }
            let Some(next) = usize::try_from(found).ok().and_then(|found| SCHEMA.get(found)) else {
                step.commit()?;
                return Ok(());
            };
            step.execute_batch(next)?;
            step.execute("INSERT INTO llm_requests_migrations (version) VALUES (?1)", [found + 1])?;
            step.commit()?;
        }
    }

    /// A [`Queued`] called `sqlite`, with batches of at most 2,000 events.
    pub fn sink(&self) -> Queued {
        Queued::builder("sqlite", self.writer()).max_batch(2_000).build()
    }

    /// The writer, for a [`Queued`] with other bounds. It connects when it first writes.
    pub fn writer(&self) -> SqliteWriter {
        SqliteWriter::new(self.clone())
    }

    /// Activates a key: from now on its tags are in `indexed_metadata` too, and those of stored events are put there before
    /// this returns, a thousand events at a time. `WHERE indexed_metadata->>'Feature' = 'search'` uses an index then.
    ///
    /// To make the index, SQLite reads the table once, and the writer waits: about a second for a million events. When it is
    /// interrupted, call it again. A few keys can't be written after `->>`, such as those that contain a quote: they get no
    /// index.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`], [`StoreError::KeyTooLong`], else what SQLite says.
    pub fn activate_key(&self, name: &str) -> Result<(), StoreError> {
        keys::set_active(&mut self.connect()?, name, true)
    }

    /// Takes a key, and its index, out of `indexed_metadata`. Its tags stay in `raw_metadata`.
    ///
    /// # Errors
    /// As [`activate_key`](Self::activate_key).
    pub fn deactivate_key(&self, name: &str) -> Result<(), StoreError> {
        keys::set_active(&mut self.connect()?, name, false)
    }

    /// All keys that were seen or activated, by name. They are of some milliseconds ago; see [what is
    /// counted](super#keys).
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`], else what SQLite says.
    pub fn list_keys(&self) -> Result<Vec<KeyInfo>, StoreError> {
        keys::list(&self.connect()?)
    }

    /// Deletes the events of requests that began before `time`, a thousand in a transaction, and gives their number. The
    /// file does not shrink: its room is used again.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`], else what SQLite says; what was deleted before stays so.
    pub fn delete_before(&self, time: SystemTime) -> Result<u64, StoreError> {
        let db = self.connect()?;
        let mut delete = db.prepare(
            "DELETE FROM llm_requests WHERE rowid IN
                 (SELECT rowid FROM llm_requests WHERE requested_at < ?1 ORDER BY requested_at LIMIT ?2)",
        )?;
        let time = time_text(Micros::of(time));
        let mut total = 0;
        loop {
            let start = Instant::now();
            let deleted = delete.execute(params![time, STEP_ROWS])?;
            total += deleted as u64;
            if deleted == 0 {
                return Ok(total);
            }
            give_way(start);
        }
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let db = Connection::open(&*self.path)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        // It counts for a file that is made here; a row has half a KiB and more.
        db.pragma_update(None, "page_size", PAGE_BYTES)?;
        use_wal(&db)?;
        db.pragma_update(None, "synchronous", if self.is_full_sync { "FULL" } else { "NORMAL" })?;
        Ok(db)
    }
}

/// Puts the file into WAL mode, in which it stays.
fn use_wal(db: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let mode: rusqlite::Result<String> = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match mode {
            // Of the locks that this takes, not all are waited for.
            Err(error) if is_busy(&error) && Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            result => return result.map(drop),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Leaves the lock to others for as long as it was held.
fn give_way(since: Instant) {
    thread::sleep(since.elapsed().max(Duration::from_millis(2)));
}

/// RFC 3339 in UTC with microseconds: as text, times sort by time.
fn time_text(time: Micros) -> String {
    humantime::format_rfc3339_micros(time.time()).to_string()
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let is_of_older_tables = |text: &str| {
            ["no such table: llm_request", "table llm_requests has no column"]
                .iter()
                .any(|start| text.starts_with(start))
        };
        match &error {
            rusqlite::Error::SqliteFailure(_, Some(text)) if is_of_older_tables(text) => Self::NotMigrated,
            _ => Self::database(error),
        }
    }
}
