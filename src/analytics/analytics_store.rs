use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use uuid::Uuid;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::jobs::{Activate, Ensure, Explain, Job, Maintain, Rebuild, Rows, Run, Verify};
use crate::{
    event::Event,
    registry::Permission,
    row::{Dimension, EventRow, Filter},
    sink::BatchWriter,
    store::{KeyInfo, MemoryStore, StoreError},
};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::{
    store::rollup::{KeptFrom, RowRead},
    time::{LAST_MICRO, micros_since_1970},
};

use super::{
    AnalyticsSettings, AnalyticsSource, Answer, Explanation, Grant, Page, Query, QueryError, Retention, RowQuery,
    TimeRange,
    analytics_source::Source,
    execute::{Assembly, RowLimits, run_memory},
    row_cursor::RowCursor,
};

/// Answers queries about the requests in a store.
///
/// Cloning is cheap. The methods need a tokio runtime with time.
#[derive(Clone, Debug)]
pub struct Analytics {
    pub(super) source: Source,
    pub(super) limits: RowLimits,
}

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(clippy::unused_async, reason = "only databases wait")
)]
impl Analytics {
    /// The default number of rows that a query may read one by one.
    pub const DEFAULT_ROW_LIMIT: u64 = 1_000_000;
    /// The default time that reading rows may take.
    pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(5);

    /// Creates analytics over a [`MemoryStore`], an `SqliteStore`, or a `PostgresStore`.
    pub fn new(store: impl Into<AnalyticsSource>) -> Self {
        let limits = RowLimits { rows: Self::DEFAULT_ROW_LIMIT, time: Self::DEFAULT_TIME_LIMIT };
        Self { source: store.into().0, limits }
    }

    /// Sets the maximum number of rows that a query reads one by one, and the maximum time that this takes.
    ///
    /// An answer that reaches a limit begins later than its range, and its [basis](Answer::basis) reports it.
    #[must_use]
    pub fn row_limits(mut self, rows: u64, time: Duration) -> Self {
        self.limits = RowLimits { rows, time };
        self
    }

    /// Returns the maximum time that reading rows may take.
    pub(super) fn time_limit(&self) -> Duration {
        self.limits.time
    }

    /// Answers a query about the rows that the grant covers.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] if the grant does not include [`Permission::AnalyticsView`],
    /// [`QueryError::Invalid`] if the query is invalid, [`QueryError::TooLarge`] or [`QueryError::TimedOut`] if it exceeds a
    /// limit, and [`QueryError::Store`] if the store fails.
    pub async fn run(&self, query: &Query, grant: &Grant) -> Result<Answer, QueryError> {
        self.run_with(Permission::AnalyticsView, query, grant).await
    }

