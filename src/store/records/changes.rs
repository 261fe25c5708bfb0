//! The log of changes.

use uuid::Uuid;

use crate::store::{Change, StoreError};

use super::{MAX_CHANGES, RecordRow, RecordSession, RecordValue};

const COLUMNS: &str = "id, changed_at, author, action, subject, workspace, amount";
/// Comes after all ids.
const END: &str = "~";

/// Adds a change. If there is one with the same id, their counts are added up.
pub(crate) async fn add_change(session: &mut impl RecordSession, change: &Change) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO tagging_changes ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET
             subject = excluded.subject, amount = tagging_changes.amount + excluded.amount"
    );
    let workspace = RecordValue::optional(change.workspace.as_deref());
    let values = vec![
        RecordValue::id(change.id),
        RecordValue::time(change.time),
        RecordValue::optional(change.author.as_deref()),
        RecordValue::text(&change.action),
        RecordValue::text(&change.subject),
        workspace.clone(),
        RecordValue::number(change.count),
    ];
    session.write_record(&sql, values).await?;
    // Each workspace has its own room, so that none can remove the changes of others.
    let sql = "DELETE FROM tagging_changes WHERE workspace = ?1 AND id <= (
                   SELECT id FROM tagging_changes WHERE workspace = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    session.write_record(sql, vec![workspace, RecordValue::size(MAX_CHANGES)]).await?;
    Ok(())
}

/// Returns the newest changes before one of them, of a workspace, or of all.
pub(crate) async fn changes(
    session: &mut impl RecordSession,
    workspace: Option<&str>,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let before = before.map_or_else(|| RecordValue::text(END), RecordValue::id);
    let mut values = vec![before, RecordValue::size(limit)];
    values.extend(workspace.map(RecordValue::text));
    let condition = if workspace.is_some() { " AND workspace = ?3" } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM tagging_changes WHERE id < ?1{condition} ORDER BY id DESC LIMIT ?2");
    Ok(session.read_records(&sql, values).await?.iter().map(read).collect())
}

fn read(row: &RecordRow) -> Change {
    Change {
        id: row.id(0),
        time: row.time(1),
        author: row.optional(2),
        action: row.text(3),
        subject: row.text(4),
        workspace: row.optional(5),
        count: row.number(6),
    }
}
