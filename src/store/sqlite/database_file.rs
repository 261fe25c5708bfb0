use std::{
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{super::StoreError, functions::register};

/// The time that a connection waits for the lock of another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// The size of a page. An event changes a page of each index of a key with many values, so small pages write less.
const PAGE_BYTES: i64 = 4_096;
/// The number of prepared statements that a connection keeps.
const STATEMENTS: usize = 64;
/// The beginnings of the errors that SQLite reports for missing or older tables.
const NOT_MIGRATED: [&str; 3] = ["no such table: tagging_", "table tagging_events has no column", "no such column: "];

/// The file of a store, and how to open it.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFile {
    pub(super) path: Arc<PathBuf>,
    pub(super) is_full_sync: bool,
    pub(super) is_read_only: bool,
}

impl DatabaseFile {
    /// Opens a connection. SQLite creates the file if it does not exist, unless it is read-only.
    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = if self.is_read_only {
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX
        } else {
            OpenFlags::default()
        };
        let db = Connection::open_with_flags(&*self.path, flags)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        // Each statement is prepared once per connection.
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        register(&db)?;
        if self.is_read_only {
            return Ok(db);
        }
        // This affects new files only.
        db.pragma_update(None, "page_size", PAGE_BYTES)?;
        use_wal(&db)?;
        db.pragma_update(None, "synchronous", if self.is_full_sync { "FULL" } else { "NORMAL" })?;
        Ok(db)
    }

    /// Returns a function that adds the operation and the path of the file to an error.
    pub(super) fn error(&self, operation: &str) -> impl Fn(rusqlite::Error) -> StoreError {
        move |error| {
            let text = error.to_string();
            if NOT_MIGRATED.iter().any(|start| text.starts_with(start)) {
                return StoreError::NotMigrated;
            }
            StoreError::database(format!("{operation} {}", self.path.display()), error)
        }
    }
}

/// Switches the file to WAL mode permanently.
fn use_wal(db: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let mode: rusqlite::Result<String> = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match mode {
            // The busy timeout does not apply to all locks that this statement takes.
            Err(error) if is_busy(&error) && Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            result => return result.map(drop),
        }
    }
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Releases the lock to other connections for as long as it was held.
pub(super) fn yield_lock(held_since: Instant) {
    thread::sleep(held_since.elapsed().max(Duration::from_millis(2)));
}

/// Formats a time as RFC 3339 in UTC with microseconds, so that text sorts by time.
pub(super) fn time_text(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}
