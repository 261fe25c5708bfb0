use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::request::Tags;

use super::{pieces, response_meter::ResponseMeter};

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
        // `None` once the body was cut off.
        Metered { #[pin] inner: Option<B>, meter: Box<dyn ResponseMeter>, tags: Tags },
        Rejection { body: Bytes },
    }
}

impl<B> AdmissionBody<B> {
    pub(super) fn of_service(inner: B) -> Self {
        Self { kind: Kind::Service { inner } }
    }

    /// Creates a body that a meter may cut off.
    pub(super) fn metered(inner: B, meter: Box<dyn ResponseMeter>, tags: Tags) -> Self {
        Self { kind: Kind::Metered { inner: Some(inner), meter, tags } }
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
            KindProj::Metered { mut inner, meter, tags } => {
                let Some(body) = inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
                let frame = ready!(body.poll_frame(context));
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                if let Some(reason) = data.and_then(|data| read(&mut **meter, data)) {
                    tags.cut(reason);
                    // The upstream connection is closed.
                    inner.set(None);
                    return Poll::Ready(None);
                }
                Poll::Ready(frame)
            }
            KindProj::Rejection { body } => {
                let body = std::mem::take(body);
                Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Service { inner } => inner.is_end_stream(),
            Kind::Metered { inner, .. } => inner.as_ref().is_none_or(Body::is_end_stream),
            Kind::Rejection { body } => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Service { inner } => inner.size_hint(),
            Kind::Metered { inner, .. } => {
                let mut hint = SizeHint::new();
                // The body may end early.
                if let Some(upper) = inner.as_ref().map_or(Some(0), |inner| inner.size_hint().upper()) {
                    hint.set_upper(upper);
                }
                hint
            }
            Kind::Rejection { body } => SizeHint::with_exact(body.len() as u64),
        }
    }
}

/// Passes a frame to a meter. Returns the reason if the body is cut off.
fn read(meter: &mut dyn ResponseMeter, data: &impl Buf) -> Option<&'static str> {
    let mut reason = None;
    pieces::for_each(data, |piece| reason = reason.or_else(|| meter.read(piece)));
    reason
}
