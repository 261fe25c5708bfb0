use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

#[cfg(feature = "analytics")]
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, params, params_from_iter, types::Value as Stored};

#[cfg(feature = "analytics")]
use crate::store::records::{RecordRow, RecordSession, RecordValue};
use crate::{
    row::{Dimension, EventRow, Filter, SCHEMA},
    store::{
        LatestFeedback, StoreError,
        conditions::{Conditions, Param},
        rollup::{
            FoundSums, Next, OnRow, RollupBatch, RollupSession, RollupState, RowRead, Subject, SumRead, Tier,
            Transaction,
        },
    },
    sync::lock,
    time::{LAST_MICRO, micros_since_1970},
};

use super::{
    database_file::{DatabaseFile, time_text, yield_lock},
    dialect::{SqliteDialect, indexed_tag},
    feedback, keys, rollups,
    rows::{id_text, value},
};

/// The number of steps of SQLite's virtual machine between two looks at the clock.
const PROGRESS_STEPS: i32 = 100_000;
/// The numbers of rows up to which the conditions on tags are compared: first a few rows, then more if there are many of each.
const COMPARED_ROWS: [u32; 2] = [100, 10_000];

/// A connection for reads and for changes of sums. Its futures never wait, so the thread that polls them is blocked.
pub(crate) struct SqliteSession {
    file: DatabaseFile,
    db: Connection,
    /// The start of a transaction that changes sums.
    held_since: Option<Instant>,
    /// The start of a transaction that reads.
    reading_since: Arc<Mutex<Option<Instant>>>,
    /// The time after which a read is interrupted.
    read_timeout: Option<Duration>,
}

impl SqliteSession {
    /// Opens a connection. Reads that take longer than the timeout are interrupted.
    pub(super) fn open(file: &DatabaseFile, read_timeout: Option<Duration>) -> Result<Self, StoreError> {
        let mut db = file.connect().map_err(file.error("open"))?;
        let reading_since: Arc<Mutex<Option<Instant>>> = Arc::default();
        let since = Arc::clone(&reading_since);
        if let Some(limit) = read_timeout {
            let is_over = move || lock(&since).is_some_and(|since| since.elapsed() > limit);
            db.progress_handler(PROGRESS_STEPS, Some(is_over)).map_err(file.error("open"))?;
        }
        Ok(Self { file: file.clone(), db, held_since: None, reading_since, read_timeout })
    }

    fn try_rows(&self, read: &RowRead, on_row: &mut OnRow<'_>) -> rusqlite::Result<Result<(), StoreError>> {
        let indexed = keys::indexed(&self.db)?;
        let used = self.rarest_tag(&indexed, read)?;
        let dialect = SqliteDialect { indexed, used };
        let conditions = Conditions::of_rows(&dialect, read);
        let columns: Vec<&str> =
            read.columns.iter().filter_map(|at| SCHEMA.get(*at)).map(|column| column.name).collect();
        let mut select = self.db.prepare(&format!(
            "SELECT {} FROM tagging_events {} {}",
            columns.join(", "),
            conditions.clause(),
            read.order()
        ))?;
        let mut found = select.query(params_from_iter(conditions.params.iter().map(stored)))?;
        while let Some(row) = found.next()? {
            let mut event = EventRow::blank();
            for (place, position) in read.columns.iter().enumerate() {
                let Some(column) = SCHEMA.get(*position) else { continue };
                let found = row.get_ref(place)?;
                let Some(value) = value(column.kind, found) else {
                    let error = format!("column {} holds {found:?}", column.name);
                    return Ok(Err(StoreError::database(self.operation("read events from"), error)));
                };
                if let Err(error) = event.set(*position, value) {
                    return Ok(Err(StoreError::database(self.operation("read events from"), error)));
                }
            }
            if on_row(event) == Next::Stop {
                break;
            }
        }
        Ok(Ok(()))
    }

    /// Returns the key whose index finds the fewest rows. `None` if there is no choice, or if each index finds many.
    ///
    /// SQLite does not know how frequent a value is, so it would choose any of the indexes.
    fn rarest_tag(&self, indexed: &BTreeSet<String>, read: &RowRead) -> rusqlite::Result<Option<String>> {
        let tags = read.filters.iter().filter_map(|filter| match filter {
            Filter::In(Dimension::Tag(key), values) if indexed.contains(key) && values.len() == 1 => {
                Some((key, values.first()?))
            }
            _ => None,
        });
        let tags: Vec<(&String, &String)> = tags.collect();
        if tags.len() < 2 {
            return Ok(None);
        }
        for limit in COMPARED_ROWS {
            let mut rarest: Option<(u32, &String)> = None;
            for (key, value) in &tags {
                let mut count = self.db.prepare_cached(&format!(
                    "SELECT count(*) FROM (SELECT 1 FROM tagging_events
                     WHERE {} = ?1 AND requested_at >= ?2 AND requested_at < ?3 LIMIT ?4)",
                    indexed_tag(key)
                ))?;
                let range = (time_of(read.from), time_of(read.to));
                let found: u32 = count.query_row(params![value, range.0, range.1, limit], |row| row.get(0))?;
                if found < rarest.map_or(limit, |(least, _)| least) {
                    rarest = Some((found, key));
                }
            }
            if let Some((_, key)) = rarest {
                return Ok(Some(key.clone()));
            }
        }
        Ok(None)
    }

    #[cfg(feature = "analytics")]
    fn try_read_records(&self, sql: &str, values: Vec<RecordValue>) -> rusqlite::Result<Vec<RecordRow>> {
        let mut select = self.db.prepare_cached(sql)?;
        let columns = select.column_count();
        let rows = select.query_map(params_from_iter(values.into_iter().map(recorded)), |row| {
            let cell = |at| match row.get_ref(at)? {
                ValueRef::Integer(number) => Ok(RecordValue::Number(number)),
                other => Ok(RecordValue::Text(other.as_str()?.to_owned())),
            };
            (0..columns).map(cell).collect::<rusqlite::Result<_>>().map(RecordRow)
        })?;
        rows.collect()
    }

    fn operation(&self, operation: &str) -> String {
        format!("{operation} {}", self.file.path.display())
    }

    fn row_time(&self, sql: &str, from: u64) -> rusqlite::Result<Option<u64>> {
        let time: Option<String> = self.db.query_row(sql, [time_of(from)], |row| row.get(0))?;
        Ok(time.and_then(|text| humantime::parse_rfc3339(&text).ok()).map(micros_since_1970))
    }

    /// Adds the operation and the path to an error.
    fn reading<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => StoreError::TimedOut(self.read_timeout.unwrap_or_default()),
            _ => self.file.error("read sums from")(error),
        })
    }

    fn writing<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        result.map_err(self.file.error("write sums to"))
    }
}

