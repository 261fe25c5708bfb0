use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use futures_util::TryStreamExt;

#[cfg(feature = "analytics")]
use crate::store::records::{RecordRow, RecordSession, RecordValue};
use crate::{
    row::{ColumnKind, EventRow, SCHEMA},
    store::{
        LatestFeedback, StoreError,
        conditions::{Conditions, Param},
        rollup::{
            FoundSums, Next, OnRow, RollupBatch, RollupSession, RollupState, RowRead, Subject, SumRead, Tier,
            Transaction,
        },
    },
    time::micros_since_1970,
};
#[cfg(feature = "analytics")]
use tokio_postgres::{Column, Error, Row, types::Type};
use tokio_postgres::{error::SqlState, types::ToSql};

use super::{
    dialect::PostgresDialect,
    failure::Failure,
    feedback, keys,
    locks::ACTIVATION_LOCK,
    rollups,
    rows::value,
    server::Server,
    sessions::{PooledSession, Sessions},
};

/// The number of rows that are fetched at first: little more than a page, as the server looks for all of them.
const FIRST_ROWS: usize = 64;
/// The largest number of rows that are fetched at a time.
const MAX_ROWS: usize = 2_000;
/// The time after which the server gives up on a statement that changes sums.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A connection for reads and for changes of sums.
pub(crate) struct PostgresSession {
    server: Server,
    session: PooledSession,
    is_in_transaction: bool,
    /// The time after which the server gives up on a statement that reads.
    read_timeout: Duration,
}

impl PostgresSession {
    /// Returns an idle connection, or opens one. The server gives up on reads that take longer than the timeout.
    pub(super) async fn open(sessions: &Sessions, read_timeout: Duration) -> Result<Self, StoreError> {
        let server = sessions.server().clone();
        let session = sessions.get().await.map_err(|failure| failure.during("connect to", &server.name))?;
        Ok(Self { server, session, is_in_transaction: false, read_timeout })
    }

    /// Opens a connection of its own, which closes when the session is dropped.
    ///
    /// Work of minutes uses one, so that it takes no connection from queries.
    pub(super) async fn open_own(server: &Server) -> Result<Self, StoreError> {
        Self::open(&Sessions::new(server.clone()), CHANGE_TIMEOUT).await
    }

    fn read<T, E: Into<Failure>>(&self, result: Result<T, E>) -> Result<T, StoreError> {
        result.map_err(|error| match error.into() {
            Failure::Sql(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
                StoreError::TimedOut(self.read_timeout)
            }
            failure => failure.during("read from", &self.server.name),
        })
    }

    fn written<T, E: Into<Failure>>(&self, result: Result<T, E>) -> Result<T, StoreError> {
        result.map_err(|error| error.into().during("write sums to", &self.server.name))
    }

    async fn try_rows(&self, read: &RowRead, on_row: &mut OnRow<'_>) -> Result<(), Failure> {
        let dialect = PostgresDialect { indexed: keys::indexed(&self.session).await? };
        if Conditions::of_indexed_tags(&dialect, read).is_none() {
            return self.fetch_rows(&dialect, read, None, on_row).await.map(drop);
        }
        // The server does not know how frequent a tag is. Frequent ones are on some of the first rows, and rare ones are found
        // by their index. In between, more rows are read by time, since rows that are found by tags are scattered.
        let mut rest = read.clone();
        for (near_rows, few_rows) in Way::STEPS {
            let Some((near, far)) = self.split(&rest, near_rows).await? else { break };
            if self.fetch_rows(&dialect, &near, Some(Way::ByTime), on_row).await? == Next::Stop {
                return Ok(());
            }
            if self.are_few(&dialect, &far, few_rows).await? {
                return self.fetch_rows(&dialect, &far, Some(Way::ByTags), on_row).await.map(drop);
            }
            rest = far;
        }
        self.fetch_rows(&dialect, &rest, Some(Way::ByTime), on_row).await.map(drop)
    }

    /// Splits a range after a number of its first rows. `None` if there are fewer.
    async fn split(&self, read: &RowRead, rows: u32) -> Result<Option<(RowRead, RowRead)>, Failure> {
        let (mut from, mut to) = (read.from, read.to);
        match read.after {
            Some((micros, _)) if read.is_newest_first => to = to.min(micros.saturating_add(1)),
            Some((micros, _)) => from = from.max(micros),
            None => {}
        }
        let direction = if read.is_newest_first { "DESC" } else { "ASC" };
        let statement = format!(
            "SELECT requested_at FROM tagging_events WHERE requested_at >= $1 AND requested_at < $2
             ORDER BY requested_at {direction} OFFSET {rows} LIMIT 1"
        );
        let row = self.session.query_opt(&statement, &[&time_of(from), &time_of(to)]).await?;
        let Some(row) = row else { return Ok(None) };
        let edge = micros_since_1970(row.try_get(0)?);
        let (mut near, mut far) = (read.clone(), read.clone());
        if read.is_newest_first {
            (near.from, far.to) = (edge, edge);
        } else {
            (near.to, far.from) = (edge.saturating_add(1), edge.saturating_add(1));
        }
        Ok(Some((near, far)))
    }

