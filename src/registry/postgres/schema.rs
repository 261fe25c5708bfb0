//! The tables of a registry.

use crate::store::{Failure, Session};

/// The channel on which changes are announced.
pub(super) const CHANNEL: &str = "tagging_registry";
/// The version of the tables.
const VERSION: i32 = 1;
/// `0x7467` is "tg".
const MIGRATION_LOCK: i64 = 0x7467_0101;

/// Creates the tables in a transaction, unless they exist.
pub(super) async fn migrate(session: &mut Session) -> Result<(), Failure> {
    let step = session.client.transaction().await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    step.batch_execute(
        "SET LOCAL client_min_messages = warning;
         CREATE TABLE IF NOT EXISTS tagging_registry_migrations (
             version integer PRIMARY KEY,
             applied_at timestamptz NOT NULL DEFAULT now()
         )",
    )
    .await?;
    let found = step.query_one("SELECT coalesce(max(version), 0) FROM tagging_registry_migrations", &[]).await?;
    let found: i32 = found.try_get(0)?;
    if found > VERSION {
        return Err(Failure::Newer { found });
    }
    if found < VERSION {
        step.batch_execute(CREATE_TABLES).await?;
        step.execute("INSERT INTO tagging_registry_migrations (version) VALUES ($1)", &[&VERSION]).await?;
    }
    Ok(step.commit().await?)
}

const CREATE_TABLES: &str = "
CREATE TABLE tagging_workspaces (
    slug text PRIMARY KEY,
    name text,
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    limits jsonb,
    contract jsonb
);
COMMENT ON TABLE tagging_workspaces IS 'Groups of API keys with common tags';
COMMENT ON COLUMN tagging_workspaces.slug IS 'The name on events';
COMMENT ON COLUMN tagging_workspaces.name IS 'The name for display';
COMMENT ON COLUMN tagging_workspaces.metadata IS 'The trusted tags of its requests: {\"company\": \"acme\"}';
COMMENT ON COLUMN tagging_workspaces.limits IS 'Limits on tags: {\"value_chars\": 256}';
COMMENT ON COLUMN tagging_workspaces.contract IS '{\"mode\": \"reject\", \"schema\": {...}}';

CREATE TABLE tagging_api_keys (
    name text PRIMARY KEY,
    workspace text REFERENCES tagging_workspaces ON UPDATE CASCADE,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(secret_sha256) = 32),
    secret_expires_at timestamptz,
    second_sha256 bytea UNIQUE CHECK (octet_length(second_sha256) = 32),
    second_expires_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    forced jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(forced) = 'object'),
    forced_override boolean NOT NULL DEFAULT false,
    permissions text[] NOT NULL DEFAULT '{}',
    claims_allow text[],
    claims_otherwise text NOT NULL DEFAULT 'drop' CHECK (claims_otherwise IN ('drop', 'reject')),
    contract jsonb,
    disabled boolean NOT NULL DEFAULT false,
    expires_at timestamptz
);
COMMENT ON TABLE tagging_api_keys IS 'API keys, by the SHA-256 of the whole key: sha256(''sk-1'')';
COMMENT ON COLUMN tagging_api_keys.name IS 'The name on events';
COMMENT ON COLUMN tagging_api_keys.second_sha256 IS 'A second secret, to replace the first one without an outage';
COMMENT ON COLUMN tagging_api_keys.metadata IS 'The trusted tags of its requests';
COMMENT ON COLUMN tagging_api_keys.forced IS 'Tags that clients cannot override';
COMMENT ON COLUMN tagging_api_keys.forced_override IS 'A client may override the forced tags with values that are not empty';
COMMENT ON COLUMN tagging_api_keys.permissions IS 'Rights in the admin API, such as analytics.view';
COMMENT ON COLUMN tagging_api_keys.claims_allow IS 'Tags that a client may set: KEY or KEY=GLOB. NULL allows all';
COMMENT ON COLUMN tagging_api_keys.claims_otherwise IS 'Treatment of other tags: drop or reject';

CREATE TABLE tagging_virtual_keys (
    slug text PRIMARY KEY,
    provider text NOT NULL,
    base_url text NOT NULL,
    secret_env text,
    secret_file text,
    workspaces text[] NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    CHECK (num_nonnulls(secret_env, secret_file) = 1)
);
COMMENT ON TABLE tagging_virtual_keys IS 'Named credentials for providers. The secrets are not in the database';
COMMENT ON COLUMN tagging_virtual_keys.secret_env IS 'The environment variable of the service with the secret';
COMMENT ON COLUMN tagging_virtual_keys.secret_file IS 'The file on the host of the service with the secret';
COMMENT ON COLUMN tagging_virtual_keys.workspaces IS 'The workspaces whose API keys may use it';

CREATE FUNCTION tagging_registry_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tagging_registry', '');
    RETURN NULL;
END $$;
CREATE TRIGGER tagging_registry_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tagging_workspaces
    FOR EACH STATEMENT EXECUTE FUNCTION tagging_registry_changed();
CREATE TRIGGER tagging_registry_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tagging_api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION tagging_registry_changed();
CREATE TRIGGER tagging_registry_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tagging_virtual_keys
    FOR EACH STATEMENT EXECUTE FUNCTION tagging_registry_changed();
";
