use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::event_filter::EventFilter;

pin_project! {
    /// Response body of [`InjectIncludeUsage`](super::InjectIncludeUsage).
    ///
    /// `E` is the error of the body `R`.
    pub struct ResponseBody<R, E = <R as Body>::Error> {
        #[pin]
        inner: R,
        // `None` if nothing is hidden.
        events: Option<EventFilter>,
        // The trailers or the error after the held data.
        end: Option<Result<HeaderMap, E>>,
        has_ended: bool,
    }
}

impl<R, E> ResponseBody<R, E> {
    /// Wraps a body that passes unchanged.
    pub(super) fn passing(inner: R) -> Self {
        Self { inner, events: None, end: None, has_ended: false }
    }

    /// Wraps an event stream, and leaves out the chunk that has usage and no choices.
    pub(super) fn hiding(inner: R) -> Self {
        Self { inner, events: Some(EventFilter::default()), end: None, has_ended: false }
    }
}

impl<R, E> ResponseBody<R, E> {
    /// Returns a reference to the inner body.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns a mutable reference to the inner body. Frames that are read through it are not filtered.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }
}

impl<R: Default, E> Default for ResponseBody<R, E> {
    fn default() -> Self {
        Self::passing(R::default())
    }
}

impl<R, E> fmt::Debug for ResponseBody<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<R: Body> Body for ResponseBody<R, R::Error> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let mut this = self.project();
        loop {
            if *this.has_ended {
                return Poll::Ready(this.end.take().map(|end| end.map(Frame::trailers)));
            }
            let frame = ready!(this.inner.as_mut().poll_frame(context)).transpose();
            let data = match frame.map(|frame| frame.map(Frame::into_data)) {
                Ok(Some(Ok(mut data))) => {
                    let data = data.copy_to_bytes(data.remaining());
                    match this.events.as_mut() {
                        None => return Poll::Ready(Some(Ok(Frame::data(data)))),
                        Some(events) => events.push(&data),
                    }
                }
                // Held data is sent before the trailers, and before an error.
                end => {
                    let trailers = end.map(|frame| frame.and_then(|frame| frame.err()?.into_trailers().ok()));
                    *this.end = trailers.transpose();
                    *this.has_ended = true;
                    this.events.take().map(EventFilter::finish).unwrap_or_default()
                }
            };
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.events {
            None => self.end.is_none() && (self.has_ended || self.inner.is_end_stream()),
            Some(events) => events.is_empty() && self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.events.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}
