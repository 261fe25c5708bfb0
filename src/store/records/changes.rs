//! The log of changes.

use uuid::Uuid;

use crate::store::{Change, StoreError};

use super::{MAX_CHANGES, RecordRow, RecordSession, RecordValue};

const COLUMNS: &str = "id, changed_at, author, action, subject, workspace, amount";
/// Comes after all ids.
const END: &str = "~";
/// Separates the workspace of a change from the scope of its author, in the column of the workspace.
const SCOPE: char = '\u{1F}';
/// Comes after the separator.
const AFTER_SCOPE: char = '\u{20}';

/// Adds a change. If there is one with the same id, their counts are added up.
pub(crate) async fn add_change(session: &mut impl RecordSession, change: &Change) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO tagging_changes ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET
             subject = excluded.subject, amount = tagging_changes.amount + excluded.amount"
    );
    let room = RecordValue::text(&room(change));
    let values = vec![
        RecordValue::id(change.id),
        RecordValue::time(change.time),
        RecordValue::optional(change.author.as_deref()),
        RecordValue::text(&change.action),
        RecordValue::text(&change.subject),
        room.clone(),
        RecordValue::number(change.count),
    ];
    session.write_record(&sql, values).await?;
    // Each workspace and each scope has its own room, so that none can remove the changes of others.
    let sql = "DELETE FROM tagging_changes WHERE workspace = ?1 AND id <= (
                   SELECT id FROM tagging_changes WHERE workspace = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    session.write_record(sql, vec![room, RecordValue::size(MAX_CHANGES)]).await?;
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
    let condition = if let Some(workspace) = workspace {
        let scopes = [SCOPE, AFTER_SCOPE].map(|letter| RecordValue::text(&format!("{workspace}{letter}")));
        values.push(RecordValue::text(workspace));
        values.extend(scopes);
        " AND (workspace = ?3 OR workspace >= ?4 AND workspace < ?5)"
    } else {
        ""
    };
    let sql = format!("SELECT {COLUMNS} FROM tagging_changes WHERE id < ?1{condition} ORDER BY id DESC LIMIT ?2");
    Ok(session.read_records(&sql, values).await?.iter().map(read).collect())
}

/// Returns the place of a change in the log, in which the newest changes are kept.
fn room(change: &Change) -> String {
    let workspace = change.workspace.as_deref().unwrap_or_default();
    if change.scope.is_empty() { workspace.to_owned() } else { format!("{workspace}{SCOPE}{}", change.scope) }
}

fn read(row: &RecordRow) -> Change {
    let room = row.text(5);
    let (workspace, scope) = room.split_once(SCOPE).unwrap_or((&room, ""));
    Change {
        id: row.id(0),
        time: row.time(1),
        author: row.optional(2),
        action: row.text(3),
        subject: row.text(4),
        workspace: Some(workspace).filter(|slug| !slug.is_empty()).map(ToOwned::to_owned),
        count: row.number(6),
        scope: scope.to_owned(),
    }
}
