use std::{sync::Arc, time::Duration};

use crate::{
    analytics::{
        Amount, Analytics, Answer, Grant, KeyInfo, Measure, Page, Query, QueryError, RowQuery, SavedView, TimeRange,
        TraceView, Verification, jiff::Timestamp,
    },
    dashboard::page_error::PageError,
    registry::Permission,
};

use super::{load_counts::LoadCounts, single_flight::SingleFlight, slots::Slots};

/// The largest number of groups of an answer.
const MAX_GROUPS: u32 = 200;
/// The largest number of points of a series.
const MAX_BUCKETS: usize = 1_000;

/// Runs the queries of pages: at most two at a time, and equal ones together.
#[derive(Debug, Default)]
pub(crate) struct QueryLoad {
    slots: Slots,
    sums: SingleFlight<(Query, Grant), Answer>,
    rows: SingleFlight<(RowQuery, Grant), Page>,
    traces: SingleFlight<TraceKey, TraceView>,
    keys: SingleFlight<(), Vec<KeyInfo>>,
    starts: SingleFlight<(TimeRange, Grant), Option<Timestamp>>,
    records: SingleFlight<(Grant, Option<String>, usize), PageRecords>,
    latest: SingleFlight<(RowQuery, Grant), Option<Timestamp>>,
}

/// The first saved views of a caller, and the last verification of sums.
pub(crate) type PageRecords = (Vec<SavedView>, Option<Verification>);

/// The largest numbers of requests that are read to find the first one, and the time that this may take.
const START_ROWS: u64 = 20_000;
const START_TIME: Duration = Duration::from_secs(1);
/// The seconds of a quarter hour.
const QUARTER: i64 = 900;

/// The requests of a trace, or with a tag.
#[derive(Clone, Debug, PartialEq)]
struct TraceKey {
    /// `None` for the id of a trace.
    tag: Option<String>,
    value: String,
    range: TimeRange,
    grant: Grant,
}

impl QueryLoad {
    /// The largest number of groups of an answer.
    pub(crate) const MAX_GROUPS: u32 = MAX_GROUPS;

    /// Answers a query.
    ///
    /// # Errors
    /// Returns an error if the series has more than 1,000 points, and otherwise as [`Analytics::run`].
    pub(crate) async fn run(&self, analytics: &Analytics, query: &Query, grant: &Grant) -> Result<Answer, PageError> {
        let mut query = query.clone();
        query.limit = query.limit.min(MAX_GROUPS);
        if let Some(bucket) = query.bucket
            && query.range.buckets(bucket)?.len() > MAX_BUCKETS
        {
            let message = format!(
                "the range has more than {MAX_BUCKETS} buckets of a {bucket}: use a wider bucket or a shorter range"
            );
            return Err(PageError::invalid(message));
        }
        let (analytics, key) = (analytics.clone(), (query, grant.clone()));
        let work = {
            let (query, grant) = key.clone();
            async move { analytics.run(&query, &grant).await }
        };
        self.slots.ask();
        self.sums.run(key, &self.slots, work).await.map(Arc::unwrap_or_clone)
    }

    /// Returns a page of requests.
    ///
    /// # Errors
    /// As [`Analytics::rows`].
    pub(crate) async fn rows(&self, analytics: &Analytics, query: RowQuery, grant: &Grant) -> Result<Page, PageError> {
        let (analytics, key) = (analytics.clone(), (query, grant.clone()));
        let work = {
            let (query, grant) = key.clone();
            async move { analytics.rows(&query, &grant).await }
        };
        self.slots.ask();
        self.rows.run(key, &self.slots, work).await.map(Arc::unwrap_or_clone)
    }

    /// Returns the requests of a trace, or with the value of a tag.
    ///
    /// # Errors
    /// As [`TraceView::of_tag`].
    pub(crate) async fn trace(
        &self,
        analytics: &Analytics,
        tag: Option<&str>,
        value: &str,
        range: TimeRange,
        grant: &Grant,
    ) -> Result<Arc<TraceView>, PageError> {
        let key = TraceKey { tag: tag.map(str::to_owned), value: value.to_owned(), range, grant: grant.clone() };
        let (analytics, asked) = (analytics.clone(), key.clone());
        let work = async move {
            let TraceKey { tag, value, range, grant } = asked;
            match tag {
                Some(tag) => TraceView::of_tag(&analytics, &tag, value, range, &grant).await,
                None => TraceView::of_trace(&analytics, value, range, &grant).await,
            }
        };
        self.slots.ask();
        self.traces.run(key, &self.slots, work).await
    }

    /// Returns the keys of tags.
    ///
    /// # Errors
    /// As [`Analytics::keys`].
    pub(crate) async fn keys(&self, analytics: &Analytics) -> Result<Vec<KeyInfo>, PageError> {
        let analytics = analytics.clone();
        self.slots.ask();
        let keys = self.keys.run((), &self.slots, async move { analytics.keys().await }).await?;
        Ok(Arc::unwrap_or_clone(keys))
    }

