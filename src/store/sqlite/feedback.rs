//! The table of feedback.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::{metadata::Metadata, store::Feedback};

use super::{database_file::time_text, rows::id_text};

/// The largest number of entries that a query considers, the latest ones.
const MAX_ENTRIES: u32 = 100_000;
const COLUMNS: &str = "id, trace_id, value, weight_micros, metadata, workspace, created_at";

pub(super) fn put(db: &Connection, feedback: &Feedback) -> rusqlite::Result<()> {
    let mut buffer = Uuid::encode_buffer();
    db.execute(
        &format!("INSERT OR REPLACE INTO tagging_feedback ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
        params![
            id_text(feedback.id, &mut buffer),
            feedback.trace_id,
            feedback.value,
            feedback.weight_micros,
            serde_json::to_string(&feedback.metadata).unwrap_or_default(),
            feedback.workspace,
            time_text(feedback.created_at),
        ],
    )?;
    Ok(())
}

pub(super) fn get(db: &Connection, id: Uuid) -> rusqlite::Result<Option<Feedback>> {
    let sql = format!("SELECT {COLUMNS} FROM tagging_feedback WHERE id = ?1");
    db.query_row(&sql, [id_text(id, &mut Uuid::encode_buffer())], read).optional()
}

pub(super) fn latest(db: &Connection) -> rusqlite::Result<Vec<Feedback>> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM tagging_feedback ORDER BY id DESC LIMIT ?1"))?;
    let found = select.query_map([MAX_ENTRIES], read)?;
    found.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Feedback> {
    let created_at = humantime::parse_rfc3339(row.get_ref(6)?.as_str()?);
    let mut feedback =
        Feedback::new(row.get::<_, String>(1)?, row.get(2)?, created_at.unwrap_or(std::time::SystemTime::UNIX_EPOCH));
    feedback.id = Uuid::try_parse(row.get_ref(0)?.as_str()?).unwrap_or_default();
    feedback.weight_micros = row.get(3)?;
    feedback.metadata = serde_json::from_str::<Metadata>(row.get_ref(4)?.as_str()?).unwrap_or_default();
    feedback.workspace = row.get(5)?;
    Ok(feedback)
}
