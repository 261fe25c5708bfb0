use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use http::{HeaderValue, Request, Response, header, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{body::ContentDecoder, media::media_type};

use super::{request_body::RequestBody, response_body::ResponseBody, stream_options::with_include_usage};

pin_project! {
    /// Response future of [`InjectIncludeUsage`](super::InjectIncludeUsage).
    pub struct ResponseFuture<F, S, B, E = <B as Body>::Error> {
        #[pin]
        state: State<F, S, B, E>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, S, B, E> {
        Reading { request: Option<HeldRequest<S, B, E>> },
        Running { #[pin] future: F, hides_usage: bool },
    }
}

impl<F, S, B, E> ResponseFuture<F, S, B, E> {
    /// Waits for a response that passes unchanged.
    pub(super) fn passing(future: F) -> Self {
        Self { state: State::Running { future, hides_usage: false } }
    }

    /// Reads the request before the service is called.
    pub(super) fn reading(request: HeldRequest<S, B, E>) -> Self {
        Self { state: State::Reading { request: Some(request) } }
    }
}

impl<F, S, B, E> fmt::Debug for ResponseFuture<F, S, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<S, B, R> Future for ResponseFuture<S::Future, S, B, B::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Reading { request } => {
                    if let Some(request) = request {
                        ready!(request.poll_read(context));
                    }
                    // Always present: the state changes as soon as the request is taken.
                    let Some(request) = request.take() else { return Poll::Pending };
                    let (mut service, request, hides_usage) = request.into_request();
                    let future = service.call(request);
                    state.set(State::Running { future, hides_usage });
                }
                StateProj::Running { future, hides_usage } => {
                    let response = ready!(future.poll(context))?;
                    return Poll::Ready(Ok(wrap_response(response, *hides_usage)));
                }
            }
        }
    }
}

/// A request whose body is held back, and the service that will be called with it.
pub(super) struct HeldRequest<S, B, E> {
    service: S,
    head: Parts,
    body: RequestBody<B, E>,
    read: BytesMut,
    limit: usize,
}

impl<S, B, E> HeldRequest<S, B, E> {
    pub(super) fn new(service: S, head: Parts, body: RequestBody<B, E>, limit: usize) -> Self {
        Self { service, head, body, read: BytesMut::new(), limit }
    }

    /// Returns the service and the request to call it with, and whether the request was changed.
    fn into_request(self) -> (S, Request<RequestBody<B, E>>, bool) {
        let Self { service, mut head, read, mut body, .. } = self;
        let changed = if body.is_read() { with_include_usage(&read) } else { None };
        let is_changed = changed.is_some();
        let data = changed.unwrap_or_else(|| read.freeze());
        if is_changed {
            head.headers.remove(header::ACCEPT_ENCODING);
            if head.headers.contains_key(header::CONTENT_LENGTH) {
                head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(data.len()));
            }
        }
        body.put_back(data);
        (service, Request::from_parts(head, body), is_changed)
    }
}

impl<S, B: Body> HeldRequest<S, B, B::Error> {
    /// Reads the body until it ends, fails, or exceeds the limit.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.body.poll_read_ahead(context, &mut self.read, self.limit)
    }
}

/// Wraps a response. The chunk of usage is hidden only in responses that can be read.
fn wrap_response<R: Body>(response: Response<R>, hides_usage: bool) -> Response<ResponseBody<R>> {
    let (mut head, body) = response.into_parts();
    let media_type = media_type(&head.headers);
    // Some servers leave out the type. Bodies of a known length are not streams.
    let has_no_type = media_type.is_empty() && !head.headers.contains_key(header::CONTENT_LENGTH);
    let is_stream = has_no_type || media_type.eq_ignore_ascii_case(b"text/event-stream");
    if !(hides_usage && is_stream && ContentDecoder::is_unneeded(&head.headers)) {
        return Response::from_parts(head, ResponseBody::passing(body));
    }
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, ResponseBody::hiding(body))
}