fn time_of(micros: u64) -> String {
    // The year 10000 is the end of all ranges, and would sort before other years.
    if micros > LAST_MICRO {
        return "9999-12-31T23:59:60Z".to_owned();
    }
    time_text(std::time::SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
}

#[cfg(feature = "analytics")]
fn recorded(value: RecordValue) -> Stored {
    match value {
        RecordValue::Text(text) => text.into(),
        RecordValue::Number(number) => number.into(),
    }
}

fn stored(param: &Param) -> Stored {
    match param {
        Param::Text(text) => text.clone().into(),
        Param::Texts(texts) => serde_json::Value::from(texts.clone()).to_string().into(),
        Param::BigInt(number) => (*number).into(),
        Param::Time(micros) => time_of(*micros).into(),
        Param::Id(id) => id_text(*id, &mut uuid::Uuid::encode_buffer()).to_owned().into(),
    }
}

#[cfg(feature = "analytics")]
impl RecordSession for SqliteSession {
    async fn write_record(&mut self, sql: &str, values: Vec<RecordValue>) -> Result<u64, StoreError> {
        let changed = self.db.execute(sql, params_from_iter(values.into_iter().map(recorded)));
        changed.map(|changed| changed as u64).map_err(self.file.error("write a record to"))
    }

    async fn read_records(&mut self, sql: &str, values: Vec<RecordValue>) -> Result<Vec<RecordRow>, StoreError> {
        self.try_read_records(sql, values).map_err(self.file.error("read records from"))
    }
}

impl RollupSession for SqliteSession {
    async fn begin(&mut self, transaction: Transaction) -> Result<(), StoreError> {
        let statement = match transaction {
            Transaction::Snapshot => "BEGIN",
            Transaction::Exclusive => "BEGIN IMMEDIATE",
        };
        self.reading(self.db.execute_batch(statement))?;
        self.held_since = (transaction == Transaction::Exclusive).then(Instant::now);
        *lock(&self.reading_since) = (transaction == Transaction::Snapshot).then(Instant::now);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.writing(self.db.execute_batch("COMMIT"))?;
        *lock(&self.reading_since) = None;
        // Writers get their turn between the steps of a long change.
        if let Some(since) = self.held_since.take() {
            yield_lock(since);
        }
        Ok(())
    }

    async fn state(&mut self) -> Result<RollupState, StoreError> {
        self.reading(rollups::state(&self.db))
    }

    async fn sums(&mut self, read: &SumRead) -> Result<Vec<FoundSums>, StoreError> {
        self.reading(rollups::sums(&self.db, read))
    }

    async fn rows(&mut self, read: &RowRead, on_row: &mut OnRow<'_>) -> Result<(), StoreError> {
        self.reading(self.try_rows(read, on_row))?
    }

    async fn first_row(&mut self, from: u64) -> Result<Option<u64>, StoreError> {
        self.reading(self.row_time("SELECT min(requested_at) FROM tagging_events WHERE requested_at >= ?1", from))
    }

    async fn last_row(&mut self) -> Result<Option<u64>, StoreError> {
        self.reading(self.row_time("SELECT max(requested_at) FROM tagging_events WHERE requested_at >= ?1", 0))
    }

    async fn feedback(&mut self, workspaces: Option<&[String]>, limit: u64) -> Result<LatestFeedback, StoreError> {
        self.reading(feedback::latest(&self.db, workspaces, limit))
    }

    async fn first_bucket(&mut self, subject: i32, tier: Tier, from: i64) -> Result<Option<i64>, StoreError> {
        self.reading(rollups::first_bucket(&self.db, subject, tier, from))
    }

    async fn add(&mut self, batch: &RollupBatch) -> Result<(), StoreError> {
        self.writing(rollups::add(&self.db, batch))
    }

    async fn save(&mut self, subject: &Subject) -> Result<(), StoreError> {
        self.writing(rollups::save(&self.db, subject))
    }

    async fn forget(&mut self, subject: i32) -> Result<(), StoreError> {
        self.writing(rollups::forget(&self.db, subject))
    }

    async fn remove(&mut self, subject: i32, tier: Tier, from: i64, to: i64) -> Result<(), StoreError> {
        self.writing(rollups::remove(&self.db, subject, tier, from, to))
    }

    async fn fold(&mut self, subject: i32, finer: Tier, coarser: Tier, from: i64, to: i64) -> Result<(), StoreError> {
        self.writing(rollups::fold(&self.db, subject, finer, coarser, from, to))
    }
}
