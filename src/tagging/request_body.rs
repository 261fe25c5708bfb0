use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{body::RequestFieldReader, request::Tags};

use super::{error_text::error_text, pieces};

/// Passes a data frame to the reader. Stops reading if the frame cannot be inspected.
fn read(reader: &mut Option<RequestFieldReader>, data: &impl Buf, tags: &Tags) {
    let Some(fields) = reader else { return };
    let was_read = pieces::for_each(data, |piece| {
        if let Some(fields) = fields.feed(piece) {
            tags.take_request_fields(fields);
        }
    });
    if !was_read {
        *reader = None;
    }
}

pin_project! {
    /// An observed request body; see [`RequestBodyLayer`](super::RequestBodyLayer).
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        tags: Option<Tags>,
        reader: Option<RequestFieldReader>,
    }
}

impl<B> RequestBody<B> {
    pub(super) fn new(inner: B, tags: Option<Tags>, reader: Option<RequestFieldReader>) -> Self {
        Self { inner, tags, reader }
    }

    /// Returns a reference to the inner body.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// Returns a mutable reference to the inner body. Frames that are read through it are not observed.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Returns the inner body. Its remaining frames are not observed.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B: Default> Default for RequestBody<B> {
    /// Creates a body that is not observed.
    fn default() -> Self {
        Self { inner: B::default(), tags: None, reader: None }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

impl<B: Body<Error: 'static>> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(context));
        match (&frame, this.tags.as_ref()) {
            (Some(Ok(frame)), Some(tags)) => {
                if let Some(data) = frame.data_ref() {
                    tags.count_request_body(data.remaining() as u64);
                    read(this.reader, data, tags);
                }
            }
            // The handler may answer normally although the client disconnected.
            (Some(Err(error)), Some(tags)) => tags.fill_error(error_text("request body", error)),
            _ => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
