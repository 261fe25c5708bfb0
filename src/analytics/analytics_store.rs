use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::jobs::{Explain, Job, Rows, Run};
use crate::{
    event::Event,
    registry::Permission,
    row::{EventRow, Filter},
    sink::BatchWriter,
    store::{KeyInfo, MemoryStore, StoreError},
};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::{store::rollup::RowRead, time::LAST_MICRO};

use super::{
    AnalyticsSource, Answer, Explanation, Grant, Page, Query, QueryError, RowQuery,
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
    /// The time after which the database gives up on a read.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        allow(dead_code, reason = "reads of memory have no limit")
    )]
    statement_timeout: Duration,
    /// Who makes the changes of this handle. `None` is the application.
    pub(super) author: Option<Arc<str>>,
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
    /// The default time after which the database gives up on a read.
    pub const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

    /// Creates analytics over a [`MemoryStore`], an `SqliteStore`, or a `PostgresStore`.
    pub fn new(store: impl Into<AnalyticsSource>) -> Self {
        let limits = RowLimits { rows: Self::DEFAULT_ROW_LIMIT, time: Self::DEFAULT_TIME_LIMIT };
        Self { source: store.into().0, limits, statement_timeout: Self::DEFAULT_STATEMENT_TIMEOUT, author: None }
    }

    /// Sets the maximum number of rows that a query reads one by one, and the maximum time that this takes.
    ///
    /// An answer that reaches a limit begins later than its range, and its [basis](Answer::basis) reports it.
    #[must_use]
    pub fn row_limits(mut self, rows: u64, time: Duration) -> Self {
        self.limits = RowLimits { rows, time };
        self
    }

    /// Sets the time after which the database gives up on a read: Postgres on a statement, SQLite on a whole query. The query
    /// then fails with [`QueryError::TimedOut`].
    ///
    /// Reading rows takes at most three fifths of it, also if their [limit](Self::row_limits) is higher, so that an answer
    /// begins later rather than never. Maintenance has other limits.
    #[must_use]
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = limit;
        self.limits.time = self.limits.time.min(limit * 3 / 5);
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

    /// Returns the time from which no rows were deleted.
    #[cfg(feature = "limit")]
    pub(crate) async fn rows_from(&self) -> Result<std::time::SystemTime, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.rows_from()),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => {
                let micros = self.execute(super::jobs::RowsFrom).await?;
                Ok(std::time::UNIX_EPOCH + Duration::from_micros(micros))
            }
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
                let timeout = Some(self.statement_timeout).filter(|_| !J::IS_MAINTENANCE);
                blocking(move || {
                    let mut session = store.session(timeout)?;
                    // The futures of this session never wait.
                    let result = crate::sync::poll_once(job.run(&mut session));
                    result.unwrap_or_else(|| Err(QueryError::invalid("the session of SQLite waits")))
                })
                .await
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => {
                let session = if J::IS_MAINTENANCE {
                    store.maintenance_session().await
                } else {
                    store.session(self.statement_timeout).await
                };
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
