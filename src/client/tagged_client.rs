use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    propagate::{Propagate, PropagateLayer},
    tagging::{RequestBody, RequestBodyService, ResponseBody, Tagging, TaggingLayer},
};

/// A client whose calls carry the trace and the tags of the current request, and report usage and cost to it.
///
/// See the [module](super) for what it does by default. It applies a [`TaggingLayer`], and a [`PropagateLayer`] inside of it.
///
/// `S` is the inner client: a [`Service`] whose requests have the body [`RequestBody<B>`], such as
/// `hyper_util::client::legacy::Client<_, RequestBody<Full<Bytes>>>`. Calls have the body `B`.
#[derive(Clone, Debug)]
#[must_use]
pub struct TaggedClient<S> {
    service: Tagging<RequestBodyService<Propagate<S>>>,
    tagging: TaggingLayer,
}

impl<S> TaggedClient<S> {
    /// Wraps a client. Calls send the trace context, and no tags.
    pub fn new(client: S) -> Self {
        Self::with_layers(client, TaggingLayer::around_client(), &PropagateLayer::new())
    }

    fn with_layers(client: S, tagging: TaggingLayer, propagate: &PropagateLayer) -> Self {
        Self { service: tagging.layer(propagate.layer(client)), tagging }
    }

    /// Sets the tags that each host receives.
    #[allow(clippy::needless_pass_by_value, reason = "a builder method consumes what it sets")]
    pub fn propagate(self, layer: PropagateLayer) -> Self {
        let Self { service, tagging } = self;
        let client = service.into_inner().into_inner().into_inner();
        Self::with_layers(client, tagging, &layer)
    }

    /// Sets the layer that observes calls, for instance to give each call its own event or span.
    ///
    /// Start from [`TaggingLayer::client_builder`], which inherits tags and trace, and rolls up usage.
    pub fn tagging(self, layer: TaggingLayer) -> Self {
        let propagate = self.service.into_inner().into_inner();
        Self { service: layer.layer(propagate), tagging: layer }
    }

    /// Returns a reference to the inner client. Its calls are not observed.
    pub fn get_ref(&self) -> &S {
        self.service.get_ref().get_ref().get_ref()
    }

    /// Returns the inner client.
    pub fn into_inner(self) -> S {
        self.service.into_inner().into_inner().into_inner()
    }

    /// Sends a request on behalf of the current request.
    ///
    /// # Errors
    ///
    /// Returns the errors of the inner client.
    pub async fn send<B, R>(&self, request: Request<B>) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
        R: Body,
    {
        let mut service = self.service.clone();
        poll_fn(|context| service.poll_ready(context)).await?;
        service.call(request).await
    }
}

impl<S, B, R> Service<Request<B>> for TaggedClient<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = <Tagging<RequestBodyService<Propagate<S>>> as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.service.call(request)
    }
}
