//! The tables and functions of a ledger.

use tokio_postgres::error::SqlState;

use crate::store::{Failure, Session};

/// The start of the names of all tables and functions without a namespace.
const PREFIX: &str = "tagging_ledger_";
/// The version of the tables and functions.
const VERSION: i32 = 1;
/// `0x7467` is "tg".
const MIGRATION_LOCK: i64 = 0x7467_0301;

/// Creates the tables and functions, unless they exist.
///
/// Tables of a newer version have the functions of this version as well, so that replicas of both run side by side.
pub(super) async fn ensure(session: &mut Session, namespace: &str) -> Result<(), Failure> {
    let found = session.query_one(&named(VERSIONS, namespace), &[]).await;
    let missing = |error: &tokio_postgres::Error| error.code() == Some(&SqlState::UNDEFINED_TABLE);
    let found: i32 = match found {
        Ok(row) => row.try_get(0)?,
        Err(error) if missing(&error) => 0,
        Err(error) => return Err(error.into()),
    };
    if found < VERSION { migrate(session, namespace).await } else { Ok(()) }
}

const VERSIONS: &str = "SELECT coalesce(max(version), 0) FROM tagging_ledger_migrations";

async fn migrate(session: &mut Session, namespace: &str) -> Result<(), Failure> {
    let step = session.client.transaction().await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    let versions = "SET LOCAL client_min_messages = warning;
         CREATE TABLE IF NOT EXISTS tagging_ledger_migrations (
             version integer PRIMARY KEY,
             applied_at timestamptz NOT NULL DEFAULT now()
         )";
    step.batch_execute(&named(versions, namespace)).await?;
    let found: i32 = step.query_one(&named(VERSIONS, namespace), &[]).await?.try_get(0)?;
    if found < VERSION {
        step.batch_execute(&named(include_str!("tables.sql"), namespace)).await?;
        step.batch_execute(&named(include_str!("functions.sql"), namespace)).await?;
        let version = named("INSERT INTO tagging_ledger_migrations (version) VALUES ($1)", namespace);
        step.execute(&version, &[&VERSION]).await?;
    }
    Ok(step.commit().await?)
}

/// Puts the namespace into the names of tables and functions.
pub(super) fn named(sql: &str, namespace: &str) -> String {
    if namespace.is_empty() { sql.to_owned() } else { sql.replace(PREFIX, &format!("{PREFIX}{namespace}_")) }
}

/// Returns `true` if names with the namespace need no quotes and are not cut off.
pub(super) fn is_namespace(name: &str) -> bool {
    name.len() <= 20 && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_the_namespace_into_all_names() {
        assert_eq!(named(VERSIONS, "eu"), "SELECT coalesce(max(version), 0) FROM tagging_ledger_eu_migrations");
        assert_eq!(named(VERSIONS, ""), VERSIONS);
    }

    #[test]
    fn names_fit_an_identifier_of_postgres() {
        let longest = "n".repeat(20);
        assert!(
            is_namespace(&longest) && !is_namespace("nn.x") && !is_namespace("Eu") && !is_namespace(&"n".repeat(21))
        );
        for sql in [include_str!("tables.sql"), include_str!("functions.sql")] {
            let sql = named(sql, &longest);
            let names = sql.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            assert!(names.clone().any(|name| name.starts_with(PREFIX)));
            assert!(names.into_iter().all(|name| name.len() < 64));
        }
    }
}
