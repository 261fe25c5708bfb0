use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{metadata::Diagnostic, request::Rejection};

use super::{error_text::error_kind, guard::Guard, response_body::ResponseBody};

pin_project! {
    /// The response future of [`Tagging`](super::Tagging).
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
        guard: Guard,
        reply: Option<(HeaderName, HeaderValue)>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<F> {
        Service { #[pin] inner: F },
        Rejection { rejection: Option<Box<Rejection>> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, guard: Guard, reply: Option<(HeaderName, HeaderValue)>) -> Self {
        Self { kind: Kind::Service { inner }, guard, reply }
    }

    /// Creates a future that answers with the reason instead of the service.
    pub(super) fn rejected(reason: &Diagnostic<'_>, guard: Guard, reply: Option<(HeaderName, HeaderValue)>) -> Self {
        let rejection = Some(Box::new(Rejection::of_tags(reason)));
        Self { kind: Kind::Rejection { rejection }, guard, reply }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let guard = this.guard;
        let mut response = match this.kind.project() {
            KindProj::Service { inner } => match ready!(guard.run(|| inner.poll(context))) {
                Ok(response) => response,
                Err(error) => {
                    if let Some(pending) = guard.pending() {
                        pending.fail(error_kind::<E>("service"));
                    }
                    return Poll::Ready(Err(error));
                }
            },
            KindProj::Rejection { rejection } => {
                return Poll::Ready(Ok(reject(rejection.take(), guard, this.reply.take())));
            }
        };
        if let Some(pending) = guard.pending() {
            pending.head(&mut response);
        }
        guard.release_emitted();
        write_reply(&mut response, this.reply.take());
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, std::mem::take(guard)))))
    }
}

/// Adds the response header that carries the trace id, unless the service has set it.
fn write_reply<B>(response: &mut Response<B>, reply: Option<(HeaderName, HeaderValue)>) {
    if let Some((name, value)) = reply {
        response.headers_mut().entry(name).or_insert(value);
    }
}

/// Creates the response to a rejected request, which has no body.
fn reject<B>(
    rejection: Option<Box<Rejection>>,
    guard: &mut Guard,
    reply: Option<(HeaderName, HeaderValue)>,
) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::empty());
    if let Some(rejection) = rejection {
        if let Some(pending) = guard.pending() {
            pending.reject(rejection.status);
        }
        *response.status_mut() = rejection.status;
        *response.headers_mut() = rejection.headers;
    }
    write_reply(&mut response, reply);
    response
}
