use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};

use crate::{analytics::QueryError, sync::lock};

use super::{ExportSummary, content::Content, progress::Progress};

/// The number of rows of a file.
const COUNT: HeaderName = HeaderName::from_static("x-export-count");
/// The digest of the uncompressed content of a file.
const DIGEST: HeaderName = HeaderName::from_static("x-export-digest");
const NEXT: HeaderName = HeaderName::from_static("x-export-next");

/// The content of an export as the body of an HTTP response.
///
/// It ends with these trailers: `x-export-count` is the number of rows, `x-export-digest` is `sha256=` and the digest
/// of the uncompressed content in hex digits, and `x-export-next` is the token of the next export if rows are missing.
/// HTTP/1.1 clients receive trailers only if they send `TE: trailers`. Without the end of the chunked coding, a
/// download is incomplete.
#[must_use = "a body has no effect until it is sent"]
pub struct ExportBody {
    content: Option<Content>,
    progress: Arc<Mutex<Progress>>,
}

impl ExportBody {
    /// The value of the header `trailer` that announces the trailers.
    pub const TRAILERS: &'static str = "x-export-count, x-export-digest, x-export-next";

    pub(super) fn new(content: Content, progress: Arc<Mutex<Progress>>) -> Self {
        Self { content: Some(content), progress }
    }
}

impl Body for ExportBody {
    type Data = Bytes;
    type Error = QueryError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, QueryError>>> {
        let Some(content) = &mut self.content else { return Poll::Ready(None) };
        Poll::Ready(match ready!(content.as_mut().poll_next(context)) {
            Some(Ok(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Err(error)) => {
                self.content = None;
                Some(Err(error))
            }
            None => {
                self.content = None;
                let summary = lock(&self.progress).summary.clone();
                summary.map(|summary| Ok(Frame::trailers(trailers(&summary))))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none()
    }
}

/// Returns the trailers of a file.
pub(crate) fn trailers(summary: &ExportSummary) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(COUNT, summary.rows.into());
    if let Ok(digest) = HeaderValue::try_from(format!("sha256={}", summary.sha256)) {
        trailers.insert(DIGEST, digest);
    }
    if let Some(next) = summary.next.as_ref().and_then(|next| HeaderValue::try_from(next.to_string()).ok()) {
        trailers.insert(NEXT, next);
    }
    trailers
}

impl fmt::Debug for ExportBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportBody").finish_non_exhaustive()
    }
}
