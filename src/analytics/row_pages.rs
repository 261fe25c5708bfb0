//! All requests of a query, page by page.

use crate::{registry::Permission, row::EventRow};

use super::{Analytics, Grant, QueryError, RowQuery};

/// Reads the requests of a query with bounded memory, the oldest first.
pub(crate) struct RowPages<'a> {
    analytics: &'a Analytics,
    grant: &'a Grant,
    permission: Permission,
    /// `None` after the last page.
    next: Option<RowQuery>,
}

impl<'a> RowPages<'a> {
    /// Creates a reader for a purpose that needs a permission. The order and the page size of the query are ignored.
    pub(crate) fn new(analytics: &'a Analytics, query: &RowQuery, grant: &'a Grant, permission: Permission) -> Self {
        let query = query.clone().oldest_first().limit(RowQuery::MAX_LIMIT);
        Self { analytics, grant, permission, next: Some(query) }
    }

    /// Returns the requests of the next page. `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<EventRow>>, QueryError> {
        let Some(query) = self.next.take() else { return Ok(None) };
        let page = self.analytics.rows_with(self.permission, &query, self.grant).await?;
        self.next = page.next.map(|cursor| query.cursor(cursor));
        Ok(Some(page.rows))
    }
}
