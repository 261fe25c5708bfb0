use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::request::{Rejection, Tags};

use super::{admission_body::AdmissionBody, read_ahead::ReadAhead, replay_body::ReplayBody};

pin_project! {
    /// The response future of [`AdmissionService`](super::AdmissionService).
    pub struct AdmissionFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F>
    where
        B: Body,
    {
        Called { #[pin] inner: F },
        // Boxed, because few requests need it.
        Reading { reading: Option<Box<ReadAhead<S, B>>> },
        Rejected { rejection: Option<Box<Rejection>> },
    }
}

impl<S, B> AdmissionFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    pub(super) fn called(inner: S::Future) -> Self {
        Self { state: State::Called { inner } }
    }

    pub(super) fn reading(reading: ReadAhead<S, B>) -> Self {
        Self { state: State::Reading { reading: Some(Box::new(reading)) } }
    }

    pub(super) fn rejected(tags: &Tags, mut rejection: Box<Rejection>) -> Self {
        tags.reject(&rejection.reason);
        for note in std::mem::take(&mut rejection.notes) {
            tags.diagnose(note);
        }
        Self { state: State::Rejected { rejection: Some(rejection) } }
    }
}

impl<S, B> fmt::Debug for AdmissionFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionFuture").finish_non_exhaustive()
    }
}

impl<S, B, ResBody> Future for AdmissionFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>>,
    B: Body<Error: 'static> + Unpin,
    ResBody: Body<Data: From<Bytes>>,
{
    type Output = Result<Response<AdmissionBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Called { inner } => {
                    let response = ready!(inner.poll(context))?;
                    return Poll::Ready(Ok(response.map(AdmissionBody::of_service)));
                }
                StateProj::Rejected { rejection } => {
                    // A future must not be polled again after it was ready.
                    return rejection.take().map_or(Poll::Pending, |rejection| Poll::Ready(Ok(respond(*rejection))));
                }
                StateProj::Reading { reading } => {
                    let Some(ahead) = reading else { return Poll::Pending };
                    ready!(ahead.poll(context));
                    match reading.take().and_then(|ahead| ahead.finish()) {
                        Some(Ok((mut service, request))) => State::Called { inner: service.call(request) },
                        Some(Err((tags, rejection))) => Self::rejected(&tags, rejection).state,
                        None => return Poll::Pending,
                    }
                }
            };
            this.state.set(next);
        }
    }
}

fn respond<B>(rejection: Rejection) -> Response<AdmissionBody<B>> {
    let mut response = Response::new(AdmissionBody::of_rejection(rejection.body));
    *response.status_mut() = rejection.status;
    *response.headers_mut() = rejection.headers;
    response
}
