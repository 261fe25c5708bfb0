use std::{
    borrow::Cow,
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Instant, SystemTime},
};

use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::{
    row::{Dimension, EventRow},
    sink::Queued,
    sync::poll_once,
    time::{micros_since_1970, whole_micros},
};

use super::{
    super::{
        Feedback, KeyInfo, StoreError, active_keys::default_active_keys, key_name::stored_key, rollup,
        schema_sql::SCHEMA_VERSION,
    },
    SqliteWriter,
    database_file::{DatabaseFile, time_text, yield_lock},
    feedback, keys, rollups,
    rows::{id_text, select},
    schema,
    sqlite_session::SqliteSession,
};

/// The number of rows that are deleted in one transaction, so that a writer never waits for long.
const DELETE_ROWS: u32 = 1_000;

/// Events in an SQLite file.
///
/// See the [module](crate::store) for the tables. The file is in WAL mode, so readers never wait for the writer. The store is
/// made for one process with one sink. Several processes may write, and then wait for each other. Clones use the same
/// file.
///
/// The methods block, mostly for a few milliseconds. In async code, call them in `spawn_blocking`.
///
/// ```
/// use tower_tagging::{EventLayer, store::SqliteStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("tower-tagging-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let store = SqliteStore::open(folder.join("events.db"))?;
/// store.migrate()?;
/// let layer = EventLayer::new(store.sink());
/// // … serve requests through the layer
///
/// store.activate_key("feature")?;
/// for key in store.list_keys()? {
///     println!("{}: {} requests, about {} values", key.name, key.requests, key.distinct_values);
/// }
/// for event in store.latest(20)? {
///     println!("{} {:?}", event.request_path, event.status_code);
/// }
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore {
    file: DatabaseFile,
    active_keys: Vec<String>,
    has_rollups: bool,
}

