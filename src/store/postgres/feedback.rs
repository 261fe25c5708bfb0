//! The table of feedback.

use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

use crate::{
    metadata::Metadata,
    store::{Feedback, LatestFeedback},
};

const COLUMNS: &str = "id, trace_id, value, weight_micros, metadata::text, workspace, created_at";

pub(super) async fn put(client: &Client, feedback: &Feedback) -> Result<(), Error> {
    let metadata = serde_json::to_string(&feedback.metadata).unwrap_or_default();
    client
        .execute(
            "INSERT INTO tagging_feedback (id, trace_id, value, weight_micros, metadata, workspace, created_at)
             VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7)
             ON CONFLICT (id) DO UPDATE SET
                 trace_id = excluded.trace_id, value = excluded.value, weight_micros = excluded.weight_micros,
                 metadata = excluded.metadata, workspace = excluded.workspace, created_at = excluded.created_at",
            &[
                &feedback.id,
                &feedback.trace_id,
                &i32::from(feedback.value),
                &i32::try_from(feedback.weight_micros).unwrap_or(i32::MAX),
                &metadata,
                &feedback.workspace,
                &feedback.created_at,
            ],
        )
        .await?;
    Ok(())
}

pub(super) async fn get(client: &Client, id: Uuid) -> Result<Option<Feedback>, Error> {
    let statement = format!("SELECT {COLUMNS} FROM tagging_feedback WHERE id = $1");
    client.query_opt(&statement, &[&id]).await?.as_ref().map(read).transpose()
}

pub(super) async fn latest(
    client: &Client,
    workspaces: Option<&[String]>,
    limit: u64,
) -> Result<LatestFeedback, Error> {
    let statement = format!(
        "SELECT {COLUMNS} FROM tagging_feedback
         WHERE $1::text[] IS NULL OR workspace IS NULL OR workspace = ANY ($1)
         ORDER BY id DESC LIMIT $2"
    );
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let rows = client.query(&statement, &[&workspaces, &one_more]).await?;
    let entries = rows.iter().map(read).collect::<Result<_, Error>>()?;
    Ok(LatestFeedback::first(entries, limit))
}

fn read(row: &Row) -> Result<Feedback, Error> {
    let value = i8::try_from(row.try_get::<_, i32>(2)?).unwrap_or_default();
    let mut feedback = Feedback::new(row.try_get::<_, String>(1)?, value, row.try_get(6)?);
    feedback.id = row.try_get(0)?;
    feedback.weight_micros = row.try_get::<_, i32>(3)?.unsigned_abs();
    feedback.metadata = serde_json::from_str::<Metadata>(row.try_get(4)?).unwrap_or_default();
    feedback.workspace = row.try_get(5)?;
    Ok(feedback)
}
