use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::{body::RequestFieldReader, request::Tags};

use super::{RequestBodyLayer, request_body::RequestBody};

/// The middleware of [`RequestBodyLayer`].
#[derive(Clone, Debug)]
pub struct RequestBodyService<S> {
    inner: S,
    layer: RequestBodyLayer,
}

impl RequestBodyService<()> {
    /// Returns a layer that counts bytes and reads `user`.
    ///
    /// This is the same as [`RequestBodyLayer::new`].
    pub fn layer() -> RequestBodyLayer {
        RequestBodyLayer::new()
    }
}

impl<S> RequestBodyService<S> {
    /// Wraps a service with the settings of a layer.
    pub fn new(inner: S, layer: RequestBodyLayer) -> Self {
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

impl<S> Layer<S> for RequestBodyLayer {
    type Service = RequestBodyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestBodyService::new(inner, *self)
    }
}

impl<S, B> Service<Request<B>> for RequestBodyService<S>
where
    S: Service<Request<RequestBody<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let tags = request.extensions().get::<Tags>().filter(|tags| tags.claim_request_body()).cloned();
        let reads = self.layer.reads_user || cfg!(feature = "llm");
        let reads = reads && tags.is_some();
        let reader = reads.then(|| RequestFieldReader::for_headers(request.headers(), self.layer.reads_user)).flatten();
        self.inner.call(request.map(|inner| RequestBody::new(inner, tags, reader)))
    }
}