impl SqliteStore {
    /// Opens a file, and creates it if it does not exist.
    ///
    /// # Errors
    /// Returns [`StoreError::Database`] if the file cannot be opened or is not an SQLite database. The path must be that of a
    /// file: connections to `:memory:` would not share their tables.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_file(path.as_ref(), false)
    }

    /// Opens a file that exists for reading, such as that of another process.
    ///
    /// Nothing writes to the database. Methods that would, such as [`activate_key`](Self::activate_key), return an error. SQLite
    /// keeps its files for WAL mode next to the file. If they do not exist, the folder must be writable.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if the file does not exist.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_file(path.as_ref(), true)
    }

    fn open_file(path: &Path, is_read_only: bool) -> Result<Self, StoreError> {
        let name = path.to_string_lossy();
        if name.is_empty() || name == ":memory:" || name.starts_with("file:") {
            return Err(StoreError::database(format!("open {name:?}"), "expected the path of a file"));
        }
        let file = DatabaseFile { path: Arc::new(path.to_owned()), is_full_sync: false, is_read_only };
        let store = Self { file, active_keys: default_active_keys(), has_rollups: true };
        store.connect("open")?;
        Ok(store)
    }

    /// Waits for the disk at each commit (`synchronous = FULL`).
    ///
    /// By default, a power failure may lose the last batches. A process that is killed loses no stored event in either mode.
    #[must_use]
    pub fn synchronous_full(mut self) -> Self {
        self.file.is_full_sync = true;
        self
    }

    /// Sets the keys that [`migrate`](Self::migrate) activates in new tables.
    ///
    /// The default is `_user`, `team`, `feature`, `tenant_id`, `environment`, `user-id`, `User-Id`, `Feature`, and `Team`. Keys
    /// of more than 1,024 bytes are ignored.
    #[must_use]
    pub fn active_keys(mut self, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let keys = keys.into_iter().filter_map(|key| stored_key(key.as_ref()).map(Cow::into_owned).ok());
        self.active_keys = keys.collect::<BTreeSet<_>>().into_iter().collect();
        self
    }

    /// Makes [`migrate`](Self::migrate) create tables without sums.
    ///
    /// Writing is then faster, and `Analytics` reads rows. Tables that exist are not changed.
    #[must_use]
    pub fn without_rollups(mut self) -> Self {
        self.has_rollups = false;
        self
    }

    /// Creates the tables, unless they exist.
    ///
    /// Several processes may call this at the same time.
    ///
    /// # Errors
    /// Returns [`StoreError::Newer`] if a newer version of the crate created the tables, and [`StoreError::Database`] if
    /// SQLite reports an error.
    pub fn migrate(&self) -> Result<(), StoreError> {
        let operation = "create the tables in";
        let mut db = self.connect(operation)?;
        let found =
            schema::migrate(&mut db, &self.active_keys, self.has_rollups).map_err(self.file.error(operation))?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { found, known: SCHEMA_VERSION });
        }
        Ok(())
    }

    /// Returns a [`Queued`] sink named `sqlite`, with batches of at most 2,000 events.
    pub fn sink(&self) -> Queued {
        Queued::builder("sqlite", self.writer()).max_batch(2_000).build()
    }

    /// Returns a writer for a [`Queued`] sink with other limits.
    ///
    /// It connects at its first batch.
    pub fn writer(&self) -> SqliteWriter {
        SqliteWriter::new(self.file.clone())
    }

    /// Activates a key: its tags are in `indexed_metadata`, have an index, and are summed.
    ///
    /// `WHERE indexed_metadata->>'Feature' = 'search'` uses the index. Stored events are updated before this returns, a
    /// thousand events in a transaction. Then their sums are computed, a day in a transaction. If it is interrupted, call it
    /// again.
    ///
    /// SQLite reads the table once to create the index, and the writer waits for about a second per million events. A few
    /// keys cannot be written after `->>`, such as keys with a quote. They get no index.
    ///
    /// # Errors
    /// Returns [`StoreError::KeyTooLong`] if the key has more than 1,024 bytes, [`StoreError::NotMigrated`] if the tables are
    /// missing, and [`StoreError::Database`] if SQLite reports an error.
    pub fn activate_key(&self, name: &str) -> Result<(), StoreError> {
        self.set_active("activate a metadata key in", name, true)
    }

    /// Removes a key from `indexed_metadata`, drops its index, and deletes its sums.
    ///
    /// Its tags stay in `raw_metadata`.
    ///
    /// # Errors
    /// As [`activate_key`](Self::activate_key).
    pub fn deactivate_key(&self, name: &str) -> Result<(), StoreError> {
        self.set_active("deactivate a metadata key in", name, false)
    }

    fn set_active(&self, operation: &str, name: &str, is_active: bool) -> Result<(), StoreError> {
        let name = stored_key(name)?;
        keys::set_active(&mut self.connect(operation)?, &name, is_active).map_err(self.file.error(operation))?;
        let mut session = SqliteSession::open(&self.file)?;
        let dimension = [Dimension::tag(name)];
        let result = if is_active {
            poll_once(async { rollup::activate(&mut session, &dimension).await.map(drop) })
        } else {
            poll_once(rollup::deactivate(&mut session, &dimension))
        };
        // The futures of this session never wait.
        result.unwrap_or(Ok(()))
    }

    /// Opens a connection that reads rows and sums.
    #[cfg(feature = "analytics")]
    pub(crate) fn session(&self) -> Result<SqliteSession, StoreError> {
        SqliteSession::open(&self.file)
    }

    /// Returns all keys that were seen or activated, sorted by name.
    ///
    /// The statistics are some milliseconds old. See [how keys are counted](crate::store#keys).
    ///
    /// # Errors
    /// Returns [`StoreError::NotMigrated`] if the tables are missing, and [`StoreError::Database`] if SQLite reports an error.
    pub fn list_keys(&self) -> Result<Vec<KeyInfo>, StoreError> {
        let operation = "list the metadata keys of";
        keys::list(&self.connect(operation)?).map_err(self.file.error(operation))
    }

    /// Returns an event by its id.
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub fn event(&self, id: Uuid) -> Result<Option<EventRow>, StoreError> {
        let db = self.connect("read events from")?;
        let mut buffer = Uuid::encode_buffer();
        let rows = select(&db, &self.file, "WHERE id = ?1", [id_text(id, &mut buffer)])?;
        Ok(rows.into_iter().next())
    }

    /// Returns the latest events, newest first.
    ///
    /// # Errors
    /// Returns [`StoreError::NotMigrated`] if the tables are missing, and [`StoreError::Database`] if SQLite reports an error
    /// or a row holds values that this crate did not write.
    pub fn latest(&self, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        let db = self.connect("read events from")?;
        select(&db, &self.file, "ORDER BY requested_at DESC, id DESC LIMIT ?1", [limit])
    }

    /// Stores feedback. It replaces feedback with the same id.
    ///
    /// # Errors
    /// As [`list_keys`](Self::list_keys).
    pub fn put_feedback(&self, feedback: &Feedback) -> Result<(), StoreError> {
        let operation = "write feedback to";
        feedback::put(&self.connect(operation)?, feedback).map_err(self.file.error(operation))
    }

    /// Returns feedback by its id.
    ///
    /// # Errors
    /// As [`list_keys`](Self::list_keys).
    pub fn feedback(&self, id: Uuid) -> Result<Option<Feedback>, StoreError> {
        let operation = "read feedback from";
        feedback::get(&self.connect(operation)?, id).map_err(self.file.error(operation))
    }

    /// Deletes the events of requests that began before `time`, and returns their number.
    ///
    /// A transaction deletes a thousand events. The file does not shrink, but SQLite reuses the space.
    ///
    /// # Errors
    /// Returns [`StoreError::NotMigrated`] if the tables are missing, and [`StoreError::Database`] if SQLite reports an error.
    /// Events that were deleted before the error stay deleted.
    pub fn delete_before(&self, time: SystemTime) -> Result<u64, StoreError> {
        let operation = "delete events from";
        delete_before(&self.connect(operation)?, time).map_err(self.file.error(operation))
    }

    fn connect(&self, operation: &str) -> Result<Connection, StoreError> {
        self.file.connect().map_err(self.file.error(operation))
    }
}

fn delete_before(db: &Connection, time: SystemTime) -> rusqlite::Result<u64> {
    let mut delete = db.prepare(
        "DELETE FROM tagging_events WHERE rowid IN
             (SELECT rowid FROM tagging_events WHERE requested_at < ?1 ORDER BY requested_at LIMIT ?2)",
    )?;
    let micros = micros_since_1970(time);
    let time = time_text(whole_micros(time));
    let has_older = "SELECT EXISTS (SELECT 1 FROM tagging_events WHERE requested_at < ?1)";
    if db.query_row(has_older, [&time], |row| row.get(0))? {
        rollups::raise_rows_from(db, micros)?;
    }
    let mut total = 0;
    loop {
        let start = Instant::now();
        let deleted = delete.execute(params![time, DELETE_ROWS])?;
        total += deleted as u64;
        if deleted == 0 {
            return Ok(total);
        }
        yield_lock(start);
    }
}
