//! The rows of an export, page by page.

use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    analytics::{QueryError, export::hex, row_pages::RowPages},
    registry::Permission,
    store::StoreError,
};

use super::{
    export_fields,
    export_job::{ExportContent, ExportJob, ExportState},
    state::ApiState,
};

/// The number of rows that are in memory at a time.
const PAGE: u32 = 1_000;

/// The lines of an export, the oldest requests first.
///
/// A file has only requests that had ended when the job was started, so that later ones do not change it. Requests that were
/// delivered late or deleted do, which [`check`](Lines::check) finds.
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

    /// Returns the next lines. `None` after the last ones.
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

    /// Returns the content of all lines so far.
    fn content(&self) -> ExportContent {
        ExportContent { rows: self.rows, sha256: hex(&self.digest.clone().finalize()) }
    }

    /// Checks that these were the lines that were counted.
    fn check(&self) -> Result<(), QueryError> {
        if self.job.content.as_ref() == Some(&self.content()) {
            return Ok(());
        }
        // The job can be started again.
        let failed = self.api.shared.exports.change(self.job.id, &[ExportState::Success], ExportState::Failed, |job| {
            job.content = None;
        });
        // The job may have been replaced in the meantime.
        drop(failed);
        let text = "its requests were changed, deleted, or delivered late: start the export again";
        Err(QueryError::Store(StoreError::database("repeat an export", text)))
    }
}

/// Reads the rows of an export that was started. The file itself is read again when it is downloaded.
pub(super) async fn run(api: ApiState, job: ExportJob) {
    let (id, exports) = (job.id, api.shared.exports.clone());
    let mut lines = Lines::new(api, job);
    let result = loop {
        // A job that was cancelled ends here.
        if exports.job(id).is_none_or(|job| job.state != ExportState::InProgress) {
            return;
        }
        match lines.next().await {
            Ok(Some(_)) => {}
            Ok(None) => break ExportState::Success,
            Err(error) => {
                tracing::warn!(%error, export = %id, "an export failed");
                break ExportState::Failed;
            }
        }
    };
    // The job may have been cancelled or replaced in the meantime.
    let _ = exports.change(id, &[ExportState::InProgress], result, |job| {
        job.content = (result == ExportState::Success).then(|| lines.content());
    });
}

/// Returns the file as JSON Lines. Its end is an error if it is not the content that was counted.
pub(super) fn body(api: ApiState, job: ExportJob) -> Body {
    let id: Uuid = job.id;
    let content = stream::try_unfold(Lines::new(api, job), |mut lines| async move {
        match lines.next().await? {
            Some(text) => Ok(Some((text, lines))),
            None => lines.check().map(|()| None),
        }
    });
    Body::from_stream(content.inspect_err(move |error| tracing::warn!(%error, export = %id, "a download failed")))
}
