//! The rows of an export, page by page.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::{
    analytics::{Analytics, Page, QueryError, RowQuery},
    registry::Permission,
    row::EventRow,
};

use super::{
    export_fields,
    export_job::{ExportJob, ExportState},
    exports::Exports,
    restrictions::Restrictions,
    state::{ApiState, Shared},
};

/// The number of rows that are in memory at a time.
const PAGE: u32 = 1_000;

/// The position in the rows of an export.
struct Reader {
    analytics: Analytics,
    job: ExportJob,
    /// `None` after the last page.
    query: Option<RowQuery>,
    skip: u64,
    left: u64,
}

impl Reader {
    fn new(analytics: Analytics, job: ExportJob) -> Self {
        let mut query = job.definition.query.clone();
        query.limit = PAGE;
        let (skip, left) = (job.definition.skip, job.definition.rows);
        Self { analytics, query: Some(query), skip, left, job }
    }

    /// Returns the next rows. `None` after the last ones.
    async fn next(&mut self) -> Result<Option<Vec<EventRow>>, QueryError> {
        while self.left > 0
            && let Some(query) = self.query.take()
        {
            let Page { mut rows, next, .. } =
                self.analytics.rows_with(Permission::LogsExport, &query, &self.job.grant).await?;
            self.query = next.map(|cursor| query.cursor(cursor));
            let skipped = self.skip.min(rows.len() as u64);
            self.skip -= skipped;
            rows.drain(..usize::try_from(skipped).unwrap_or(rows.len()).min(rows.len()));
            rows.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= (rows.len() as u64).min(self.left);
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}

/// Counts the rows of an export that was started. The file itself is read when it is downloaded.
pub(super) async fn run(analytics: Analytics, exports: Exports, job: ExportJob) {
    let id = job.id;
    let mut reader = Reader::new(analytics, job);
    let mut total = 0;
    let result = loop {
        // A job that was cancelled ends here.
        if exports.job(id).is_none_or(|job| job.state != ExportState::InProgress) {
            return;
        }
        match reader.next().await {
            Ok(Some(rows)) => total += rows.len() as u64,
            Ok(None) => break ExportState::Success,
            Err(error) => {
                tracing::warn!(%error, export = %id, "an export failed");
                break ExportState::Failed;
            }
        }
    };
    // The job may have been cancelled or replaced in the meantime.
    let _ = exports.change(id, &[ExportState::InProgress], result, |job| {
        job.total_records = (result == ExportState::Success).then_some(total);
    });
}

/// Returns the file as JSON Lines.
pub(super) fn body(api: &ApiState, job: ExportJob) -> Body {
    let shared = Arc::clone(&api.shared);
    let reader = Reader::new(api.analytics.clone(), job);
    let lines = stream::try_unfold((reader, shared), |(mut reader, shared)| async move {
        let rows = reader.next().await?;
        Ok::<_, QueryError>(rows.map(|rows| (lines(&rows, &reader.job, &shared), (reader, shared))))
    });
    Body::from_stream(lines)
}

fn lines(rows: &[EventRow], job: &ExportJob, shared: &Shared) -> Bytes {
    let restrictions = Restrictions::of(&shared.denied_fields);
    let lines = rows.iter().map(|row| export_fields::line(row, &job.definition.fields, &restrictions));
    lines.collect::<String>().into()
}