    async fn fetch_rows(
        &self,
        dialect: &PostgresDialect,
        read: &RowRead,
        way: Option<Way>,
        on_row: &mut OnRow<'_>,
    ) -> Result<Next, Failure> {
        let mut conditions = Conditions::of_rows(dialect, read);
        if read.is_of_errors() {
            // For the index of errors.
            conditions.and("is_error");
        }
        let columns = read.columns.iter().filter_map(|at| SCHEMA.get(*at)).map(|column| match column.kind {
            ColumnKind::Json => format!("{}::text", column.name),
            _ => column.name.to_owned(),
        });
        // The rows are fetched in portions, so that reading can stop at any row.
        let declare = format!(
            "DECLARE tagging_rows NO SCROLL CURSOR FOR
             SELECT {} FROM tagging_events {} {}",
            columns.collect::<Vec<_>>().join(", "),
            conditions.clause(),
            read.order()
        );
        if let Some(way) = way {
            self.session.batch_execute(way.switch_on()).await?;
        }
        self.session.execute_raw(&declare, parameters(conditions)).await?;
        if way.is_some() {
            self.session.batch_execute(Way::SWITCH_OFF).await?;
        }
        let mut next = Next::Continue;
        let mut portion = FIRST_ROWS;
        while next == Next::Continue {
            let rows = self.session.query(&format!("FETCH FORWARD {portion} FROM tagging_rows"), &[]).await?;
            for row in &rows {
                let mut event = EventRow::blank();
                for (place, position) in read.columns.iter().enumerate() {
                    let Some(column) = SCHEMA.get(*position) else { continue };
                    event.set(*position, value(row, place, column.kind)?)?;
                }
                next = on_row(event);
                if next == Next::Stop {
                    break;
                }
            }
            if rows.len() < portion {
                break;
            }
            portion = (portion * 4).min(MAX_ROWS);
        }
        self.session.batch_execute("CLOSE tagging_rows").await?;
        Ok(next)
    }

    /// Returns `true` if at most a number of rows have the tags that are indexed.
    async fn are_few(&self, dialect: &PostgresDialect, read: &RowRead, few: u32) -> Result<bool, Failure> {
        let Some(tags) = Conditions::of_indexed_tags(dialect, read) else { return Ok(false) };
        let statement =
            format!("SELECT count(*) FROM (SELECT FROM tagging_events {} LIMIT {few} + 1) AS found", tags.clause());
        self.session.batch_execute(Way::ByTags.switch_on()).await?;
        let mut rows = pin!(self.session.query_raw(&statement, parameters(tags)).await?);
        let count: i64 = rows.try_next().await?.map_or(Ok(0), |row| row.try_get(0))?;
        self.session.batch_execute(Way::SWITCH_OFF).await?;
        Ok(count <= i64::from(few))
    }

    async fn row_time(&self, statement: &str, from: u64) -> Result<Option<u64>, Failure> {
        let row = self.session.query_one(statement, &[&time_of(from)]).await?;
        Ok(row.try_get::<_, Option<SystemTime>>(0)?.map(micros_since_1970))
    }
}

/// How the server finds the rows that have some tags.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Finds all rows by the index of tags, and sorts them.
    ByTags,
    /// Reads rows in the order of time until enough of them have the tags.
    ByTime,
}

impl Way {
    /// Numbers of rows to read by time, and then of rows with the tags that are few enough to be found by them.
    const STEPS: [(u32, u32); 2] = [(20_000, 5_000), (200_000, 50_000)];

    /// Returns the statements that make the server go this way, for the rest of the transaction.
    const fn switch_on(self) -> &'static str {
        match self {
            Self::ByTags => "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off",
            Self::ByTime => "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off",
        }
    }

    const SWITCH_OFF: &str = "SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_indexscan TO DEFAULT;
         SET LOCAL enable_bitmapscan TO DEFAULT";
}

fn parameters(conditions: Conditions) -> Vec<Box<dyn ToSql + Sync + Send>> {
    conditions.params.into_iter().map(parameter).collect()
}

#[cfg(feature = "analytics")]
fn borrowed(parameters: &[Box<dyn ToSql + Sync + Send>]) -> Vec<&(dyn ToSql + Sync)> {
    parameters.iter().map(|parameter| -> &(dyn ToSql + Sync) { &**parameter }).collect()
}