    /// Answers a query for a purpose that needs a permission.
    pub(crate) async fn run_with(
        &self,
        permission: Permission,
        query: &Query,
        grant: &Grant,
    ) -> Result<Answer, QueryError> {
        grant.require(permission)?;
        match &self.source {
            Source::Memory(store) => {
                let rows = store.latest(u32::MAX);
                run_memory(&Assembly::new(query, grant)?, &rows, store.all_feedback(), &query.range)
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(Run(query.clone(), grant.clone(), self.limits)).await,
        }
    }

    /// Returns the sums and rows that a query would read.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn explain(&self, query: &Query, grant: &Grant) -> Result<Explanation, QueryError> {
        grant.require(Permission::AnalyticsView)?;
        match &self.source {
            Source::Memory(_) => {
                Assembly::new(query, grant)?;
                Ok(Explanation::memory())
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(Explain(query.clone(), grant.clone(), self.limits)).await,
        }
    }

    /// Returns a page of the requests that the grant covers.
    ///
    /// If conditions on keys that are not active select few of many requests, a page may have fewer requests than its limit,
    /// or none, although there are more: it ends where the [limits](Self::row_limits) were reached, and its cursor continues
    /// there.
    ///
    /// # Errors
    /// As [`run`](Self::run), with [`Permission::LogsView`].
    pub async fn rows(&self, query: &RowQuery, grant: &Grant) -> Result<Page, QueryError> {
        self.rows_with(Permission::LogsView, query, grant).await
    }

    /// Returns a page of requests for a purpose that needs a permission.
    pub(crate) async fn rows_with(
        &self,
        permission: Permission,
        query: &RowQuery,
        grant: &Grant,
    ) -> Result<Page, QueryError> {
        grant.require(permission)?;
        let limit = usize::try_from(query.limit.clamp(1, RowQuery::MAX_LIMIT)).unwrap_or(usize::MAX);
        let after = query.cursor.as_deref().map(RowCursor::parse).transpose()?;
        let filters: Vec<Filter> = query.filters.iter().chain(grant.filters()).map(Filter::stored).collect();
        let (rows, last) = match &self.source {
            Source::Memory(store) => {
                let mut rows = memory_page(store, query, &filters, after, limit);
                let has_more = rows.len() > limit;
                rows.truncate(limit);
                let last = rows.last().filter(|_| has_more).map(RowCursor::of);
                (rows, last)
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => {
                let (from, to) = (micros(query.range.from()), micros(query.range.to()));
                let mut read = RowRead::whole(from, to, filters.clone());
                read.is_newest_first = !query.is_oldest_first;
                read.after = after.map(|cursor| (cursor.micros, cursor.id));
                let (rows, last) = self.execute(Rows { read, filters, limit, limits: self.limits }).await?;
                (rows, last.map(|(micros, id)| RowCursor { micros, id }))
            }
        };
        Ok(Page { rows, next: last.map(RowCursor::text) })
    }

    /// Returns a request by the id of its event. `None` if there is none that the grant covers.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] if the grant does not include [`Permission::LogsView`], and [`QueryError::Store`] if
    /// the store fails.
    pub async fn row(&self, id: Uuid, grant: &Grant) -> Result<Option<EventRow>, QueryError> {
        self.row_with(Permission::LogsView, id, grant).await
    }

    /// Returns a request by the id of its event, for a purpose that needs a permission.
    pub(crate) async fn row_with(
        &self,
        permission: Permission,
        id: Uuid,
        grant: &Grant,
    ) -> Result<Option<EventRow>, QueryError> {
        grant.require(permission)?;
        let row = match &self.source {
            Source::Memory(store) => store.event(id),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let store = store.clone();
                blocking(move || Ok(store.event(id)?)).await?
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => store.event(id).await?,
        };
        Ok(row.filter(|row| grant.covers(row)))
    }

    /// Writes events directly, such as those of other systems. Events that the store has are ignored.
    ///
    /// All of the events are stored, or none.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] if the grant does not include [`Permission::LogsWrite`] or does not cover one of the
    /// events, and [`QueryError::Store`] if the store fails.
    pub async fn write(&self, events: Vec<Arc<Event>>, grant: &Grant) -> Result<(), QueryError> {
        grant.require(Permission::LogsWrite)?;
        if !grant.covers_everything() && !events.iter().all(|event| grant.covers(&EventRow::from(&**event))) {
            return Err(QueryError::Forbidden("only requests that the grant covers may be written".to_owned()));
        }
        let mut writer: Box<dyn BatchWriter> = match &self.source {
            Source::Memory(store) => Box::new(store.writer()),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => Box::new(store.writer()),
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => Box::new(store.writer()),
        };
        let failed = |error| QueryError::Store(StoreError::database("write events to the store", error));
        blocking(move || writer.write(&events).map_err(failed)).await
    }

    /// Returns the keys of tags that were seen or activated, with their statistics.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.list_keys()),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let store = store.clone();
                blocking(move || Ok(store.list_keys()?)).await
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => Ok(store.list_keys().await?),
        }
    }