    /// Returns a time before the range if there are requests before it, or else the time of the first request before the end
    /// of the range.
    ///
    /// # Errors
    /// As [`Analytics::run`].
    pub(crate) async fn history_start(
        &self,
        analytics: &Analytics,
        range: TimeRange,
        grant: &Grant,
    ) -> Result<Option<Timestamp>, PageError> {
        let (analytics, key) = (analytics.clone(), (range, grant.clone()));
        let work = {
            let (range, grant) = key.clone();
            async move { first_request(&analytics, &range, &grant).await }
        };
        self.slots.ask();
        self.starts.run(key, &self.slots, work).await.map(|start| *start)
    }

    /// Returns the first saved views of a caller, its own ones first, and the last verification of sums.
    ///
    /// # Errors
    /// As [`Analytics::saved_views`].
    pub(crate) async fn records(
        &self,
        analytics: &Analytics,
        caller: Option<&str>,
        grant: &Grant,
        limit: usize,
    ) -> Result<Arc<PageRecords>, PageError> {
        let analytics = analytics.authored_by(caller.unwrap_or_default());
        let work = {
            let grant = grant.clone();
            async move { analytics.page_records(&grant, limit).await }
        };
        self.slots.ask();
        self.records.run((grant.clone(), caller.map(str::to_owned), limit), &self.slots, work).await
    }

    /// Returns the time of the latest request that meets the conditions of a query. `None` if there is none, or if it was not
    /// found in a short time.
    ///
    /// # Errors
    /// As [`Analytics::run`].
    pub(crate) async fn latest(
        &self,
        analytics: &Analytics,
        query: RowQuery,
        grant: &Grant,
    ) -> Result<Option<Timestamp>, PageError> {
        let (analytics, key) = (analytics.clone(), (query, grant.clone()));
        let work = {
            let (query, grant) = key.clone();
            async move { latest_request(&analytics, &query, &grant).await }
        };
        self.slots.ask();
        self.latest.run(key, &self.slots, work).await.map(|time| *time)
    }

    /// Returns the numbers of queries since the process started.
    pub(crate) fn counts(&self) -> LoadCounts {
        self.slots.counts()
    }
}

/// Looks for the latest request of a query, with few resources, because this only decides where a link leads.
async fn latest_request(
    analytics: &Analytics,
    query: &RowQuery,
    grant: &Grant,
) -> Result<Option<Timestamp>, QueryError> {
    let quick = analytics.clone().row_limits(START_ROWS, START_TIME);
    let page = quick.rows_with(Permission::AnalyticsView, query, grant).await?;
    if let Some(row) = page.rows.first() {
        return Ok(Timestamp::try_from(row.requested_at).ok());
    }
    // Sums outlive their rows.
    let end = query.range.to().as_second().div_euclid(QUARTER) * QUARTER;
    let Ok(range) = TimeRange::new(query.range.from(), Timestamp::from_second(end).unwrap_or(query.range.to())) else {
        return Ok(None);
    };
    let sums = query.filters.iter().cloned().fold(Query::new(range).measure(Measure::LastSeen), Query::filter);
    let answer = quick.run(&sums, grant).await?;
    Ok(match answer.total.values.first().copied().flatten() {
        Some(Amount::Time(time)) => Some(time),
        _ => None,
    })
}

/// Looks for requests before a range, with few resources, because this only decides whether periods are compared.
async fn first_request(
    analytics: &Analytics,
    range: &TimeRange,
    grant: &Grant,
) -> Result<Option<Timestamp>, QueryError> {
    let quick = analytics.clone().row_limits(START_ROWS, START_TIME);
    // Whole quarter hours have sums.
    let end = range.to().as_second().div_euclid(QUARTER) * QUARTER;
    let Ok(before) = TimeRange::new(Timestamp::UNIX_EPOCH, Timestamp::from_second(end).unwrap_or(range.to())) else {
        return Ok(None);
    };
    let mut oldest = RowQuery::new(before.clone()).limit(1);
    oldest.is_oldest_first = true;
    let page = quick.rows_with(Permission::AnalyticsView, &oldest, grant).await?;
    let oldest = page.rows.first().and_then(|row| Timestamp::try_from(row.requested_at).ok());
    if oldest.is_some_and(|oldest| oldest < range.from()) {
        return Ok(oldest);
    }
    // Sums outlive their rows.
    let answer = quick.run(&Query::new(before).measure(Measure::FirstSeen), grant).await?;
    match answer.total.values.first().copied().flatten() {
        // There are too many requests to look at.
        _ if !answer.basis.is_exact => Ok(Some(range.from())),
        Some(Amount::Time(time)) => Ok(Some(time)),
        _ => Ok(oldest),
    }
}
