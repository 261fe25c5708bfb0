use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;

use crate::{
    Tags,
    metadata::{Diagnostic, MetadataLayer},
    trace::TraceIdLayer,
};

use super::{body::ResponseBody, event_layer::EventLayer, future::ResponseFuture, pending::Pending};

/// The middleware behind every layer of this crate: reads trace ids, begins the event, reads and merges tags, and runs
/// the service. Each layer switches its own part on.
#[derive(Clone, Debug)]
pub struct Tagging<S> {
    inner: S,
    steps: Steps,
}

/// The parts of the middleware that are on, in the order in which they run.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    pub(super) event: Option<EventLayer>,
    pub(super) trace: Option<TraceIdLayer>,
    pub(super) metadata: Option<MetadataLayer>,
}

/// A request that is about to go on to the service.
struct Begun {
    pending: Option<Box<Pending>>,
    reply: Option<(HeaderName, HeaderValue)>,
    rejection: Option<Diagnostic<'static>>,
}

impl<S> Tagging<S> {
    pub(super) fn new(inner: S, steps: Steps) -> Self {
        Self { inner, steps }
    }
}

impl Steps {
    fn begin(&self, head: &mut Parts) -> Begun {
        let existing = head.extensions.get::<Tags>().cloned();
        let mut pending = self.event.as_ref().and_then(|layer| layer.begin(head, existing.as_ref())).map(Box::new);
        if pending.is_none() && self.trace.is_none() && self.metadata.is_none() {
            return Begun { pending, reply: None, rejection: None };
        }
        let is_new = existing.is_none();
        let tags = existing.or_else(|| pending.as_ref()?.tags().cloned()).unwrap_or_default();
        // A resolver is the user's code: it runs before the lock.
        let resolved = self.metadata.as_ref().and_then(|layer| layer.resolve(head));
        let mut reply = None;
        let mut rejection = None;
        {
            let mut state = tags.state();
            if let Some(layer) = &self.trace
                && let Some(event) = state.open_event()
                && event.trace.is_unset()
            {
                let inbound = layer.read(&head.headers, event.time, &mut event.diagnostics);
                reply = layer.propagate(&inbound, &mut head.headers);
                event.trace = inbound.trace;
            }
            if let Some(layer) = &self.metadata {
                rejection =
                    state.collect(layer, |scopes, diagnostics| layer.collect(head, resolved, scopes, diagnostics));
                layer.intake().strip(&mut head.headers);
            }
        }
        if let Some(pending) = &mut pending {
            pending.ready();
        }
        if is_new {
            head.extensions.insert(tags);
        }
        Begun { pending, reply, rejection }
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
        let Begun { mut pending, reply, rejection } = self.steps.begin(&mut head);
        if let Some(reason) = rejection {
            return ResponseFuture::rejected(&reason.to_string(), pending, reply);
        }
        let request = Request::from_parts(head, body);
        let future = match &mut pending {
            Some(pending) => pending.observe(|| self.inner.call(request)),
            None => self.inner.call(request),
        };
        ResponseFuture::new(future, pending, reply)
    }
}
