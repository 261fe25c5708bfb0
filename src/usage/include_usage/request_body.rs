use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// Request body of [`InjectIncludeUsage`](super::InjectIncludeUsage).
///
/// `E` is the error of the body `B`.
pub struct RequestBody<B, E = <B as Body>::Error> {
    /// The data that was read ahead, or its replacement.
    data: Bytes,
    /// The error that reading ahead ended with.
    error: Option<E>,
    trailers: Option<HeaderMap>,
    /// The body after what was read ahead.
    rest: Option<Pin<Box<B>>>,
}

impl<B, E> RequestBody<B, E> {
    pub(super) fn new(body: B) -> Self {
        Self { data: Bytes::new(), error: None, trailers: None, rest: Some(Box::pin(body)) }
    }

    /// Returns a reference to the inner body, or `None` once it was read to its end.
    pub fn get_ref(&self) -> Option<&B> {
        self.rest.as_deref()
    }

    /// Returns a pinned reference to the inner body, or `None` once it was read to its end.
    ///
    /// The inner body does not contain data that was read ahead.
    pub fn get_pin_mut(&mut self) -> Option<Pin<&mut B>> {
        self.rest.as_mut().map(Pin::as_mut)
    }

    /// Returns `true` if the body was read ahead to its end.
    pub(super) fn is_read(&self) -> bool {
        self.rest.is_none() && self.error.is_none()
    }

    /// Sets the data that precedes the rest of the body.
    pub(super) fn put_back(&mut self, data: Bytes) {
        self.data = data;
    }
}

impl<B: Body> RequestBody<B, B::Error> {
    /// Moves data into `read` until the body ends, fails, or exceeds the limit in bytes.
    pub(super) fn poll_read_ahead(&mut self, context: &mut Context<'_>, read: &mut BytesMut, limit: usize) -> Poll<()> {
        while let Some(rest) = &mut self.rest {
            let Some(frame) = ready!(rest.as_mut().poll_frame(context)) else {
                self.rest = None;
                break;
            };
            match frame.map(Frame::into_data) {
                Ok(Ok(mut data)) => {
                    let len = data.remaining();
                    read.extend_from_slice(&data.copy_to_bytes(len));
                    if read.len() > limit {
                        break;
                    }
                }
                Ok(Err(frame)) => self.trailers = frame.into_trailers().ok(),
                Err(error) => {
                    self.error = Some(error);
                    self.rest = None;
                }
            }
        }
        Poll::Ready(())
    }
}

impl<B, E> fmt::Debug for RequestBody<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

// The inner body is boxed, and no other field is ever pinned.
impl<B, E> Unpin for RequestBody<B, E> {}

impl<B: Body> Body for RequestBody<B, B::Error> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(mem::take(&mut self.data)))));
        }
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(rest.as_mut().poll_frame(context));
        let to_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(to_bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty()
            && self.error.is_none()
            && self.trailers.is_none()
            && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.data.len() as u64;
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(data));
        // With an exact size, a reader would stop before it receives the error.
        if let Some(upper) = rest.upper().filter(|_| self.error.is_none()) {
            hint.set_upper(upper.saturating_add(data));
        }
        hint
    }
}
