//! The rows of an export, page by page.

use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    analytics::{
        ExportSummary, QueryError,
        export::{hex, trailers},
        row_pages::RowPages,
    },
    registry::Permission,
};

use super::{export_fields, export_job::ExportJob, state::ApiState};

/// The number of rows that are in memory at a time.
const PAGE: u32 = 1_000;

/// The lines of an export, the oldest requests first.
///
/// They have only requests that had ended at the time of the job, so that later ones do not change a file.
struct Lines {
    api: ApiState,
    job: ExportJob,
    pages: Option<RowPages>,
    as_of: SystemTime,
    skip: u64,
    left: u64,
    rows: u64,
    digest: Sha256,
}

impl Lines {
    fn new(api: ApiState, job: ExportJob) -> Self {
        let as_of = job.as_of.unwrap_or(job.created_at);
        let mut query = job.definition.query.clone();
        let end = Timestamp::try_from(as_of).unwrap_or(Timestamp::MAX).min(query.range.to());
        let is_empty = end <= query.range.from();
        query.range = query.range.cut(query.range.from(), end);
        let pages = (!is_empty)
            .then(|| RowPages::new(&api.analytics, &query, &job.grant, Permission::LogsExport).page_size(PAGE));
        let (skip, left) = (job.definition.skip, job.definition.rows);
        Self { api, job, pages, as_of, skip, left, rows: 0, digest: Sha256::new() }
    }

    /// Returns the lines of the next page that has any. `None` after the last ones.
    async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        while self.left > 0
            && let Some(pages) = &mut self.pages
            && let Some(rows) = pages.next().await?
        {
            let mut text = String::new();
            for row in rows.iter().filter(|row| row.responded_at <= self.as_of) {
                if self.skip > 0 {
                    self.skip -= 1;
                } else if self.left > 0 {
                    self.left -= 1;
                    self.rows += 1;
                    text.push_str(&export_fields::line(
                        row,
                        &self.job.definition.fields,
                        &self.api.shared.restrictions,
                    ));
                }
            }
            self.digest.update(&text);
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
        }
        Ok(None)
    }

    /// Returns the count and the digest of all lines so far.
    fn summary(&self) -> ExportSummary {
        ExportSummary { rows: self.rows, sha256: hex(&self.digest.clone().finalize()), next: None }
    }
}

/// Counts the rows of an export that was started. The file itself is read when it is downloaded.
pub(super) async fn run(api: ApiState, job: ExportJob, permit: OwnedSemaphorePermit) {
    let shared = api.shared.clone();
    let mut lines = Lines::new(api, job.clone());
    // A run that was cancelled ends here.
    while shared.exports.is_running(&job) {
        match lines.next().await {
            Ok(Some(_)) => {}
            Ok(None) => shared.exports.end(&job, Some(lines.rows)),
            Err(error) => {
                tracing::warn!(%error, export = %job.id, "an export failed");
                shared.exports.end(&job, None);
            }
        }
    }
    drop(permit);
}

/// Returns the file as JSON Lines, with the trailers of an [`ExportBody`](crate::analytics::ExportBody).
pub(super) fn body(api: ApiState, job: ExportJob) -> Body {
    let id = job.id;
    let frames = stream::try_unfold(Some(Lines::new(api, job)), async |lines| {
        let Some(mut lines) = lines else { return Ok::<_, QueryError>(None) };
        Ok(Some(match lines.next().await? {
            Some(text) => (Frame::data(text), Some(lines)),
            None => (Frame::trailers(trailers(&lines.summary())), None),
        }))
    });
    // The status is already sent when a page fails, so the client sees an incomplete body.
    let frames = frames.inspect_err(move |error| tracing::warn!(%error, export = %id, "a download failed"));
    Body::new(StreamBody::new(frames))
}
