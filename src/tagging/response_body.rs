use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{error_text::error_text, guard::Guard};

pin_project! {
    /// The response body of [`Tagging`](super::Tagging).
    ///
    /// It passes the frames of the service's body unchanged and unbuffered, and emits the event at the end. The errors of that
    /// body must be `'static`, as they are for every body that is itself `'static`: the event has their message.
    pub struct ResponseBody<B> {
        // `None` in a response that the layer created itself, which is empty.
        #[pin]
        inner: Option<B>,
        guard: Guard,
        // Trailers that have not been sent yet.
        receipt: Option<Box<HeaderMap>>,
        has_ended: bool,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, guard: Guard) -> Self {
        Self { inner: Some(inner), guard, receipt: None, has_ended: false }
    }

    pub(super) fn empty() -> Self {
        Self { inner: None, guard: Guard::default(), receipt: None, has_ended: true }
    }

    /// Returns a reference to the service's body, or `None` if the layer answered instead of the service.
    pub fn get_ref(&self) -> Option<&B> {
        self.inner.as_ref()
    }

    /// Returns a mutable reference to the service's body, or `None` if the layer answered instead of the service.
    ///
    /// Frames that are read through it are not observed.
    pub fn get_mut(&mut self) -> Option<&mut B> {
        self.inner.as_mut()
    }

    /// Inspects the service's body, if there is one. That is user code.
    fn inspect<T>(&self, ask: impl FnOnce(&B) -> T) -> Option<T> {
        let inner = self.inner.as_ref()?;
        Some(self.guard.inspect(|| ask(inner)))
    }
}

impl<B: Default> Default for ResponseBody<B> {
    /// Creates a body that belongs to no request, for layers that answer instead of the service.
    fn default() -> Self {
        Self::new(B::default(), Guard::default())
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<B: Body<Error: 'static>> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if let Some(receipt) = this.receipt.take() {
            *this.has_ended = true;
            return Poll::Ready(Some(Ok(Frame::trailers(*receipt))));
        }
        // The service's body must not be polled again after the receipt.
        if *this.has_ended {
            return Poll::Ready(None);
        }
        if this.guard.pending().is_none() {
            return this.guard.run(|| inner.poll_frame(context));
        }
        let polled = this.guard.run(|| {
            let frame = inner.as_mut().poll_frame(context);
            let is_data = matches!(&frame, Poll::Ready(Some(Ok(frame))) if frame.is_data());
            (frame, is_data && inner.is_end_stream())
        });
        let (Poll::Ready(mut frame), has_ended) = polled else { return Poll::Pending };
        let Some(pending) = this.guard.pending() else { return Poll::Ready(frame) };
        let receipt = match &frame {
            None => pending.complete(None),
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => pending.data(data, has_ended),
                None => pending.complete(frame.trailers_ref()),
            },
            Some(Err(error)) => {
                pending.fail(error_text("response body", error));
                None
            }
        };
        if this.guard.release_emitted() {
            // After the service's last frame, or in its trailers.
            if let Some(receipt) = receipt {
                frame = match frame {
                    None => {
                        *this.has_ended = true;
                        Some(Ok(Frame::trailers(*receipt)))
                    }
                    Some(Ok(frame)) => match frame.into_trailers() {
                        Ok(mut trailers) => {
                            trailers.extend(*receipt);
                            Some(Ok(Frame::trailers(trailers)))
                        }
                        Err(frame) => {
                            *this.receipt = Some(receipt);
                            Some(Ok(frame))
                        }
                    },
                    Some(Err(error)) => Some(Err(error)),
                };
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // A receipt may follow the service's last frame.
        let awaits_receipt = self.receipt.is_some() || self.guard.sends_receipt();
        self.inspect(B::is_end_stream).unwrap_or(true) && !awaits_receipt
    }

    fn size_hint(&self) -> SizeHint {
        self.inspect(B::size_hint).unwrap_or_else(|| SizeHint::with_exact(0))
    }
}
