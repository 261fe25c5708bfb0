//! Saved views.

use uuid::Uuid;

use crate::store::{SavedView, StoreError};

use super::{MAX_VIEWS, RecordRow, RecordSession, RecordValue, ViewSaved};

const COLUMNS: &str = "id, name, page, query, owner, workspace, is_shared, created_at, scope";

/// Returns the views of an owner, and then the shared ones with the same scope, or with any scope, each ordered by name.
pub(crate) async fn views(
    session: &mut impl RecordSession,
    scope: &str,
    owner: Option<&str>,
    is_of_all_scopes: bool,
    limit: usize,
) -> Result<Vec<SavedView>, StoreError> {
    // No view has an empty owner.
    let sql = format!(
        "SELECT {COLUMNS} FROM tagging_views
         WHERE scope = ?1 AND (owner = ?2 OR is_shared = 1) OR is_shared = 1 AND CAST(?3 AS bigint) = 1
         ORDER BY CASE WHEN scope = ?1 AND owner = ?2 THEN 0 ELSE 1 END, name, id LIMIT ?4"
    );
    let values = vec![
        RecordValue::text(scope),
        RecordValue::optional(owner),
        RecordValue::number(is_of_all_scopes.into()),
        RecordValue::size(limit),
    ];
    Ok(session.read_records(&sql, values).await?.iter().map(read).collect())
}

pub(crate) async fn view(session: &mut impl RecordSession, id: Uuid) -> Result<Option<SavedView>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tagging_views WHERE id = ?1");
    Ok(session.read_records(&sql, vec![RecordValue::id(id)]).await?.first().map(read))
}

pub(crate) async fn add_view(session: &mut impl RecordSession, view: &SavedView) -> Result<ViewSaved, StoreError> {
    let sql = format!(
        "INSERT INTO tagging_views ({COLUMNS})
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, CAST(?7 AS bigint), CAST(?8 AS bigint), ?9
         WHERE (SELECT count(*) FROM tagging_views WHERE scope = ?9 AND owner = ?5) < ?10
         ON CONFLICT DO NOTHING"
    );
    let values = vec![
        RecordValue::id(view.id),
        RecordValue::text(&view.name),
        RecordValue::text(&view.page),
        RecordValue::text(&view.query),
        RecordValue::text(&view.owner),
        RecordValue::optional(view.workspace.as_deref()),
        RecordValue::number(view.is_shared.into()),
        RecordValue::time(view.created_at),
        RecordValue::text(&view.scope),
        RecordValue::size(MAX_VIEWS),
    ];
    if session.write_record(&sql, values).await? > 0 {
        return Ok(ViewSaved::Saved);
    }
    let sql = "SELECT count(*) FROM tagging_views WHERE scope = ?1 AND owner = ?2 AND name = ?3";
    let values = vec![RecordValue::text(&view.scope), RecordValue::text(&view.owner), RecordValue::text(&view.name)];
    let is_taken = session.read_records(sql, values).await?.first().is_some_and(|row| row.number(0) > 0);
    Ok(if is_taken { ViewSaved::NameTaken } else { ViewSaved::TooMany })
}

/// Stores the name of a view.
pub(crate) async fn rename_view(session: &mut impl RecordSession, view: &SavedView) -> Result<ViewSaved, StoreError> {
    let sql = "UPDATE tagging_views SET name = ?2 WHERE id = ?1 AND NOT EXISTS (
                   SELECT 1 FROM tagging_views AS other
                   WHERE other.scope = ?3 AND other.owner = ?4 AND other.name = ?2 AND other.id <> ?1)";
    let values = vec![
        RecordValue::id(view.id),
        RecordValue::text(&view.name),
        RecordValue::text(&view.scope),
        RecordValue::text(&view.owner),
    ];
    let is_saved = session.write_record(sql, values).await? > 0;
    Ok(if is_saved { ViewSaved::Saved } else { ViewSaved::NameTaken })
}

/// Stores whether a view is shared.
pub(crate) async fn share_view(session: &mut impl RecordSession, id: Uuid, is_shared: bool) -> Result<(), StoreError> {
    let sql = "UPDATE tagging_views SET is_shared = ?2 WHERE id = ?1";
    session.write_record(sql, vec![RecordValue::id(id), RecordValue::number(is_shared.into())]).await.map(drop)
}

pub(crate) async fn delete_view(session: &mut impl RecordSession, id: Uuid) -> Result<(), StoreError> {
    session.write_record("DELETE FROM tagging_views WHERE id = ?1", vec![RecordValue::id(id)]).await.map(drop)
}

fn read(row: &RecordRow) -> SavedView {
    SavedView {
        id: row.id(0),
        name: row.text(1),
        page: row.text(2),
        query: row.text(3),
        owner: row.text(4),
        workspace: row.optional(5),
        is_shared: row.is_true(6),
        created_at: row.time(7),
        scope: row.text(8),
    }
}
