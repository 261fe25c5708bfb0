use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::{sink::Sink, trace::TraceIdLayer};

use super::{
    event_layer::EventLayer,
    head_only_tagging_layer::HeadOnlyTaggingLayer,
    metadata_layer::MetadataLayer,
    response_body::ResponseBody,
    response_future::ResponseFuture,
    steps::{Begun, Steps},
};

/// The middleware of all layers of this crate that leave the request body alone.
///
/// It reads trace ids, starts the event, captures the tags, and runs the service. Each layer switches on its own part.
#[derive(Clone, Debug)]
pub struct Tagging<S> {
    inner: S,
    layer: HeadOnlyTaggingLayer,
}

impl Tagging<()> {
    /// Returns a layer that gives every request trace ids and emits its event to `sink`, without tags.
    ///
    /// Use [`TaggingLayer::builder`](super::TaggingLayer::builder) to read tags as well.
    pub fn layer(sink: impl Sink) -> HeadOnlyTaggingLayer {
        let (trace, event) = (TraceIdLayer::new(), EventLayer::new(sink));
        HeadOnlyTaggingLayer::new(Steps { trace: Some(trace), event: Some(event), ..Steps::default() })
    }
}

impl<S> Tagging<S> {
    /// Wraps a service with the settings of a layer.
    ///
    /// ```
    /// use tower_tagging::{EventLayer, sink::JsonLinesSink, tagging::Tagging};
    ///
    /// let service = tower::service_fn(|_: http::Request<String>| async {
    ///     Ok::<_, std::convert::Infallible>(http::Response::new(String::from("hello")))
    /// });
    /// let service = Tagging::new(service, EventLayer::new(JsonLinesSink::stdout()));
    /// ```
    pub fn new(inner: S, layer: impl Into<HeadOnlyTaggingLayer>) -> Self {
        Self { inner, layer: layer.into() }
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Tagging<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let Begun { mut guard, reply, rejection } = self.layer.steps.begin(&mut head);
        if let Some(reason) = rejection {
            return ResponseFuture::rejected(&reason, guard, reply);
        }
        let future = guard.run(|| self.inner.call(Request::from_parts(head, body)));
        ResponseFuture::new(future, guard, reply)
    }
}

impl<S> Layer<S> for HeadOnlyTaggingLayer {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, self.clone())
    }
}

impl<S> Layer<S> for MetadataLayer {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, self.clone())
    }
}

impl<S> Layer<S> for TraceIdLayer {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, self.clone())
    }
}

impl<S> Layer<S> for EventLayer {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, self.clone())
    }
}
