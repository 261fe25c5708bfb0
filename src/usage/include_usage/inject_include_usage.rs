use std::{
    mem,
    task::{Context, Poll},
};

use http::{HeaderMap, Method, Request, Response, request::Parts};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::ContentDecoder,
    media::{is_json, media_type},
};

use super::{
    inject_include_usage_layer::InjectIncludeUsageLayer,
    request_body::RequestBody,
    response_body::ResponseBody,
    response_future::{HeldRequest, ResponseFuture},
};

/// Middleware that asks OpenAI-compatible streams for their usage; see the [module](super).
#[derive(Clone, Debug)]
pub struct InjectIncludeUsage<S> {
    inner: S,
    layer: InjectIncludeUsageLayer,
}

impl InjectIncludeUsage<()> {
    /// Returns a layer that applies this middleware to request bodies of up to 4 MiB.
    ///
    /// This is the same as [`InjectIncludeUsageLayer::new`].
    pub fn layer() -> InjectIncludeUsageLayer {
        InjectIncludeUsageLayer::new()
    }
}

impl<S> InjectIncludeUsage<S> {
    /// Wraps a service with the settings of a layer.
    pub fn new(inner: S, layer: InjectIncludeUsageLayer) -> Self {
        Self { inner, layer }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> Layer<S> for InjectIncludeUsageLayer {
    type Service = InjectIncludeUsage<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InjectIncludeUsage::new(inner, *self)
    }
}

impl<S, B, R> Service<Request<B>> for InjectIncludeUsage<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let body = RequestBody::new(body);
        if !is_candidate(&head) {
            return ResponseFuture::passing(self.inner.call(Request::from_parts(head, body)));
        }
        // The future calls the service that was polled until ready, not a clone of it.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        ResponseFuture::reading(HeldRequest::new(ready, head, body, self.layer.max_request_bytes))
    }
}

fn is_candidate(head: &Parts) -> bool {
    head.method == Method::POST && head.uri.path().ends_with("/completions") && announces_json(&head.headers)
}

/// Returns `true` if the headers announce a JSON body without a content coding.
fn announces_json(headers: &HeaderMap) -> bool {
    is_json(media_type(headers)) && ContentDecoder::is_unneeded(headers)
}
