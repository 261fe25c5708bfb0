//! The tables in SQLite.

use rusqlite::{Connection, TransactionBehavior};

use crate::row::ColumnKind;

use super::{
    super::{
        active_keys::first_subjects,
        records_sql, rollup_sql,
        schema_sql::{SCHEMA_VERSION, column_definitions, create_view},
    },
    keys, rollups,
};

/// Creates the tables in a transaction, unless they exist. Returns the version of the tables, which may be newer than
/// [`SCHEMA_VERSION`].
pub(super) fn migrate(db: &mut Connection, active_keys: &[String], has_rollups: bool) -> rusqlite::Result<i32> {
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    step.execute_batch(
        "CREATE TABLE IF NOT EXISTS tagging_migrations (
             version INTEGER PRIMARY KEY NOT NULL,
             applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
         )",
    )?;
    let found: i32 =
        step.query_row("SELECT coalesce(max(version), 0) FROM tagging_migrations", [], |row| row.get(0))?;
    if found < SCHEMA_VERSION {
        step.execute_batch(&create_tables())?;
        for key in active_keys {
            keys::create(&step, key)?;
        }
        if has_rollups {
            rollups::create_subjects(&step, first_subjects(active_keys))?;
        }
        step.execute("INSERT INTO tagging_migrations (version) VALUES (?1)", [SCHEMA_VERSION])?;
    }
    step.execute_batch(&records_sql::create_tables("TEXT", "INTEGER"))?;
    step.commit()?;
    Ok(found.max(SCHEMA_VERSION))
}

fn create_tables() -> String {
    let columns = column_definitions(ColumnKind::sqlite_type, |nanos| format!("{nanos} / 1e9"), "VIRTUAL");
    let view = create_view();
    format!(
        "CREATE TABLE tagging_events (
    {columns},
    PRIMARY KEY (id)
);
CREATE INDEX tagging_events_requested_at ON tagging_events (requested_at);
CREATE INDEX tagging_events_trace_id ON tagging_events (trace_id);
CREATE INDEX tagging_events_client_trace_id ON tagging_events (client_trace_id) WHERE client_trace_id IS NOT NULL;
{view}
CREATE TABLE tagging_keys (
    name TEXT PRIMARY KEY NOT NULL,
    active INTEGER NOT NULL DEFAULT 0,
    indexed INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    last_seen TEXT,
    sketch BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID;
{}
CREATE TABLE tagging_feedback (
    id TEXT PRIMARY KEY NOT NULL,
    trace_id TEXT NOT NULL,
    value INTEGER NOT NULL,
    weight_micros INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    workspace TEXT,
    created_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX tagging_feedback_trace_id ON tagging_feedback (trace_id);
CREATE INDEX tagging_feedback_workspace ON tagging_feedback (workspace, id);",
        rollup_sql::create_tables("INTEGER", "TEXT", "BLOB", " WITHOUT ROWID")
    )
}
