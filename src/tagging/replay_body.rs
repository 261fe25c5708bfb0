use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::request_body::RequestBody;

pin_project! {
    /// A [`RequestBody`] whose first frames may have been read ahead, which the service receives unchanged.
    pub struct ReplayBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: RequestBody<B>,
        ahead: VecDeque<Result<Frame<B::Data>, B::Error>>,
        // The inner body must not be polled again.
        has_ended: bool,
    }
}

impl<B: Body> ReplayBody<B> {
    /// Creates a body that first returns the frames that were read ahead.
    pub(super) fn new(
        inner: RequestBody<B>,
        ahead: VecDeque<Result<Frame<B::Data>, B::Error>>,
        has_ended: bool,
    ) -> Self {
        Self { inner, ahead, has_ended }
    }
}

impl<B: Body> ReplayBody<B> {
    /// Returns `true` if nothing of the body is left in the connection.
    pub(super) fn is_received(&self) -> bool {
        self.has_ended || self.inner.get_ref().is_end_stream()
    }
}

impl<B: Body + Default> Default for ReplayBody<B> {
    /// Creates a body that is not observed.
    fn default() -> Self {
        Self::new(RequestBody::default(), VecDeque::new(), false)
    }
}

impl<B: Body> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody").finish_non_exhaustive()
    }
}

impl<B: Body<Error: 'static>> Body for ReplayBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        match this.ahead.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if *this.has_ended => Poll::Ready(None),
            None => this.inner.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && (self.has_ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        let ahead = ahead.map(|data| data.remaining() as u64).sum::<u64>();
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(ahead));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}
