//! All requests of a query, page by page.

use jiff::Timestamp;

use crate::{registry::Permission, row::EventRow};

use super::{Analytics, Grant, Page, QueryError, RowQuery, row_cursor::RowCursor};

/// A source of pages of requests.
pub(crate) trait RowSource: Send + 'static {
    /// Returns a page of requests.
    fn page(&self, query: &RowQuery) -> impl Future<Output = Result<Page, QueryError>> + Send;
}

/// The requests of a store that a grant covers.
#[derive(Clone, Debug)]
pub(crate) struct GrantedRows {
    pub(crate) analytics: Analytics,
    pub(crate) grant: Grant,
    /// The permission that the purpose of the reader needs.
    pub(crate) permission: Permission,
}

impl RowSource for GrantedRows {
    async fn page(&self, query: &RowQuery) -> Result<Page, QueryError> {
        self.analytics.rows_with(self.permission, query, &self.grant).await
    }
}

/// Reads the requests of a query with bounded memory, the oldest first.
#[derive(Debug)]
pub(crate) struct RowPages<S = GrantedRows> {
    source: S,
    /// `None` after the last page.
    next: Option<RowQuery>,
}

impl RowPages {
    /// Creates a reader of the requests that a grant covers, for a purpose that needs a permission. The order and the page
    /// size of the query are ignored.
    pub(crate) fn new(analytics: &Analytics, query: &RowQuery, grant: &Grant, permission: Permission) -> Self {
        Self::of(GrantedRows { analytics: analytics.clone(), grant: grant.clone(), permission }, query)
    }
}

impl<S: RowSource> RowPages<S> {
    /// Creates a reader of the requests of a source. The order and the page size of the query are ignored.
    pub(crate) fn of(source: S, query: &RowQuery) -> Self {
        Self { source, next: Some(query.clone().oldest_first().limit(RowQuery::MAX_LIMIT)) }
    }

    /// Sets the number of requests that are in memory at a time. The default is [`RowQuery::MAX_LIMIT`].
    pub(crate) fn page_size(mut self, rows: u32) -> Self {
        self.next = self.next.map(|query| query.limit(rows));
        self
    }

    /// Reads the newest requests first.
    pub(crate) fn newest_first(mut self) -> Self {
        self.next.iter_mut().for_each(|query| query.is_oldest_first = false);
        self
    }

    /// Returns the requests of the next page, which may be none. `None` after the last page.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<EventRow>>, QueryError> {
        let Some(query) = self.next.take() else { return Ok(None) };
        let page = self.source.page(&query).await?;
        self.next = page.next.map(|cursor| query.cursor(cursor));
        Ok(Some(page.rows))
    }

    /// Returns `true` if there may be more requests.
    pub(crate) fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// Returns the time of the last request that was read. `None` before the first page and after the last one.
    pub(crate) fn place(&self) -> Option<Timestamp> {
        let cursor = RowCursor::parse(self.next.as_ref()?.cursor.as_deref()?).ok()?;
        Timestamp::from_microsecond(i64::try_from(cursor.micros).ok()?).ok()
    }
}
