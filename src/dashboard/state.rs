use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    analytics::{Analytics, Answer, Grant, Query, QueryError, api::Access, jiff::tz::TimeZone},
    sink::{Delivery, SinkReport},
};

use super::sign_in::SignIn;

/// The largest number of queries that pages run at a time.
pub(crate) const MAX_QUERIES: usize = 2;

/// What all pages need.
#[derive(Clone)]
pub(crate) struct DashboardState {
    pub(crate) analytics: Analytics,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) zone: TimeZone,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) running: Arc<Semaphore>,
}

impl DashboardState {
    /// Answers a query, after those that are already running.
    pub(crate) async fn run(&self, query: &Query, grant: &Grant) -> Result<Answer, QueryError> {
        // The semaphore is never closed.
        let _running = self.running.acquire().await.ok();
        self.analytics.run(query, grant).await
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
