//! The table of feedback.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::{
    metadata::Metadata,
    store::{Feedback, LatestFeedback},
};

use super::{database_file::time_text, rows::id_text};

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

pub(super) fn latest(db: &Connection, workspaces: Option<&[String]>, limit: u64) -> rusqlite::Result<LatestFeedback> {
    let mut select = db.prepare_cached(&select_latest(workspaces.is_some()))?;
    let workspaces = workspaces.map(|slugs| serde_json::Value::from(slugs.to_vec()).to_string());
    let found =
        select.query_map(params![workspaces, i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)], read)?;
    Ok(LatestFeedback::first(found.collect::<rusqlite::Result<_>>()?, limit))
}

/// Returns a statement with the parameters of a list of workspaces and a limit. The condition needs an index, so there is none
/// if all workspaces are read.
fn select_latest(has_workspaces: bool) -> String {
    let is_read = if has_workspaces {
        "workspace IS NULL OR workspace IN (SELECT value FROM json_each(?1))"
    } else {
        "?1 IS NULL"
    };
    format!("SELECT {COLUMNS} FROM tagging_feedback WHERE {is_read} ORDER BY id DESC LIMIT ?2")
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

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{super::schema, select_latest};

    #[test]
    fn the_feedback_of_workspaces_is_read_from_an_index() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db, &[], true).unwrap();
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {}", select_latest(true))).unwrap();
        let plan = explain.query_map(("[\"acme\"]", 10), |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<String> = plan.map(Result::unwrap).collect();
        assert!(plan.iter().any(|step| step.contains("INDEX tagging_feedback_workspace")), "{plan:#?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN tagging_feedback")), "{plan:#?}");
    }
}
