use super::{super::StoreError, MIGRATION_LOCK, connect::Session, partitions::is_partitioned};

/// The tables, version by version: `SCHEMA[0]` makes version 1.
const SCHEMA: &[&str] = &[include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// Makes the tables, or brings them up to the newest version, each step in a transaction.
pub(super) async fn migrate(session: &mut Session, monthly_partitions: bool) -> Result<(), StoreError> {
    let known = i32::try_from(SCHEMA.len()).unwrap_or(i32::MAX);
    let [primary_key, partition_by] =
        if monthly_partitions { ["id, requested_at", " PARTITION BY RANGE (requested_at)"] } else { ["id", ""] };
    loop {
        let step = session.client.transaction().await?;
        step.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
        step.batch_execute(
            "SET LOCAL client_min_messages = warning;
             CREATE TABLE IF NOT EXISTS llm_requests_migrations (
                 version integer PRIMARY KEY,
                 applied_at timestamptz NOT NULL DEFAULT now()
             )",
        )
        .await?;
        let found = step.query_one("SELECT coalesce(max(version), 0) FROM llm_requests_migrations", &[]).await?;
        let found: i32 = found.try_get(0)?;
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        let Some(next) = usize::try_from(found).ok().and_then(|found| SCHEMA.get(found)) else {
            step.commit().await?;
            break;
        };
        step.batch_execute(&next.replace("{primary_key}", primary_key).replace("{partition_by}", partition_by)).await?;
        step.execute("INSERT INTO llm_requests_migrations (version) VALUES ($1)", &[&(found + 1)]).await?;
        step.commit().await?;
    }
    if is_partitioned(session).await? != Some(monthly_partitions) {
        tracing::warn!(
            target: "tower_tagging::store",
            "monthly_partitions counts only when the table llm_requests is made: it stays as it is"
        );
    }
    Ok(())
}
