use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;

use crate::{
    Tags,
    event::Event,
    metadata::Diagnostic,
    request::{MetadataLayer, OpenRequest, State},
    trace::TraceIdLayer,
};

#[cfg(feature = "llm")]
use crate::usage::ObservedCall;

use super::{body::ResponseBody, event_layer::EventLayer, future::ResponseFuture, guard::Guard, pending::Pending};

/// The middleware behind every layer of this crate: reads trace ids, begins the event, reads and merges tags, and runs
/// the service. Each layer switches its own part on.
#[derive(Clone, Debug)]
pub struct Tagging<S> {
    inner: S,
    // Servers clone the service for each request.
    steps: Arc<Steps>,
}

/// The parts of the middleware that are on, in the order in which they run.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    pub(super) event: Option<EventLayer>,
    pub(super) trace: Option<TraceIdLayer>,
    pub(super) metadata: Option<MetadataLayer>,
}

/// A request that is about to go on to the service.
#[derive(Default)]
struct Begun {
    guard: Guard,
    reply: Option<(HeaderName, HeaderValue)>,
    rejection: Option<Box<Diagnostic<'static>>>,
}

impl<S> Tagging<S> {
    pub(super) fn new(inner: S, steps: impl Into<Arc<Steps>>) -> Self {
        Self { inner, steps: steps.into() }
    }
}

/// The tags of a request that begins.
enum Handle {
    /// Nobody else has them yet, so that nothing has to be locked.
    New(State),
    /// An outer layer gave the request its tags.
    Shared(Tags),
}

impl Handle {
    fn write<T>(&mut self, write: impl FnOnce(OpenRequest<'_>) -> T) -> Option<T> {
        match self {
            Self::New(state) => state.open().map(write),
            Self::Shared(tags) => tags.state().open().map(write),
        }
    }

    fn share(self) -> Tags {
        match self {
            Self::New(state) => Tags::of(state),
            Self::Shared(tags) => tags,
        }
    }
}

impl Steps {
    fn begin(&self, head: &mut Parts) -> Begun {
        let listening = self.event.as_ref().filter(|layer| layer.is_listening());
        if listening.is_none() && self.trace.is_none() && self.metadata.is_none() {
            return Begun::default();
        }
        let start = listening.map(EventLayer::start);
        // Tags of a request that is over are of another one, whose extensions were handed on.
        let existing = head.extensions.get::<Tags>().filter(|tags| !tags.is_finished()).cloned();
        let is_new = existing.is_none();
        let mut inherited = self.metadata.as_ref().and_then(|layer| layer.inherited(existing.as_ref()));
        let mut handle = match existing {
            Some(tags) => Handle::Shared(tags),
            None => Handle::New(listening.map_or_else(State::default, EventLayer::new_state)),
        };
        // A resolver is the user's code: it runs outside of the lock, and its panic is the request's.
        let resolves = self.metadata.as_ref().is_some_and(MetadataLayer::has_resolver);
        let (mut pending, mut onward, mut reply, mut rejection) = (None::<Pending>, None, None, None);
        handle.write(|mut request| {
            let records = listening.zip(start.as_ref()).filter(|_| request.claim());
            if let Some((layer, start)) = records {
                layer.describe(head, start, request.event);
            }
            EventLayer::describe_route(head, request.event);
            if let Some(layer) = &self.trace
                && request.event.trace.is_unset()
            {
                let Event { time, trace, tags, .. } = request.event;
                onward = Some(layer.read(&head.headers, *time, trace, tags.early_notes()));
            }
            if let Some((layer, start)) = records {
                pending = Some(layer.observe(request.event, start, head));
            }
            if !resolves && let Some(layer) = &self.metadata {
                let trusted = layer.trusted(head, inherited.take());
                rejection = request.begin_tags(layer, head, trusted).map(Box::new);
            }
        });
        #[cfg(feature = "llm")]
        if let (Some(layer), Some(pending)) = (listening, &mut pending) {
            if layer.has_exchange_hook() {
                // The user's code, as above.
                let tags = handle.share();
                pending.armed(&tags);
                handle = Handle::Shared(tags);
            }
            if let Some(exchange) = pending.detect(head) {
                let spare = handle.write(|request| request.event.spare_llm.take()).flatten();
                pending.observe(exchange, spare.unwrap_or_else(ObservedCall::empty));
            }
        }
        if resolves && let Some(layer) = &self.metadata {
            let tags = handle.share();
            let trusted = match &mut pending {
                Some(pending) => pending.armed(&tags).run(|| layer.trusted(head, inherited)),
                None => layer.trusted(head, inherited),
            };
            handle = Handle::Shared(tags);
            handle.write(|mut request| rejection = request.begin_tags(layer, head, trusted).map(Box::new));
        }
        if let Some(layer) = &self.metadata {
            layer.strip(&mut head.headers);
        }
        // Last: what goes on is nothing that the client said, and no tag.
        if let Some(onward) = onward {
            let write = |request: OpenRequest<'_>| onward.write(&request.event.trace, &mut head.headers);
            reply = handle.write(write).flatten();
        }
        let tags = handle.share();
        if let Some(pending) = &mut pending {
            pending.armed(&tags);
        }
        let guard = Guard::new(pending, &tags, is_new);
        if is_new {
            head.extensions.insert(tags);
        }
        Begun { guard, reply, rejection }
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
        let Begun { mut guard, reply, rejection } = self.steps.begin(&mut head);
        if let Some(reason) = rejection {
            return ResponseFuture::rejected(&reason, guard, reply);
        }
        let future = guard.run(|| self.inner.call(Request::from_parts(head, body)));
        ResponseFuture::new(future, guard, reply)
    }
}
