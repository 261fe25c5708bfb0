//! Alerts, and the state of their delivery.

use std::time::{Duration, SystemTime};

use crate::store::{AlertRecord, StoreError};

use super::{RecordRow, RecordSession, RecordValue};

const COLUMNS: &str = "id, kind, subject, body, raised_at, attempts, next_attempt_at, lease_until, delivered_at";

/// Adds an alert. Returns `false` if there is one with the same id.
pub(crate) async fn raise_alert(session: &mut impl RecordSession, alert: &AlertRecord) -> Result<bool, StoreError> {
    let sql = format!(
        "INSERT INTO tagging_alerts ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING"
    );
    let values = vec![
        RecordValue::text(&alert.id),
        RecordValue::text(&alert.kind),
        RecordValue::text(&alert.subject),
        RecordValue::text(&alert.body),
        RecordValue::time(alert.raised_at),
        RecordValue::number(alert.attempts),
        RecordValue::time(alert.next_attempt_at),
        RecordValue::time(alert.lease_until),
        RecordValue::time(alert.delivered_at.unwrap_or(SystemTime::UNIX_EPOCH)),
    ];
    Ok(session.write_record(&sql, values).await? > 0)
}

/// Returns the time at which the latest alert about a subject was raised.
pub(crate) async fn last_alert(
    session: &mut impl RecordSession,
    subject: &str,
) -> Result<Option<SystemTime>, StoreError> {
    let sql = "SELECT COALESCE(MAX(raised_at), 0) FROM tagging_alerts WHERE subject = ?1";
    let rows = session.read_records(sql, vec![RecordValue::text(subject)]).await?;
    Ok(rows.first().map(|row| row.time(0)).filter(|time| *time > SystemTime::UNIX_EPOCH))
}

/// Leases alerts that are due, and returns them. Each is leased by one process at a time.
pub(crate) async fn claim_alerts(
    session: &mut impl RecordSession,
    now: SystemTime,
    lease: Duration,
    limit: usize,
) -> Result<Vec<AlertRecord>, StoreError> {
    // A process that waits for the row of another one checks the conditions again, so they are outside of the selection too.
    let sql = format!(
        "UPDATE tagging_alerts SET lease_until = ?2, attempts = attempts + 1
         WHERE delivered_at = 0 AND next_attempt_at <= ?1 AND lease_until <= ?1 AND id IN (
             SELECT id FROM tagging_alerts
             WHERE delivered_at = 0 AND next_attempt_at <= ?1 AND lease_until <= ?1
             ORDER BY next_attempt_at, id LIMIT ?3)
         RETURNING {COLUMNS}"
    );
    let values = vec![RecordValue::time(now), RecordValue::time(now + lease), RecordValue::size(limit)];
    let mut alerts: Vec<AlertRecord> = session.read_records(&sql, values).await?.iter().map(read).collect();
    alerts.sort_by(|one, other| (one.next_attempt_at, &one.id).cmp(&(other.next_attempt_at, &other.id)));
    Ok(alerts)
}

/// Records that an alert was delivered.
pub(crate) async fn alert_delivered(
    session: &mut impl RecordSession,
    id: &str,
    time: SystemTime,
) -> Result<(), StoreError> {
    let sql = "UPDATE tagging_alerts SET delivered_at = ?2, lease_until = 0 WHERE id = ?1 AND delivered_at = 0";
    session.write_record(sql, vec![RecordValue::text(id), RecordValue::time(time)]).await.map(drop)
}

/// Ends the lease of an attempt that failed. Ignored if another process has leased the alert since.
pub(crate) async fn alert_failed(
    session: &mut impl RecordSession,
    id: &str,
    attempts: u64,
    next_attempt_at: SystemTime,
) -> Result<(), StoreError> {
    let sql = "UPDATE tagging_alerts SET next_attempt_at = ?3, lease_until = 0
               WHERE id = ?1 AND attempts = ?2 AND delivered_at = 0";
    let values = vec![RecordValue::text(id), RecordValue::number(attempts), RecordValue::time(next_attempt_at)];
    session.write_record(sql, values).await.map(drop)
}

/// Returns the newest alerts.
pub(crate) async fn alerts(session: &mut impl RecordSession, limit: usize) -> Result<Vec<AlertRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tagging_alerts ORDER BY raised_at DESC, id DESC LIMIT ?1");
    Ok(session.read_records(&sql, vec![RecordValue::size(limit)]).await?.iter().map(read).collect())
}

/// Deletes the alerts that were raised before a time.
pub(crate) async fn prune_alerts(session: &mut impl RecordSession, before: SystemTime) -> Result<u64, StoreError> {
    session.write_record("DELETE FROM tagging_alerts WHERE raised_at < ?1", vec![RecordValue::time(before)]).await
}

fn read(row: &RecordRow) -> AlertRecord {
    AlertRecord {
        id: row.text(0),
        kind: row.text(1),
        subject: row.text(2),
        body: row.text(3),
        raised_at: row.time(4),
        attempts: row.number(5),
        next_attempt_at: row.time(6),
        lease_until: row.time(7),
        delivered_at: Some(row.time(8)).filter(|time| *time > SystemTime::UNIX_EPOCH),
    }
}
