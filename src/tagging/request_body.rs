use std::{
    fmt,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Tags,
    metadata::intake::{announces_json, user_field::UserFieldScanner},
};

/// Layer that watches request bodies on their way to the service: counts their bytes, and fills the tag `_user` from the
/// top-level `user` of a JSON body (the `OpenAI` shape) when it is missing or empty.
///
/// It belongs inside of a layer that gives requests [`Tags`]; without them it does nothing. Frames reach the service as
/// they are, one by one, and no more than 16 KiB of a body are held back at any time. `_user` is there once the service
/// has read the body.
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

    /// Whether `user` is read.
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
        let scanner = (self.layer.reads_user && tags.is_some() && announces_json(request.headers()))
            .then(UserFieldScanner::default);
        self.inner.call(request.map(|inner| RequestBody { inner, tags, scanner }))
    }
}

/// Most pieces that one data frame may lie in and still be read.
const MAX_PIECES: usize = 16;

/// Shows a data frame to the scanner. A frame in more pieces than can be looked at ends the scan.
fn scan(scanner: &mut Option<UserFieldScanner>, data: &impl Buf, tags: &Tags) {
    let Some(reader) = scanner else { return };
    let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
    let filled = data.chunks_vectored(&mut pieces);
    let pieces = pieces.iter().take(filled);
    if pieces.clone().map(|piece| piece.len()).sum::<usize>() != data.remaining() {
        *scanner = None;
        return;
    }
    for piece in pieces {
        if let Some(user) = reader.feed(piece) {
            tags.fill_user(&user);
        }
    }
}

pin_project! {
    /// A request body that is watched; see [`RequestBodyLayer`].
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        tags: Option<Tags>,
        scanner: Option<UserFieldScanner>,
    }
}

impl<B: Default> Default for RequestBody<B> {
    /// A body that nobody watches.
    fn default() -> Self {
        Self { inner: B::default(), tags: None, scanner: None }
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
        if let (Some(Ok(frame)), Some(tags)) = (&frame, this.tags.as_ref())
            && let Some(data) = frame.data_ref()
        {
            tags.count_request_body(data.remaining() as u64);
            scan(this.scanner, data, tags);
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
