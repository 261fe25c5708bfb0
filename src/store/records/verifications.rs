//! The verifications of sums.

use std::time::SystemTime;

use uuid::Uuid;

use crate::store::{StoreError, Verification};

use super::{MAX_VERIFICATIONS, RecordRow, RecordSession, RecordValue};

const COLUMNS: &str = "verified_at, first_micros, end_micros, differences, details, is_rebuild";

/// Adds a verification. It replaces the earlier ones whose range it covers.
pub(crate) async fn add_verification(
    session: &mut impl RecordSession,
    verification: &Verification,
) -> Result<(), StoreError> {
    let range = [RecordValue::time(verification.from), RecordValue::time(verification.to)];
    let sql = "DELETE FROM tagging_verifications WHERE first_micros >= ?1 AND end_micros <= ?2";
    session.write_record(sql, range.to_vec()).await?;
    let [from, to] = range;
    let sql = format!("INSERT INTO tagging_verifications (id, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    let values = vec![
        RecordValue::id(Uuid::now_v7()),
        RecordValue::time(verification.time),
        from,
        to,
        RecordValue::number(verification.differences),
        RecordValue::text(&verification.details),
        RecordValue::number(verification.is_rebuild.into()),
    ];
    session.write_record(&sql, values).await?;
    let sql = "DELETE FROM tagging_verifications WHERE id <= (
                   SELECT id FROM tagging_verifications ORDER BY id DESC LIMIT 1 OFFSET ?1)";
    session.write_record(sql, vec![RecordValue::size(MAX_VERIFICATIONS)]).await?;
    Ok(())
}

/// Removes the days before a time from verifications with differences.
pub(crate) async fn expire_differences(session: &mut impl RecordSession, before: SystemTime) -> Result<(), StoreError> {
    let before = || vec![RecordValue::time(before)];
    let sql = "DELETE FROM tagging_verifications WHERE differences > 0 AND end_micros <= ?1";
    session.write_record(sql, before()).await?;
    let sql = "UPDATE tagging_verifications SET first_micros = ?1 WHERE differences > 0 AND first_micros < ?1";
    session.write_record(sql, before()).await.map(drop)
}

/// Returns the newest verifications.
pub(crate) async fn verifications(
    session: &mut impl RecordSession,
    limit: usize,
) -> Result<Vec<Verification>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tagging_verifications ORDER BY id DESC LIMIT ?1");
    Ok(session.read_records(&sql, vec![RecordValue::size(limit)]).await?.iter().map(read).collect())
}

/// Returns the newest verification with differences, or else the newest one.
pub(crate) async fn last_verification(session: &mut impl RecordSession) -> Result<Option<Verification>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tagging_verifications
         ORDER BY CASE WHEN differences > 0 THEN 0 ELSE 1 END, id DESC LIMIT 1"
    );
    Ok(session.read_records(&sql, Vec::new()).await?.first().map(read))
}

fn read(row: &RecordRow) -> Verification {
    Verification {
        time: row.time(0),
        from: row.time(1),
        to: row.time(2),
        differences: row.number(3),
        details: row.text(4),
        is_rebuild: row.is_true(5),
    }
}
