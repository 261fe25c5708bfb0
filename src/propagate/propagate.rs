use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::propagate_layer::PropagateLayer;

/// Middleware that adds tags and trace context to outgoing calls.
///
/// They are those of the current request.
///
/// See the [module documentation](super) for an example.
#[derive(Clone, Debug)]
pub struct Propagate<S> {
    inner: S,
    layer: PropagateLayer,
}

impl Propagate<()> {
    /// Returns a layer that wraps clients with this middleware.
    ///
    /// It sends the trace context to all hosts, and no tags.
    ///
    /// This is the same as [`PropagateLayer::new`].
    pub fn layer() -> PropagateLayer {
        PropagateLayer::new()
    }
}

impl<S> Propagate<S> {
    /// Wraps a client with the settings of a layer.
    pub fn new(inner: S, layer: PropagateLayer) -> Self {
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

impl<S> Layer<S> for PropagateLayer {
    type Service = Propagate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Propagate::new(inner, self.clone())
    }
}

impl<S, B> Service<Request<B>> for Propagate<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        self.layer.write(&head.uri, &head.extensions, &mut head.headers);
        self.inner.call(Request::from_parts(head, body))
    }
}
