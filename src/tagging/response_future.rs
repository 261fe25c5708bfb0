use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::metadata::Diagnostic;

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
        Rejection { reason: Option<HeaderValue> },
    }
}

/// The header of a 400 response that carries the reason of the rejection.
const REJECTION: HeaderName = HeaderName::from_static("x-tagging-rejection");

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, guard: Guard, reply: Option<(HeaderName, HeaderValue)>) -> Self {
        Self { kind: Kind::Service { inner }, guard, reply }
    }

    /// Creates a future that answers with status 400 and the reason in a header.
    pub(super) fn rejected(reason: &Diagnostic<'_>, guard: Guard, reply: Option<(HeaderName, HeaderValue)>) -> Self {
        let text = match reason.key() {
            // Header values are visible ASCII, so other characters of a key are escaped.
            Some(key) => format!("{}; {}", reason.code(), key.escape_default()),
            None => reason.code().to_string(),
        };
        let reason = HeaderValue::from_str(&text).ok();
        Self { kind: Kind::Rejection { reason }, guard, reply }
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
            KindProj::Rejection { reason } => {
                return Poll::Ready(Ok(reject(reason.take(), guard, this.reply.take())));
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

/// Creates the response to a rejected request.
fn reject<B>(
    reason: Option<HeaderValue>,
    guard: &mut Guard,
    reply: Option<(HeaderName, HeaderValue)>,
) -> Response<ResponseBody<B>> {
    if let Some(pending) = guard.pending() {
        pending.reject(StatusCode::BAD_REQUEST);
    }
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    if let Some(reason) = reason {
        response.headers_mut().insert(REJECTION, reason);
    }
    write_reply(&mut response, reply);
    response
}
