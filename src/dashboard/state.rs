use std::{fmt, sync::Arc};

use crate::{
    analytics::{
        Analytics, Answer, Grant, KeyInfo, Page, Query, RowQuery, TimeRange, TraceView,
        api::Access,
        jiff::{Timestamp, tz::TimeZone},
    },
    sink::{Delivery, SinkReport},
};

use super::{
    key_changes::KeyChanges,
    load::{PageRecords, QueryLoad},
    page_error::PageError,
    sign_in::{SignIn, Site},
};

/// What all pages need.
#[derive(Clone)]
pub(crate) struct DashboardState {
    pub(crate) analytics: Analytics,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) zone: TimeZone,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) load: Arc<QueryLoad>,
    pub(crate) key_changes: Arc<KeyChanges>,
    #[cfg(feature = "limit")]
    pub(crate) limiter: Option<crate::limit::Limiter>,
}

impl DashboardState {
    /// Answers a query, at most 200 groups and 1,000 points of a series.
    pub(crate) async fn run(&self, query: &Query, grant: &Grant) -> Result<Answer, PageError> {
        self.load.run(&self.analytics, query, grant).await
    }

    /// Returns a page of requests.
    pub(crate) async fn rows(&self, query: RowQuery, grant: &Grant) -> Result<Page, PageError> {
        self.load.rows(&self.analytics, query, grant).await
    }

    /// Returns the requests of a trace, or with the value of a tag.
    pub(crate) async fn trace(
        &self,
        tag: Option<&str>,
        value: &str,
        range: TimeRange,
        grant: &Grant,
    ) -> Result<Arc<TraceView>, PageError> {
        self.load.trace(&self.analytics, tag, value, range, grant).await
    }

    /// Returns the keys of tags.
    pub(crate) async fn keys(&self) -> Result<Vec<KeyInfo>, PageError> {
        self.load.keys(&self.analytics).await
    }

    /// Returns a time before the range if there are requests before it, or else the time of the first request before the end
    /// of the range.
    pub(crate) async fn history_start(&self, range: TimeRange, grant: &Grant) -> Result<Option<Timestamp>, PageError> {
        self.load.history_start(&self.analytics, range, grant).await
    }

    /// Returns the first saved views of a caller, its own ones first, and the last verification of sums.
    pub(crate) async fn records(
        &self,
        caller: Option<&str>,
        grant: &Grant,
        limit: usize,
    ) -> Result<Arc<PageRecords>, PageError> {
        self.load.records(&self.analytics, caller, grant, limit).await
    }

    /// Returns the time of the latest request that meets the conditions of a query. `None` if there is none, or if it was not
    /// found in a short time.
    pub(crate) async fn latest(&self, query: RowQuery, grant: &Grant) -> Result<Option<Timestamp>, PageError> {
        self.load.latest(&self.analytics, query, grant).await
    }

    /// Returns the handle whose changes are those of a caller.
    pub(crate) fn analytics_of(&self, caller: Option<&str>) -> Analytics {
        self.analytics.authored_by(caller.unwrap_or_default())
    }

    /// Returns where browsers see the dashboard.
    pub(crate) fn site(&self) -> Site {
        self.sign_in.as_ref().map(SignIn::site).unwrap_or_default()
    }

    /// Returns the lost and the accepted events: those of the sink that lost or accepted most, because each event goes to each
    /// sink.
    pub(crate) fn event_counts(&self) -> Option<(u64, u64)> {
        let report = self.delivery.as_ref()?.report();
        let most = |count: fn(&SinkReport) -> u64| report.sinks.iter().map(count).max().unwrap_or(0);
        Some((most(SinkReport::dropped), most(|sink| sink.accepted)))
    }
}

impl fmt::Debug for DashboardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashboardState").field("analytics", &self.analytics).finish_non_exhaustive()
    }
}
