use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::pending::Pending;

pin_project! {
    /// The response body of [`Tagging`](super::Tagging): the service's body, frames untouched and unbuffered, and the
    /// guard that emits the event at its end.
    pub struct ResponseBody<B> {
        // `None` in a response of ours, which is empty.
        #[pin]
        inner: Option<B>,
        pending: Option<Pending>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, pending: Option<Pending>) -> Self {
        Self { inner: Some(inner), pending }
    }

    pub(super) fn empty() -> Self {
        Self { inner: None, pending: None }
    }
}

impl<B: Default> Default for ResponseBody<B> {
    /// A body without a request, for layers that answer in place of the service.
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some(pending) = this.pending else { return inner.poll_frame(context) };
        let frame = ready!(pending.observe(|| inner.as_mut().poll_frame(context)));
        match &frame {
            None => pending.complete(),
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => pending.data(data, inner.is_end_stream()),
                None => pending.complete(),
            },
            Some(Err(_)) => pending.fail::<B::Error>("response body"),
        }
        if pending.is_over() {
            *this.pending = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
