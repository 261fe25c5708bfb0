use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The response body of [`AdmissionService`](super::AdmissionService): that of the service, or of a rejection.
    pub struct AdmissionBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Service { #[pin] inner: B },
        Rejection { body: Bytes },
    }
}

impl<B> AdmissionBody<B> {
    pub(super) fn of_service(inner: B) -> Self {
        Self { kind: Kind::Service { inner } }
    }

    pub(super) fn of_rejection(body: Bytes) -> Self {
        Self { kind: Kind::Rejection { body } }
    }
}

impl<B: Default> Default for AdmissionBody<B> {
    /// Creates a body for layers that answer instead of the service.
    fn default() -> Self {
        Self::of_service(B::default())
    }
}

impl<B> fmt::Debug for AdmissionBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data: From<Bytes>>> Body for AdmissionBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().kind.project() {
            KindProj::Service { inner } => inner.poll_frame(context),
            KindProj::Rejection { body } => {
                let body = std::mem::take(body);
                Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Service { inner } => inner.is_end_stream(),
            Kind::Rejection { body } => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Service { inner } => inner.size_hint(),
            Kind::Rejection { body } => SizeHint::with_exact(body.len() as u64),
        }
    }
}
