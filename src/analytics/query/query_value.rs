use crate::row::{Dimension, Filter};

use super::{Bucket, Measure, Order, TimeRange};

/// A question about requests: sums over a range, by group and by time.
///
/// [`Analytics::run`](crate::analytics::Analytics::run) answers it.
///
/// ```
/// use tower_tagging::{
///     analytics::{Bucket, Filter, Measure, Query, TimeRange},
///     store::{Dimension, Field},
/// };
///
/// let june = TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "UTC")?;
/// let query = Query::new(june)
///     .filter(Filter::is(Dimension::tag("tenant_id"), "acme"))
///     .group_by(Dimension::tag("feature"))
///     .group_by(Field::Model)
///     .measure(Measure::Cost)
///     .measure(Measure::Requests)
///     .bucket(Bucket::Day);
/// # Ok::<(), tower_tagging::analytics::QueryError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// The time of the requests.
    pub range: TimeRange,
    /// Conditions that all requests meet.
    pub filters: Vec<Filter>,
    /// The dimensions of groups, at most three. Without any, the answer has only the total.
    pub group_by: Vec<Dimension>,
    /// The width of the points of time series. `None` returns no series.
    pub bucket: Option<Bucket>,
    /// The values to compute.
    pub measures: Vec<Measure>,
    /// The order of groups. `None` orders by the first measure, the largest first.
    pub order: Option<Order>,
    /// The maximum number of groups to return.
    pub limit: u32,
    /// The [`next`](crate::analytics::Answer::next) of the previous answer.
    pub cursor: Option<String>,
}

impl Query {
    /// The default number of groups.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// The largest number of groups of an answer.
    pub const MAX_LIMIT: u32 = 1_000;
    /// The largest number of dimensions.
    pub const MAX_GROUP_BY: usize = 3;

    /// Creates a query for a range.
    pub fn new(range: TimeRange) -> Self {
        Self {
            range,
            filters: Vec::new(),
            group_by: Vec::new(),
            bucket: None,
            measures: Vec::new(),
            order: None,
            limit: Self::DEFAULT_LIMIT,
            cursor: None,
        }
    }

    /// Adds a condition.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Adds a dimension of groups.
    #[must_use]
    pub fn group_by(mut self, dimension: impl Into<Dimension>) -> Self {
        self.group_by.push(dimension.into());
        self
    }

    /// Adds a value to compute.
    #[must_use]
    pub fn measure(mut self, measure: Measure) -> Self {
        self.measures.push(measure);
        self
    }

    /// Sets the width of the points of time series.
    #[must_use]
    pub fn bucket(mut self, bucket: Bucket) -> Self {
        self.bucket = Some(bucket);
        self
    }

    /// Sets the order of groups.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Sets the maximum number of groups, at most [`MAX_LIMIT`](Self::MAX_LIMIT).
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Continues after the groups of a previous answer.
    #[must_use]
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}