fn time_of(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

fn parameter(param: Param) -> Box<dyn ToSql + Sync + Send> {
    match param {
        Param::Text(text) => Box::new(text),
        Param::Texts(texts) => Box::new(texts),
        Param::BigInt(number) => Box::new(number),
        Param::Time(micros) => Box::new(time_of(micros)),
        Param::Id(id) => Box::new(id) as Box<dyn ToSql + Sync + Send>,
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        // The server rolls back, and the pool discards the connection.
        if self.is_in_transaction {
            self.session.close();
        }
    }
}

#[cfg(feature = "analytics")]
impl RecordSession for PostgresSession {
    async fn write_record(&mut self, sql: &str, values: Vec<RecordValue>) -> Result<u64, StoreError> {
        let values: Vec<_> = values.into_iter().map(recorded).collect();
        let changed = self.session.execute(&numbered(sql), &borrowed(&values)).await;
        changed.map_err(|error| Failure::from(error).during("write a record to", &self.server.name))
    }

    async fn read_records(&mut self, sql: &str, values: Vec<RecordValue>) -> Result<Vec<RecordRow>, StoreError> {
        let values: Vec<_> = values.into_iter().map(recorded).collect();
        let rows = self.session.query(&numbered(sql), &borrowed(&values)).await;
        let rows = rows.and_then(|rows| rows.iter().map(record).collect());
        self.read(rows)
    }
}

/// Returns a statement with parameters as Postgres has them.
#[cfg(feature = "analytics")]
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

#[cfg(feature = "analytics")]
fn recorded(value: RecordValue) -> Box<dyn ToSql + Sync + Send> {
    match value {
        RecordValue::Text(text) => Box::new(text),
        RecordValue::Number(number) => Box::new(number),
    }
}

#[cfg(feature = "analytics")]
fn record(row: &Row) -> Result<RecordRow, Error> {
    let cell = |at: usize| match row.columns().get(at).map(Column::type_) {
        Some(&Type::INT8) => row.try_get(at).map(RecordValue::Number),
        _ => row.try_get(at).map(RecordValue::Text),
    };
    (0..row.len()).map(cell).collect::<Result<_, _>>().map(RecordRow)
}

impl RollupSession for PostgresSession {
    async fn begin(&mut self, transaction: Transaction) -> Result<(), StoreError> {
        let statement = match transaction {
            Transaction::Snapshot => format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}",
                self.read_timeout.as_millis()
            ),
            // Writers hold this lock shared, from before they read the subjects until their rows are committed.
            Transaction::Exclusive => {
                format!(
                    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {};
                     SELECT pg_advisory_xact_lock({ACTIVATION_LOCK})",
                    CHANGE_TIMEOUT.as_millis()
                )
            }
        };
        self.is_in_transaction = true;
        self.read(self.session.batch_execute(&statement).await)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.written(self.session.batch_execute("COMMIT").await)?;
        self.is_in_transaction = false;
        Ok(())
    }

    async fn state(&mut self) -> Result<RollupState, StoreError> {
        self.read(rollups::state(&self.session).await)
    }

    async fn sums(&mut self, read: &SumRead) -> Result<Vec<FoundSums>, StoreError> {
        self.read(rollups::sums(&self.session, read).await)
    }

    async fn rows(&mut self, read: &RowRead, on_row: &mut OnRow<'_>) -> Result<(), StoreError> {
        self.read(self.try_rows(read, on_row).await)
    }

    async fn first_row(&mut self, from: u64) -> Result<Option<u64>, StoreError> {
        let statement = "SELECT min(requested_at) FROM tagging_events WHERE requested_at >= $1";
        self.read(self.row_time(statement, from).await)
    }

    async fn last_row(&mut self) -> Result<Option<u64>, StoreError> {
        let statement = "SELECT max(requested_at) FROM tagging_events WHERE requested_at >= $1";
        self.read(self.row_time(statement, 0).await)
    }

    async fn feedback(&mut self, workspaces: Option<&[String]>, limit: u64) -> Result<LatestFeedback, StoreError> {
        self.read(feedback::latest(&self.session, workspaces, limit).await)
    }

    async fn first_bucket(&mut self, subject: i32, tier: Tier, from: i64) -> Result<Option<i64>, StoreError> {
        self.read(rollups::first_bucket(&self.session, subject, tier, from).await)
    }

    async fn add(&mut self, batch: &RollupBatch) -> Result<(), StoreError> {
        self.written(rollups::add(&self.session, batch).await)
    }

    async fn save(&mut self, subject: &Subject) -> Result<(), StoreError> {
        self.written(rollups::save(&self.session, subject).await)
    }

    async fn forget(&mut self, subject: i32) -> Result<(), StoreError> {
        self.written(rollups::forget(&self.session, subject).await)
    }

    async fn remove(&mut self, subject: i32, tier: Tier, from: i64, to: i64) -> Result<(), StoreError> {
        self.written(rollups::remove(&self.session, subject, tier, from, to).await)
    }

    async fn fold(&mut self, subject: i32, finer: Tier, coarser: Tier, from: i64, to: i64) -> Result<(), StoreError> {
        self.written(rollups::fold(&self.session, subject, finer, coarser, from, to).await)
    }
}
