//! Feedback on requests.

use std::{collections::HashSet, time::SystemTime};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    registry::Permission,
    row::Filter,
    store::{Feedback, LatestFeedback},
};

#[cfg(feature = "sqlite")]
use super::analytics_store::blocking;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::jobs::FeedbackOfRows;
use super::{
    Analytics, Basis, FeedbackScores, Grain, Grant, Query, QueryError, RowQuery, analytics_source::Source,
    execute::FeedbackMap, row_pages::RowPages,
};

/// The largest number of traces that feedback selects.
const MAX_TRACES: usize = 10_000;
/// The number of traces whose requests are read at a time.
const TRACES_PER_QUERY: usize = 500;

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(clippy::unused_async, reason = "only databases wait")
)]
impl Analytics {
    /// Stores feedback. It replaces feedback with the same id.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] if the grant does not include [`Permission::LogsWrite`], or covers neither all
    /// requests nor exactly the [workspace](Feedback::workspace) of the feedback and of the replaced one, and
    /// [`QueryError::Store`] if the store fails.
    pub async fn put_feedback(&self, feedback: Feedback, grant: &Grant) -> Result<(), QueryError> {
        grant.require(Permission::LogsWrite)?;
        if !grant.covers_everything() {
            let old = self.feedback_by_id(feedback.id).await?;
            if !old.iter().chain([&feedback]).all(|feedback| grant.covers_feedback(feedback)) {
                return Err(QueryError::Forbidden(
                    "only the key of its workspace, or of the whole organization, may give feedback".to_owned(),
                ));
            }
        }
        match &self.source {
            Source::Memory(store) => store.put_feedback(feedback),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let store = store.clone();
                blocking(move || Ok(store.put_feedback(&feedback)?)).await?;
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => store.put_feedback(&feedback).await?,
        }
        Ok(())
    }

    /// Returns feedback by its id, of any workspace.
    pub(crate) async fn feedback_by_id(&self, id: Uuid) -> Result<Option<Feedback>, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.feedback(id)),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let store = store.clone();
                blocking(move || Ok(store.feedback(id)?)).await
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => Ok(store.feedback(id).await?),
        }
    }

    /// Returns the number of feedback entries by their value. An entry counts for the first request of its trace, so this request
    /// must be in the range and meet the conditions of the query and of the grant.
    ///
    /// Of a database, the latest 100,000 entries of the workspaces of the conditions count. If there are more, the
    /// [basis](FeedbackScores::basis) reports it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn feedback_scores(&self, query: &Query, grant: &Grant) -> Result<FeedbackScores, QueryError> {
        grant.require(Permission::AnalyticsView)?;
        let (map, latest) = self.feedback_map(&query.filters, grant).await?;
        let mut rows_read = 0;
        let mut found = HashSet::new();
        for ids in map.traces().chunks(TRACES_PER_QUERY) {
            let mut rows = RowQuery::new(query.range.clone());
            rows.filters = query.filters.iter().cloned().chain([Filter::Trace(ids.to_vec())]).collect();
            let mut pages = RowPages::new(self, &rows, grant, Permission::AnalyticsView);
            while let Some(rows) = pages.next().await? {
                rows_read += rows.len() as u64;
                found.extend(rows.iter().map(|row| row.id));
            }
        }
        let basis = Basis {
            data_up_to: latest.and_then(|time| Timestamp::try_from(time).ok()).map(|time| grant.seen_up_to(time)),
            from: query.range.from(),
            to: query.range.to(),
            grain: Grain::Instant,
            is_exact: map.is_complete(),
            unpriced_share: None,
            rows_read,
            notes: map.note().into_iter().collect(),
        };
        Ok(FeedbackScores { counts: map.scores(&found), basis })
    }

    /// Returns a condition for the traces whose average of weighted feedback lies between two values in millionths, both
    /// included. A trace is that of one workspace: another one with the same id has its own average.
    ///
    /// The condition is exact for requests that meet the other conditions. Those on the workspace limit the feedback that is
    /// read.
    ///
    /// # Errors
    /// Returns [`QueryError::TooLarge`] if these are more than 10,000 traces, or if there is more feedback than a query reads,
    /// and otherwise as [`run`](Self::run).
    pub(crate) async fn traces_with_feedback(
        &self,
        (min, max): (i64, i64),
        others: &[Filter],
        grant: &Grant,
    ) -> Result<Filter, QueryError> {
        let (map, _) = self.feedback_map(others, grant).await?;
        if !map.is_complete() {
            return Err(QueryError::TooLarge(
                "cannot filter by feedback: there are more entries than a query reads; add a filter on one workspace"
                    .to_owned(),
            ));
        }
        let traces = map.traces_between(min, max);
        if traces.len() > MAX_TRACES {
            return Err(QueryError::TooLarge(format!(
                "more than {MAX_TRACES} traces have feedback in this range: use a narrower range of feedback"
            )));
        }
        Ok(Filter::WorkspaceTrace(traces.into_iter().collect()))
    }

    /// Returns the latest feedback that can count for requests that meet conditions, with these requests, and the time of the
    /// latest stored request.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        allow(unused_variables, reason = "memory reads all feedback")
    )]
    async fn feedback_map(
        &self,
        filters: &[Filter],
        grant: &Grant,
    ) -> Result<(FeedbackMap, Option<SystemTime>), QueryError> {
        match &self.source {
            Source::Memory(store) => {
                let mut map = FeedbackMap::new(LatestFeedback::all(store.all_feedback()));
                let rows = store.latest(u32::MAX);
                rows.iter().rev().for_each(|row| map.assign(row));
                Ok((map, rows.first().map(|row| row.requested_at)))
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => {
                let filters = filters.iter().chain(grant.filters()).map(Filter::stored).collect();
                self.execute(FeedbackOfRows(filters, self.limits)).await
            }
        }
    }
}
