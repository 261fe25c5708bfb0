use std::time::SystemTime;

use tokio_postgres::{Client, Error};

use super::{locks::PARTITION_LOCK, server::Session};

/// Months that have a partition, and whose next month has one too.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    /// Start and end of each month.
    months: Vec<(SystemTime, SystemTime)>,
}

impl Partitions {
    /// Creates missing partitions for these times, and for the months after them.
    pub(super) async fn ensure(
        &mut self,
        session: &mut Session,
        times: impl Iterator<Item = SystemTime>,
    ) -> Result<(), Error> {
        for time in times {
            if !self.months.iter().any(|(from, to)| (*from..*to).contains(&time)) {
                let months = months(&session.client, time).await?;
                for month in &months {
                    create(session, month).await?;
                }
                self.months.extend(months.first().map(|month| (month.from, month.to)));
            }
        }
        Ok(())
    }
}

struct Month {
    from: SystemTime,
    to: SystemTime,
    /// Start and end for SQL.
    from_text: String,
    to_text: String,
    /// The name of the partition.
    name: String,
}

/// Returns the month of a time in UTC, and the next month.
async fn months(client: &Client, time: SystemTime) -> Result<Vec<Month>, Error> {
    let rows = client
        .query(
            "SELECT month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC',
                 to_char(month, 'YYYY-MM-DD'), to_char(month + interval '1 month', 'YYYY-MM-DD'),
                 'tagging_events_y' || to_char(month, 'YYYY') || 'm' || to_char(month, 'MM')
             FROM (VALUES (0), (1)) AS ahead (months),
                 LATERAL (SELECT date_trunc('month', $1::timestamptz AT TIME ZONE 'UTC') + ahead.months * interval '1 month')
                     AS at (month)
             ORDER BY month",
            &[&time],
        )
        .await?;
    let months = rows.iter().map(|row| {
        Ok(Month {
            from: row.try_get(0)?,
            to: row.try_get(1)?,
            from_text: row.try_get(2)?,
            to_text: row.try_get(3)?,
            name: row.try_get(4)?,
        })
    });
    months.collect()
}

/// Creates a partition if it is missing.
///
/// It is created as a table and then attached, so that readers and writers of the table do not wait.
async fn create(session: &mut Session, month: &Month) -> Result<(), Error> {
    let Month { name, from_text, to_text, .. } = month;
    let step = session.client.transaction().await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK]).await?;
    let found = step
        .query_one(
            "SELECT parent.relnamespace::regnamespace::text, part.oid IS NOT NULL, EXISTS (
                 SELECT FROM pg_inherits WHERE inhparent = parent.oid AND inhrelid = part.oid)
             FROM pg_class AS parent
             LEFT JOIN pg_class AS part ON part.relnamespace = parent.relnamespace AND part.relname = $1
             WHERE parent.oid = 'tagging_events'::regclass",
            &[name],
        )
        .await?;
    let schema: String = found.try_get(0)?;
    let (exists, is_attached): (bool, bool) = (found.try_get(1)?, found.try_get(2)?);
    if !exists {
        let like = "LIKE tagging_events INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE";
        step.batch_execute(&format!("CREATE TABLE {schema}.{name} ({like})")).await?;
    }
    if !is_attached {
        step.batch_execute(&format!(
            "ALTER TABLE tagging_events ATTACH PARTITION {schema}.{name}
             FOR VALUES FROM ('{from_text} 00:00:00+00') TO ('{to_text} 00:00:00+00')"
        ))
        .await?;
    }
    step.commit().await
}

/// Drops the partitions of the months that ended before `time`, and returns the number of their rows.
pub(super) async fn drop_before(session: &mut Session, time: SystemTime) -> Result<u64, Error> {
    let ended = session
        .query(
            r"SELECT part.oid::regclass::text
              FROM pg_inherits
              JOIN pg_class AS part ON part.oid = inhrelid
              CROSS JOIN LATERAL regexp_match(part.relname, '^tagging_events_y(\d+)m(\d\d)$') AS month
              WHERE inhparent = 'tagging_events'::regclass AND month IS NOT NULL
                  AND make_date(month[1]::int, month[2]::int, 1) + interval '1 month' <= $1::timestamptz AT TIME ZONE 'UTC'
              ORDER BY part.relname",
            &[&time],
        )
        .await?;
    let mut total = 0;
    for row in ended {
        let name: String = row.try_get(0)?;
        let count: i64 = session.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await?.try_get(0)?;
        let step = session.client.transaction().await?;
        // Writers wait while this waits for a long query, so it gives up early. The caller can call again.
        step.batch_execute(&format!("SET LOCAL lock_timeout = '3s'; DROP TABLE {name}")).await?;
        step.commit().await?;
        total += count.unsigned_abs();
    }
    Ok(total)
}

/// Returns whether the table has partitions, or `None` if there is no table.
pub(super) async fn is_partitioned(client: &Client) -> Result<Option<bool>, Error> {
    let statement = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('tagging_events')";
    client.query_opt(statement, &[]).await?.map(|row| row.try_get(0)).transpose()
}
