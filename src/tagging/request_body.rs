use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Tags, body::RequestFieldReader};

use super::{pending::error_of, pieces};

/// Layer that watches request bodies on their way to the service: counts their bytes, and fills the tag `_user` from the
/// top-level `user` of a JSON body, or the field of that name in a multipart form (the `OpenAI` shapes), when it is missing
/// or empty.
///
/// It belongs inside of a layer that gives requests [`Tags`]; without them it does nothing. Frames reach the service as
/// they are, one by one, and no more than 16 KiB of a body are held back at any time. `_user` is there once the service
/// has read the body. One that breaks off is the event's [error](crate::Event::error), unless a handler records another.
///
/// The service gets `Request<RequestBody<B>>`; see [request bodies](super#request-bodies).
#[derive(Clone, Copy, Debug)]
pub struct RequestBodyLayer {
    reads_user: bool,
}

impl Default for RequestBodyLayer {
    fn default() -> Self {
        Self { reads_user: true }
    }
}

impl RequestBodyLayer {
    /// Counts bytes and reads `user`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `user` is read. The model and the tier that an LLM request asks for are read all the same, where usage is.
    #[must_use]
    pub fn reads_user(mut self, reads: bool) -> Self {
        self.reads_user = reads;
        self
    }
}

impl<S> Layer<S> for RequestBodyLayer {
    type Service = RequestBodyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestBodyService { inner, layer: *self }
    }
}

/// The middleware of [`RequestBodyLayer`].
#[derive(Clone, Debug)]
pub struct RequestBodyService<S> {
    inner: S,
    layer: RequestBodyLayer,
}

impl<S, B> Service<Request<B>> for RequestBodyService<S>
where
    S: Service<Request<RequestBody<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let tags = request.extensions().get::<Tags>().filter(|tags| tags.claim_request_body()).cloned();
        let reads = self.layer.reads_user || cfg!(feature = "llm");
        let reads = reads && tags.is_some();
        let reader = reads.then(|| RequestFieldReader::for_headers(request.headers(), self.layer.reads_user)).flatten();
        self.inner.call(request.map(|inner| RequestBody { inner, tags, reader }))
    }
}

/// Shows a data frame to the reader. A frame that can't be looked at ends the reading.
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
    /// A request body that is watched; see [`RequestBodyLayer`].
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        tags: Option<Tags>,
        reader: Option<RequestFieldReader>,
    }
}

impl<B: Default> Default for RequestBody<B> {
    /// A body that nobody watches.
    fn default() -> Self {
        Self { inner: B::default(), tags: None, reader: None }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

impl<B: Body> Body for RequestBody<B> {
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
            // A handler may answer as if nothing was, to a client that hung up.
            (Some(Err(_)), Some(tags)) => tags.fill_error(error_of::<B::Error>("request body")),
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
