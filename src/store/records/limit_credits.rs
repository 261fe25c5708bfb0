//! The credits of groups.

use crate::store::{LimitCreditRecord, StoreError};

use super::{RecordRow, RecordSession, RecordValue};

const COLUMNS: &str = "id, rule, series, slot, amount, created_at, created_by";

/// Adds a credit. Returns `false` if there is one with the same id.
pub(crate) async fn add_limit_credit(
    session: &mut impl RecordSession,
    credit: &LimitCreditRecord,
) -> Result<bool, StoreError> {
    let sql = format!(
        "INSERT INTO tagging_limit_credits ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING"
    );
    let values = vec![
        RecordValue::text(&credit.id),
        RecordValue::text(&credit.rule),
        RecordValue::text(&credit.series),
        RecordValue::signed(credit.slot),
        RecordValue::signed(credit.amount),
        RecordValue::time(credit.created_at),
        RecordValue::optional(credit.created_by.as_deref()),
    ];
    Ok(session.write_record(&sql, values).await? > 0)
}

/// Returns the newest credits in slots from one on.
pub(crate) async fn limit_credits(
    session: &mut impl RecordSession,
    from_slot: i64,
    limit: usize,
) -> Result<Vec<LimitCreditRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tagging_limit_credits WHERE slot >= ?1 ORDER BY created_at DESC, id DESC LIMIT ?2"
    );
    let values = vec![RecordValue::signed(from_slot), RecordValue::size(limit)];
    Ok(session.read_records(&sql, values).await?.iter().map(read).collect())
}

fn read(row: &RecordRow) -> LimitCreditRecord {
    LimitCreditRecord {
        id: row.text(0),
        rule: row.text(1),
        series: row.text(2),
        slot: row.signed(3),
        amount: row.signed(4),
        created_at: row.time(5),
        created_by: row.optional(6),
    }
}
