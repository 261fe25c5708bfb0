use crate::row::Filter;

use super::TimeRange;

/// A question for single requests, the newest first.
///
/// [`Analytics::rows`](crate::analytics::Analytics::rows) answers it, page by page.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RowQuery {
    /// The time of the requests.
    pub range: TimeRange,
    /// Conditions that all requests meet.
    pub filters: Vec<Filter>,
    /// `true` to return the oldest requests first.
    pub is_oldest_first: bool,
    /// The maximum number of requests of a page.
    pub limit: u32,
    /// The [`next`](crate::analytics::Page::next) of the previous page.
    pub cursor: Option<String>,
}

impl RowQuery {
    /// The default number of requests of a page.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// The largest number of requests of a page.
    pub const MAX_LIMIT: u32 = 5_000;

    /// Creates a query for the requests of a range, the newest first.
    pub fn new(range: TimeRange) -> Self {
        Self { range, filters: Vec::new(), is_oldest_first: false, limit: Self::DEFAULT_LIMIT, cursor: None }
    }

    /// Adds a condition.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Returns the oldest requests first.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.is_oldest_first = true;
        self
    }

    /// Sets the maximum number of requests of a page, at most [`MAX_LIMIT`](Self::MAX_LIMIT).
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Continues after the last request of a page.
    #[must_use]
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}
