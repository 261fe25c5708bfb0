use std::{collections::BTreeSet, time::Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use sha2::{Digest, Sha256};

use crate::metadata::Metadata;

use super::{
    super::{
        KeyInfo,
        active_keys::ActiveKeys,
        key_counts::{KeyCounts, MAX_KEYS},
        sketch::Sketch,
    },
    database_file::{time_text, yield_lock},
    dialect::indexed_tag,
};

/// The number of rows that are updated in one transaction, so that a writer never waits for long.
const STEP_ROWS: u32 = 1_000;

pub(super) fn active(db: &Connection) -> rusqlite::Result<ActiveKeys> {
    let mut select = db.prepare_cached("SELECT name FROM tagging_keys WHERE active")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?;
    names.collect()
}

pub(super) fn list(db: &Connection) -> rusqlite::Result<Vec<KeyInfo>> {
    let mut select =
        db.prepare("SELECT name, active, requests, last_seen, sketch, indexed FROM tagging_keys ORDER BY name")?;
    let keys = select.query_map([], |row| {
        let last_seen: Option<String> = row.get(3)?;
        Ok(KeyInfo {
            name: row.get(0)?,
            is_active: row.get(1)?,
            is_indexed: row.get(5)?,
            requests: row.get::<_, i64>(2)?.unsigned_abs(),
            last_seen: last_seen.and_then(|text| humantime::parse_rfc3339(&text).ok()),
            distinct_values: Sketch::from_bytes(&row.get::<_, Vec<u8>>(4)?).estimate(),
        })
    })?;
    keys.collect()
}

/// Adds counts to the table.
pub(super) fn fold(transaction: &Transaction<'_>, counts: &KeyCounts) -> rusqlite::Result<()> {
    let mut select = transaction.prepare_cached("SELECT sketch FROM tagging_keys WHERE name = ?1")?;
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO tagging_keys (name, requests, last_seen, sketch) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET
             requests = requests + excluded.requests,
             last_seen = max(coalesce(last_seen, ''), excluded.last_seen),
             sketch = excluded.sketch",
    )?;
    let mut room: Option<i64> = None;
    for (name, count) in counts.iter() {
        let stored: Option<Vec<u8>> = select.query_row([name], |row| row.get(0)).optional()?;
        if stored.is_none() {
            let left = match room {
                Some(left) => left,
                None => {
                    transaction.query_row("SELECT ?1 - count(*) FROM tagging_keys", [MAX_KEYS], |row| row.get(0))?
                }
            };
            room = Some(left - 1);
            if left <= 0 {
                continue;
            }
        }
        let mut sketch = Sketch::from_bytes(stored.as_deref().unwrap_or_default());
        sketch.merge(&count.sketch);
        upsert.execute(params![name, count.requests, time_text(count.last_seen), sketch.as_bytes()])?;
    }
    Ok(())
}

/// Switches a key, creates or drops its index, and updates `indexed_metadata` of all rows.
pub(super) fn set_active(db: &mut Connection, name: &str, is_active: bool) -> rusqlite::Result<()> {
    let flip = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    flip.execute(
        "INSERT INTO tagging_keys (name, active, indexed) VALUES (?1, ?2, 0)
         ON CONFLICT (name) DO UPDATE SET indexed = active = ?2 AND indexed, active = ?2",
        params![name, is_active],
    )?;
    if is_active {
        create_index(&flip, name)?;
    } else {
        flip.execute_batch(&format!("DROP INDEX IF EXISTS {}", index_name(name)))?;
    }
    // Rows that are inserted after the commit have the new value.
    let last: Option<i64> = flip.query_row("SELECT max(rowid) FROM tagging_events", [], |row| row.get(0))?;
    flip.commit()?;
    let mut done = i64::MIN;
    while let Some(last) = last.filter(|last| done < *last) {
        let start = Instant::now();
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        done = update_rows(&step, done, last)?;
        step.commit()?;
        yield_lock(start);
    }
    db.execute("UPDATE tagging_keys SET indexed = active WHERE name = ?1 AND active = ?2", params![name, is_active])?;
    Ok(())
}

/// Creates an active key in an empty table.
pub(super) fn create(db: &Connection, name: &str) -> rusqlite::Result<()> {
    db.execute("INSERT INTO tagging_keys (name, active, indexed) VALUES (?1, 1, 1)", [name])?;
    create_index(db, name)
}

/// Creates the index of a key: by its value, and then by time, in which pages of requests are read.
fn create_index(db: &Connection, name: &str) -> rusqlite::Result<()> {
    if is_path(db, name) {
        let (index, tag) = (index_name(name), indexed_tag(name));
        db.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS {index} ON tagging_events ({tag}, requested_at, id) WHERE {tag} IS NOT NULL"
        ))?;
    }
    Ok(())
}

/// Returns the active keys that have an index, and whose tags are in `indexed_metadata` of all rows.
pub(super) fn indexed(db: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut select = db.prepare_cached("SELECT name FROM tagging_keys WHERE active AND indexed")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?;
    let names: BTreeSet<String> = names.collect::<rusqlite::Result<_>>()?;
    Ok(names.into_iter().filter(|name| is_path(db, name)).collect())
}

/// Updates `indexed_metadata` in some of the rows after `done`, and returns the last one.
fn update_rows(step: &Transaction<'_>, done: i64, last: i64) -> rusqlite::Result<i64> {
    let active = active(step)?;
    let mut select = step.prepare_cached(
        "SELECT rowid, raw_metadata, indexed_metadata FROM tagging_events
         WHERE rowid > ?1 AND rowid <= ?2 ORDER BY rowid LIMIT ?3",
    )?;
    let mut rows = select.query(params![done, last, STEP_ROWS])?;
    let mut done = done;
    let mut count = 0;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        count += 1;
        done = row.get(0)?;
        // Rows without a JSON object were not written by this crate.
        let raw = row.get_ref(1)?.as_str().unwrap_or_default();
        let Ok(metadata) = serde_json::from_str::<Metadata>(raw) else { continue };
        let indexed = active.indexed(&metadata).and_then(|indexed| serde_json::to_string(&indexed).ok());
        if indexed.as_deref() != row.get_ref(2)?.as_str_or_null().unwrap_or_default() {
            changes.push((done, indexed));
        }
    }
    let mut update = step.prepare_cached("UPDATE tagging_events SET indexed_metadata = ?2 WHERE rowid = ?1")?;
    for (rowid, indexed) in changes {
        update.execute(params![rowid, indexed])?;
    }
    Ok(if count < STEP_ROWS { last } else { done })
}

/// Returns whether SQLite reads this text after `->>` as a key.
///
/// It reads some texts as paths or refuses them, and an index with such a text would refuse all rows.
fn is_path(db: &Connection, name: &str) -> bool {
    let found = db.query_row("SELECT json_object(?1, 'it') ->> ?1 IS 'it'", [name], |row| row.get(0));
    found.unwrap_or(false)
}

/// Returns the name of the index of a key. It contains no text of the key.
fn index_name(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("tagging_events_key_{first:016x}")
}
