use std::{collections::BTreeSet, error::Error};

use bytes::{BufMut, BytesMut};
use tokio_postgres::{
    Client,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};
use uuid::Uuid;

use super::{
    super::{
        KeyInfo,
        active_keys::ActiveKeys,
        key_counts::{KeyCounts, MAX_KEYS},
        sketch::Sketch,
    },
    failure::Failure,
    locks::ACTIVATION_LOCK,
    server::Server,
};

/// The number of rows that one step of an activation reads.
const STEP_ROWS: i64 = 2_000;

impl ToSql for Sketch {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i32(i32::try_from(self.as_bytes().len() * 8)?);
        out.put_slice(self.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::VARBIT
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Sketch {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        // The number of bits precedes them.
        Ok(Self::from_bytes(raw.get(4..).unwrap_or_default()))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::VARBIT
    }
}

pub(super) async fn active(client: &Client) -> Result<ActiveKeys, tokio_postgres::Error> {
    let rows = client.query("SELECT name FROM tagging_keys WHERE active", &[]).await?;
    rows.iter().map(|row| row.try_get::<_, String>(0)).collect()
}

/// Returns the active keys whose tags are in `indexed_metadata` of all rows.
pub(super) async fn indexed(client: &Client) -> Result<BTreeSet<String>, tokio_postgres::Error> {
    let rows = client.query("SELECT name FROM tagging_keys WHERE active AND indexed", &[]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Creates active keys in an empty table.
pub(super) async fn create(client: &Client, names: &[String]) -> Result<(), tokio_postgres::Error> {
    let statement =
        "INSERT INTO tagging_keys (name, active, indexed) SELECT name, true, true FROM unnest($1::text[]) AS name";
    client.execute(statement, &[&names]).await?;
    Ok(())
}

/// Adds counts to the table, in its own transaction.
pub(super) async fn fold(client: &Client, counts: &KeyCounts) -> Result<(), Failure> {
    let (mut names, mut requests, mut last_seen, mut sketches) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (name, count) in counts.iter() {
        names.push(name);
        requests.push(i64::from(count.requests));
        last_seen.push(count.last_seen);
        sketches.push(&count.sketch);
    }
    let statement = include_str!("fold_keys.sql");
    client.execute(statement, &[&names, &requests, &last_seen, &sketches, &i64::from(MAX_KEYS)]).await?;
    Ok(())
}

pub(super) async fn list(client: &Client) -> Result<Vec<KeyInfo>, Failure> {
    let statement =
        r#"SELECT name, active, requests, last_seen, sketch, indexed FROM tagging_keys ORDER BY name COLLATE "C""#;
    let keys = client.query(statement, &[]).await?.into_iter().map(|row| {
        Ok(KeyInfo {
            name: row.try_get(0)?,
            is_active: row.try_get(1)?,
            is_indexed: row.try_get(5)?,
            requests: row.try_get::<_, i64>(2)?.unsigned_abs(),
            last_seen: row.try_get(3)?,
            distinct_values: row.try_get::<_, Option<Sketch>>(4)?.map_or(0, |sketch| sketch.estimate()),
        })
    });
    keys.collect()
}

/// Switches a key, and updates `indexed_metadata` of all rows.
pub(super) async fn set_active(server: &Server, name: &str, is_active: bool) -> Result<(), Failure> {
    let mut session = server.open().await?;
    let flip = session.client.transaction().await?;
    // Writers hold this lock, shared, from before they read the keys until their rows are committed. So the rows that were
    // written without regard to the switch are visible after it.
    flip.execute("SELECT pg_advisory_xact_lock($1)", &[&ACTIVATION_LOCK]).await?;
    flip.execute(
        "INSERT INTO tagging_keys AS stored (name, active) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET indexed = stored.active = $2 AND stored.indexed, active = $2",
        &[&name, &is_active],
    )
    .await?;
    flip.commit().await?;

    let last = session.query_opt("SELECT id FROM tagging_events ORDER BY id DESC LIMIT 1", &[]).await?;
    let Some(last) = last.map(|row| row.try_get::<_, Uuid>(0)).transpose()? else {
        return set_indexed(&session, name, is_active).await;
    };
    let statement = if is_active { include_str!("activate_step.sql") } else { include_str!("deactivate_step.sql") };
    let statement = session.prepare(statement).await?;
    // No event has the nil id.
    let mut done = Uuid::nil();
    loop {
        let step = session.client.transaction().await?;
        step.execute("SELECT pg_advisory_xact_lock_shared($1)", &[&ACTIVATION_LOCK]).await?;
        let now = step.query_one("SELECT active FROM tagging_keys WHERE name = $1", &[&name]).await?;
        if now.try_get::<_, bool>(0)? != is_active {
            // Another process switched the key back, and updates the rows.
            return Ok(());
        }
        let row = step.query_opt(&statement, &[&name, &done, &last, &STEP_ROWS]).await?;
        step.commit().await?;
        match row {
            Some(row) => done = row.try_get(0)?,
            None => return set_indexed(&session, name, is_active).await,
        }
    }
}

/// Records that `indexed_metadata` of all rows follows the switch.
async fn set_indexed(client: &Client, name: &str, is_active: bool) -> Result<(), Failure> {
    let statement = "UPDATE tagging_keys SET indexed = active WHERE name = $1 AND active = $2";
    client.execute(statement, &[&name, &is_active]).await?;
    Ok(())
}
