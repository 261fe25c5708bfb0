use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use sha2::{Digest, Sha256};

use crate::metadata::Metadata;

use super::{
    super::{
        KeyInfo, StoreError,
        keys::{ActiveKeys, KeyCounts, MAX_KEYS, stored_key},
        row::indexed_metadata,
        sketch::Sketch,
    },
    STEP_ROWS, give_way, time_text,
};

pub(super) fn active(db: &Connection) -> rusqlite::Result<ActiveKeys> {
    let mut select = db.prepare_cached("SELECT name FROM llm_request_keys WHERE active")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?;
    names.collect()
}

pub(super) fn list(db: &Connection) -> Result<Vec<KeyInfo>, StoreError> {
    let mut select =
        db.prepare("SELECT name, active, requests, last_seen, sketch FROM llm_request_keys ORDER BY name")?;
    let keys = select.query_map([], |row| {
        let last_seen: Option<String> = row.get(3)?;
        Ok(KeyInfo {
            name: row.get(0)?,
            is_active: row.get(1)?,
            requests: row.get::<_, i64>(2)?.unsigned_abs(),
            last_seen: last_seen.and_then(|text| humantime::parse_rfc3339(&text).ok()),
            distinct_values: Sketch::from_bytes(&row.get::<_, Vec<u8>>(4)?).estimate(),
        })
    })?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Adds what was counted to the table.
pub(super) fn fold(transaction: &Transaction<'_>, counts: &KeyCounts) -> rusqlite::Result<()> {
    let mut select = transaction.prepare_cached("SELECT sketch FROM llm_request_keys WHERE name = ?1")?;
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO llm_request_keys (name, requests, last_seen, sketch) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET
             requests = requests + excluded.requests,
             last_seen = max(coalesce(last_seen, ''), excluded.last_seen),
             sketch = excluded.sketch",
    )?;
    let mut room: Option<i64> = None;
    for (name, count) in counts.iter() {
        let stored: Option<Vec<u8>> = select.query_row([name], |row| row.get(0)).optional()?;
        let mut sketch = Sketch::from_bytes(stored.as_deref().unwrap_or_default());
        if stored.is_none() {
            let left = if let Some(left) = room {
                left
            } else {
                let count = "SELECT ?1 - count(*) FROM llm_request_keys";
                transaction.query_row(count, [MAX_KEYS], |row| row.get(0))?
            };
            room = Some(left - 1);
            if left <= 0 {
                continue;
            }
        }
        sketch.merge(&count.sketch);
        upsert.execute(params![name, count.requests, time_text(count.last_seen), sketch.as_bytes()])?;
    }
    Ok(())
}

/// Flips a key, makes or drops its index, and brings `indexed_metadata` of all rows in line.
pub(super) fn set_active(db: &mut Connection, name: &str, is_active: bool) -> Result<(), StoreError> {
    let name = stored_key(name)?;
    let flip = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    flip.execute(
        "INSERT INTO llm_request_keys (name, active) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET active = ?2",
        params![name, is_active],
    )?;
    let index = index_name(&name);
    if !is_active {
        flip.execute_batch(&format!("DROP INDEX IF EXISTS {index}"))?;
    } else if is_path(&flip, &name) {
        let tag = format!("indexed_metadata ->> '{}'", name.replace('\'', "''"));
        flip.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS {index} ON llm_requests ({tag}) WHERE {tag} IS NOT NULL"
        ))?;
    }
    // What is stored from now on is right already.
    let last: Option<i64> = flip.query_row("SELECT max(rowid) FROM llm_requests", [], |row| row.get(0))?;
    flip.commit()?;
    let mut done = i64::MIN;
    while done < last.unwrap_or(i64::MIN) {
        let start = Instant::now();
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        done = index_rows(&step, done, last.unwrap_or(i64::MIN))?;
        step.commit()?;
        give_way(start);
    }
    Ok(())
}

/// Brings `indexed_metadata` in line with the active keys, in some of the rows after `done`, and gives the last of them.
fn index_rows(step: &Transaction<'_>, done: i64, last: i64) -> Result<i64, StoreError> {
    let active = active(step)?;
    let mut select = step.prepare_cached(
        "SELECT rowid, raw_metadata, indexed_metadata FROM llm_requests
         WHERE rowid > ?1 AND rowid <= ?2 ORDER BY rowid LIMIT ?3",
    )?;
    let mut update = step.prepare_cached("UPDATE llm_requests SET indexed_metadata = ?2 WHERE rowid = ?1")?;
    let mut done = done;
    let mut rows = select.query(params![done, last, STEP_ROWS])?;
    let mut changes = Vec::new();
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        done = row.get(0)?;
        // What is no JSON object was not written by us.
        let Ok(metadata) = serde_json::from_str::<Metadata>(row.get_ref(1)?.as_str().unwrap_or_default()) else {
            continue;
        };
        let indexed = indexed_metadata(&metadata, &active);
        if indexed.as_deref() != row.get_ref(2)?.as_str_or_null().unwrap_or_default() {
            changes.push((done, indexed));
        }
    }
    for (rowid, indexed) in changes {
        update.execute(params![rowid, indexed])?;
    }
    Ok(if count < STEP_ROWS { last } else { done })
}

/// Whether the key, after `->>`, means the key. SQLite reads some texts there otherwise, or refuses them, and an index that
/// refuses a key would refuse every row.
fn is_path(db: &Connection, name: &str) -> bool {
    let found = db.query_row("SELECT json_object(?1, 'it') ->> ?1 IS 'it'", [name], |row| row.get(0));
    found.unwrap_or(false)
}

/// The name of a key's index: it holds no text of the key.
fn index_name(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("llm_requests_key_{first:016x}")
}
