use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderValue, Response, header};

use crate::{
    analytics::{QueryError, row_pages::RowSource},
    sync::lock,
};

use super::{
    Compression, ExportBody, ExportFormat, ExportSummary, ExportToken, content::Content, layout::Layout,
    progress::Progress, run::Run, settings::Settings,
};

/// The content of an export, page by page.
///
/// A page of rows is read when the stream is polled, so a slow reader costs no memory. The content of JSON lines and
/// CSV can be used up to the end of each item, also if it is compressed. After the last item, the stream has a
/// [summary](Self::summary). After an error, it ends.
pub struct ExportStream {
    content: Content,
    progress: Arc<Mutex<Progress>>,
    format: ExportFormat,
    compression: Compression,
    file_name: String,
}

impl ExportStream {
    pub(super) fn new(
        export: Settings,
        source: impl RowSource,
        layout: Layout,
        fingerprint: String,
    ) -> Result<Self, QueryError> {
        let (format, compression, file_name) = (export.format, export.compression, export.file_name());
        let progress = Arc::<Mutex<Progress>>::default();
        let run = Run::new(export, source, layout, fingerprint, Arc::clone(&progress))?;
        Ok(Self { content: Box::pin(stream::try_unfold(run, Run::next)), progress, format, compression, file_name })
    }

    /// Returns the result of the export. `None` until the last item was read.
    pub fn summary(&self) -> Option<ExportSummary> {
        lock(&self.progress).summary.clone()
    }

    /// Returns the number of rows that were read so far, to show the progress.
    pub fn rows(&self) -> u64 {
        lock(&self.progress).rows
    }

    /// Returns the place after the rows of all items so far.
    ///
    /// Another export continues there if the reader fails. `None` before the first row, and for Parquet, whose files
    /// are complete only at their end.
    pub fn token(&self) -> Option<ExportToken> {
        lock(&self.progress).token.clone()
    }

    /// Returns the media type of the content.
    pub fn media_type(&self) -> &'static str {
        self.compression.media_type().unwrap_or(self.format.media_type())
    }

    /// Returns the content as the body of an HTTP response.
    ///
    /// It ends with the summary as trailers.
    pub fn into_body(self) -> ExportBody {
        ExportBody::new(self.content, self.progress)
    }

    /// Returns a response that downloads the content as a file.
    ///
    /// It ends with the trailers of [`ExportBody`].
    pub fn into_response(self) -> Response<ExportBody> {
        let media_type = HeaderValue::from_static(self.media_type());
        let name = HeaderValue::try_from(format!("attachment; filename=\"{}\"", self.file_name));
        let mut response = Response::new(self.into_body());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, media_type);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::TRAILER, HeaderValue::from_static(ExportBody::TRAILERS));
        if let Ok(name) = name {
            headers.insert(header::CONTENT_DISPOSITION, name);
        }
        response
    }
}

impl Stream for ExportStream {
    type Item = Result<Bytes, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.content.as_mut().poll_next(context)
    }
}

impl fmt::Debug for ExportStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportStream").field("file_name", &self.file_name).finish_non_exhaustive()
    }
}
