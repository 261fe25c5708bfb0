use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{RequestBodyLayer, request_body::RequestBody};

/// The middleware of [`RequestBodyLayer`].
#[derive(Clone, Debug)]
pub struct RequestBodyService<S> {
    inner: S,
}

impl RequestBodyService<()> {
    /// Returns a layer that observes request bodies.
    ///
    /// This is the same as [`RequestBodyLayer::new`].
    pub fn layer() -> RequestBodyLayer {
        RequestBodyLayer::new()
    }
}

impl<S> RequestBodyService<S> {
    /// Wraps a service with the settings of a layer.
    pub fn new(inner: S, _: RequestBodyLayer) -> Self {
        Self { inner }
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
        let (head, body) = request.into_parts();
        let body = RequestBody::observed(&head, body);
        self.inner.call(Request::from_parts(head, body))
    }
}
