//! The tables in Postgres.

use crate::row::ColumnKind;

use super::{
    super::{
        active_keys::first_subjects,
        rollup_sql,
        schema_sql::{SCHEMA_VERSION, column_definitions, create_view},
    },
    failure::Failure,
    keys,
    locks::MIGRATION_LOCK,
    partitions::is_partitioned,
    rollups,
    server::Session,
};

/// The options of new tables.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) monthly_partitions: bool,
    pub(super) active_keys: Vec<String>,
    pub(super) has_rollups: bool,
}

/// Creates the tables in a transaction, unless they exist.
pub(super) async fn migrate(session: &mut Session, tables: &Tables) -> Result<(), Failure> {
    let monthly_partitions = tables.monthly_partitions;
    let step = session.client.transaction().await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    step.batch_execute(
        "SET LOCAL client_min_messages = warning;
         CREATE TABLE IF NOT EXISTS tagging_migrations (
             version integer PRIMARY KEY,
             applied_at timestamptz NOT NULL DEFAULT now()
         )",
    )
    .await?;
    let found = step.query_one("SELECT coalesce(max(version), 0) FROM tagging_migrations", &[]).await?;
    let found: i32 = found.try_get(0)?;
    if found > SCHEMA_VERSION {
        return Err(Failure::Newer { found });
    }
    if found < SCHEMA_VERSION {
        step.batch_execute(&create_tables(monthly_partitions)).await?;
        keys::create(step.client(), &tables.active_keys).await?;
        if tables.has_rollups {
            rollups::create_subjects(step.client(), first_subjects(&tables.active_keys)).await?;
        }
        step.execute("INSERT INTO tagging_migrations (version) VALUES ($1)", &[&SCHEMA_VERSION]).await?;
    }
    step.commit().await?;
    if is_partitioned(session).await? != Some(monthly_partitions) {
        tracing::warn!(
            target: "tower_tagging::store",
            monthly_partitions,
            "the table tagging_events exists with another partitioning, which is kept"
        );
    }
    Ok(())
}

fn create_tables(monthly_partitions: bool) -> String {
    let columns = column_definitions(ColumnKind::postgres_type, |nanos| format!("{nanos} * 0.000000001"), "STORED");
    let view = create_view();
    let (primary_key, partition_by) =
        if monthly_partitions { ("id, requested_at", " PARTITION BY RANGE (requested_at)") } else { ("id", "") };
    format!(
        "CREATE TABLE tagging_events (
    {columns},
    PRIMARY KEY ({primary_key})
){partition_by};
CREATE INDEX tagging_events_requested_at ON tagging_events (requested_at);
CREATE INDEX tagging_events_errors ON tagging_events (requested_at) WHERE is_error;
CREATE INDEX tagging_events_trace_id ON tagging_events (trace_id);
CREATE INDEX tagging_events_client_trace_id ON tagging_events (client_trace_id) WHERE client_trace_id IS NOT NULL;
CREATE INDEX tagging_events_indexed_metadata ON tagging_events
    USING gin (indexed_metadata jsonb_path_ops) WHERE indexed_metadata IS NOT NULL;
{view}
CREATE TABLE tagging_keys (
    name text PRIMARY KEY,
    active boolean NOT NULL DEFAULT false,
    indexed boolean NOT NULL DEFAULT false,
    requests bigint NOT NULL DEFAULT 0,
    last_seen timestamptz,
    sketch bit varying
);
{}
CREATE TABLE tagging_feedback (
    id uuid PRIMARY KEY,
    trace_id text NOT NULL,
    value integer NOT NULL,
    weight_micros integer NOT NULL,
    metadata jsonb NOT NULL,
    workspace text,
    created_at timestamptz NOT NULL
);
CREATE INDEX tagging_feedback_trace_id ON tagging_feedback (trace_id);
CREATE INDEX tagging_feedback_workspace ON tagging_feedback (workspace, id);",
        rollup_sql::create_tables("bigint", "text COLLATE \"C\"", "bigint[]", " WITH (fillfactor = 80)")
    )
}
