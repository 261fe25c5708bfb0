use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{body::RequestFieldReader, request::Tags};

use super::{error_text::error_text, pieces};

pin_project! {
    /// An observed request body; see [`RequestBodyLayer`](super::RequestBodyLayer).
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        observer: BodyObserver,
    }
}

/// The observation of a request body.
#[derive(Default)]
struct BodyObserver {
    tags: Option<Tags>,
    reader: Option<RequestFieldReader>,
    /// No outer layer observes the body, so that this one counts its bytes and records its errors.
    is_outermost: bool,
}

impl BodyObserver {
    /// Creates the observer of a body. If an outer layer observes it, this one at most reads its fields again.
    fn new(head: &Parts, reads_again: bool) -> Self {
        let Some(tags) = head.extensions.get::<Tags>() else { return Self::default() };
        let is_outermost = tags.claim_request_body();
        if !is_outermost && !reads_again {
            return Self::default();
        }
        let reads_user = tags.reads_body_user();
        let reads = reads_user || cfg!(feature = "llm");
        let reader = reads.then(|| RequestFieldReader::for_headers(&head.headers, reads_user)).flatten();
        Self { tags: Some(tags.clone()), reader, is_outermost }
    }

    /// Observes the next frame, or the error that ends the body.
    fn observe<D: Buf, E: 'static>(&mut self, frame: &Result<Frame<D>, E>) {
        let Some(tags) = &self.tags else { return };
        match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    if self.is_outermost {
                        tags.count_request_body(data.remaining() as u64);
                    }
                    self.read(data);
                }
            }
            // The handler may answer normally although the client disconnected.
            Err(error) if self.is_outermost => tags.fill_error(error_text("request body", error)),
            Err(_) => {}
        }
    }

    /// Passes a data frame to the reader. Stops reading once all fields are known, or if the frame cannot be inspected.
    fn read(&mut self, data: &impl Buf) {
        let (Some(reader), Some(tags)) = (&mut self.reader, &self.tags) else { return };
        let mut is_done = false;
        let was_read = pieces::for_each(data, |piece| {
            if let Some(fields) = reader.feed(piece) {
                tags.take_request_fields(fields);
                is_done = true;
            }
        });
        if is_done || !was_read {
            self.reader = None;
        }
    }
}

impl<B> RequestBody<B> {
    /// Creates the observed body of a request.
    pub(super) fn observed(head: &Parts, inner: B) -> Self {
        Self { inner, observer: BodyObserver::new(head, false) }
    }

    /// Creates the observed body of a request that waits for its fields, also if an outer layer observes it.
    pub(super) fn read(head: &Parts, inner: B) -> Self {
        Self { inner, observer: BodyObserver::new(head, true) }
    }

    /// Returns `true` while fields of the body are still read.
    pub(super) fn is_reading(&self) -> bool {
        self.observer.reader.is_some()
    }

    /// Passes on the fields that were found so far. All of them follow at the end of the body.
    pub(super) fn report_found(&self) {
        if let (Some(reader), Some(tags)) = (&self.observer.reader, &self.observer.tags) {
            tags.take_request_fields(reader.found());
        }
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
        Self { inner: B::default(), observer: BodyObserver::default() }
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
        if let Some(frame) = &frame {
            this.observer.observe(frame);
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