    /// Activates a key: it is indexed, and sums are kept by its values, unless these are [too many](super#sums).
    ///
    /// Stored requests are included before this returns. Until then, queries by the key read rows.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the key has more than 1,024 bytes, or if the store fails.
    pub async fn activate_key(&self, key: &str) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(store) => store.activate_key(key)?,
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let (store, key) = (store.clone(), key.to_owned());
                blocking(move || Ok(store.activate_key(&key)?)).await?;
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => store.activate_key(key).await?,
        }
        Ok(())
    }

    /// Deactivates a key. Its index and its sums are deleted, so queries by the key read rows.
    ///
    /// # Errors
    /// As [`activate_key`](Self::activate_key).
    pub async fn deactivate_key(&self, key: &str) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(store) => store.deactivate_key(key)?,
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let (store, key) = (store.clone(), key.to_owned());
                blocking(move || Ok(store.deactivate_key(&key)?)).await?;
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => store.deactivate_key(key).await?,
        }
        Ok(())
    }

    /// Activates the keys and pairs of the settings, and deactivates other keys.
    ///
    /// Other pairs stay active. Pass the retention of the settings to [`maintain`](Self::maintain).
    ///
    /// # Errors
    /// As [`activate_key`](Self::activate_key).
    pub async fn apply(&self, settings: &AnalyticsSettings) -> Result<(), QueryError> {
        let known = self.keys().await?;
        let wanted = settings.active_keys.clone();
        let wanted =
            wanted.unwrap_or_else(|| known.iter().filter(|key| key.is_active).map(|key| key.name.clone()).collect());
        for key in &wanted {
            // A process may have been killed between the steps of an activation.
            if !known.iter().any(|info| info.is_active && info.is_indexed && info.name == *key) {
                self.activate_key(key).await?;
            }
        }
        for key in known.iter().filter(|key| key.is_active && !wanted.contains(&key.name)) {
            self.deactivate_key(&key.name).await?;
        }
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        if !matches!(self.source, Source::Memory(_)) {
            let keys = wanted.iter().map(|key| vec![Dimension::tag(key).stored()]);
            let pairs = settings.pairs.iter().map(|(one, other)| vec![one.stored(), other.stored()]);
            self.execute(Ensure(keys.chain(pairs).collect())).await?;
        }
        Ok(())
    }

    /// Keeps sums by the pairs of values of two dimensions, such as the tenant of a grant and a feature.
    ///
    /// Queries that group or filter by both are then answered from sums, the fastest if they filter by the first one. The
    /// workspace needs no pair. Stored requests are included before this returns.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        allow(unused_variables, reason = "memory has no sums")
    )]
    pub async fn activate_pair(&self, one: Dimension, other: Dimension) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(_) => Ok(()),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(Activate(vec![one.stored(), other.stored()], true)).await,
        }
    }

    /// Deletes the sums by the pairs of values of two dimensions.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        allow(unused_variables, reason = "memory has no sums")
    )]
    pub async fn deactivate_pair(&self, one: Dimension, other: Dimension) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(_) => Ok(()),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(Activate(vec![one.stored(), other.stored()], false)).await,
        }
    }

    /// Folds the sums of past buckets into coarser ones, and deletes what is older than the retention.
    ///
    /// Call it about once per hour. Answers are the same without it, but slower.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn maintain(&self, now: SystemTime, retention: Retention) -> Result<(), QueryError> {
        let before = |age: Option<Duration>| age.and_then(|age| now.checked_sub(age));
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        if !matches!(self.source, Source::Memory(_)) {
            let before = |age| before(age).map(micros_since_1970);
            let keep = KeptFrom { hours: before(retention.hours), days: before(retention.days) };
            self.execute(Maintain(micros_since_1970(now), keep)).await?;
        }
        let Some(time) = before(retention.rows) else { return Ok(()) };
        match &self.source {
            Source::Memory(store) => _ = store.delete_before(time),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let store = store.clone();
                blocking(move || Ok(store.delete_before(time)?)).await?;
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => _ = store.delete_before(time).await?,
        }
        Ok(())
    }

    /// Compares the sums of a range with its rows, and returns each difference as a sentence.
    ///
    /// Sums are exact, so an empty list is expected. The range is extended to whole days in UTC.
    ///
    /// # Errors
    /// Returns [`StoreError::RowsDeleted`] if rows of the range were deleted, and [`QueryError::Store`] if the store fails.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        allow(unused_variables, reason = "memory has no sums")
    )]
    pub async fn verify(&self, range: &TimeRange) -> Result<Vec<String>, QueryError> {
        match &self.source {
            Source::Memory(_) => Ok(Vec::new()),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(Verify(micros(range.from()), micros(range.to()))).await,
        }
    }

    /// Computes the sums of a range from its rows again.
    ///
    /// The range is extended to whole days in UTC. A transaction, for which writers wait, has a day with many requests, or up to
    /// 64 days with few.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        allow(unused_variables, reason = "memory has no sums")
    )]
    pub async fn rebuild(&self, range: &TimeRange) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(_) => Ok(()),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(Rebuild(micros(range.from()), micros(range.to()))).await,
        }
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(super) async fn execute<J: Job>(&self, job: J) -> Result<J::Output, QueryError> {
        match &self.source {
            // The methods handle it.
            Source::Memory(_) => Err(QueryError::invalid("the memory store keeps no sums")),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let store = store.clone();
                blocking(move || {
                    let mut session = store.session()?;
                    // The futures of this session never wait.
                    let result = crate::sync::poll_once(job.run(&mut session));
                    result.unwrap_or_else(|| Err(QueryError::invalid("the session of SQLite waits")))
                })
                .await
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => {
                let session = if J::IS_MAINTENANCE { store.maintenance_session().await } else { store.session().await };
                job.run(&mut session?).await
            }
        }
    }
}

/// Runs work that blocks on its own thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(QueryError::Store(StoreError::database("read the store", error))),
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn micros(time: Timestamp) -> u64 {
    u64::try_from(time.as_microsecond()).unwrap_or(0).min(LAST_MICRO + 1)
}

fn memory_page(
    store: &MemoryStore,
    query: &RowQuery,
    filters: &[Filter],
    after: Option<RowCursor>,
    limit: usize,
) -> Vec<EventRow> {
    let mut rows = store.latest(u32::MAX);
    if query.is_oldest_first {
        rows.reverse();
    }
    let range = query.range.from()..query.range.to();
    rows.retain(|row| {
        let is_after = after.is_none_or(|after| {
            let place = RowCursor::of(row);
            if query.is_oldest_first { place > after } else { place < after }
        });
        is_after
            && Timestamp::try_from(row.requested_at).is_ok_and(|time| range.contains(&time))
            && filters.iter().all(|filter| filter.matches(row))
    });
    rows.truncate(limit + 1);
    rows
}
