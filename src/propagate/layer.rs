use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use http::{Extensions, HeaderMap, HeaderValue, Request, Uri};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Step, Tags,
    config_error::ConfigError,
    trace::{TRACEPARENT, TRACESTATE},
};

use super::{Destination, Origin, Propagated, hosts::Hosts};

/// Layer for HTTP clients that tells each destination what it may know of the current request; see the [module](super).
///
/// The request's body, the response and the error stay what they are. A clone shares its counts.
///
/// Around a client that has a [`TaggingLayer`](crate::TaggingLayer) of its own, this layer belongs outside of that one, which
/// then sees the call as a part of our trace; inside of it, the call's own tags are what goes out.
#[derive(Clone, Debug)]
pub struct PropagateLayer {
    hosts: Arc<Hosts>,
    overwrites: bool,
    left_out: Arc<AtomicU64>,
}

impl Default for PropagateLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl PropagateLayer {
    /// Sends the trace context everywhere, and no tag anywhere.
    pub fn new() -> Self {
        Self { hosts: Arc::default(), overwrites: false, left_out: Arc::default() }
    }

    /// What the hosts of a pattern are told: `api.example.com`, or `*.example.com` for all hosts below one but not itself;
    /// with a port, `localhost:8080`, only at that port. Of several patterns the closest counts.
    ///
    /// # Errors
    ///
    /// Returns an error if the pattern is anything else, such as a URL.
    pub fn host(mut self, pattern: &str, destination: Destination) -> Result<Self, ConfigError> {
        Arc::make_mut(&mut self.hosts).add(pattern, destination)?;
        Ok(self)
    }

    /// What all other hosts are told: by default the trace context alone. [`Destination::nothing`] keeps it in the house.
    #[must_use]
    pub fn other_hosts(mut self, destination: Destination) -> Self {
        Arc::make_mut(&mut self.hosts).other = destination;
        self
    }

    /// Whether headers that the outgoing request already has are replaced, `traceparent` among them. By default they stay.
    #[must_use]
    pub fn overwrite(mut self, overwrites: bool) -> Self {
        self.overwrites = overwrites;
        self
    }

    /// How many tags were to go out and did not, because a dialect can't say them; each counts once for each dialect.
    /// [`Destination::propagate`] says which and why.
    pub fn left_out_total(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn write(&self, uri: &Uri, extensions: &Extensions, headers: &mut HeaderMap) {
        let Some(origin) = origin(extensions) else { return };
        let is_own = |theirs: &HeaderValue| *theirs == origin.tags.trace().traceparent();
        let writes_pair = self.overwrites || headers.get(TRACEPARENT).is_none_or(is_own);
        let Propagated { headers: ours, left_out } = self.hosts.destination(uri, headers).propagate(origin);
        self.left_out.fetch_add(u64::try_from(left_out.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if writes_pair && ours.contains_key(TRACEPARENT) {
            // It may belong to no trace, or to another one.
            headers.remove(TRACESTATE);
        }
        for (name, value) in &ours {
            let may_write = match name {
                name if name == TRACEPARENT || name == TRACESTATE => writes_pair,
                name => self.overwrites || !headers.contains_key(name),
            };
            if may_write {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// On whose behalf a request goes out.
fn origin(extensions: &Extensions) -> Option<Origin> {
    if let Some(step) = extensions.get::<Step>() {
        return Some(step.into());
    }
    match (extensions.get::<Tags>(), Step::current()) {
        (Some(tags), Some(step)) if step.tags().is_of_same_request(tags) => Some(step.into()),
        (Some(tags), _) => Some(tags.into()),
        (None, _) => Origin::current(),
    }
}

impl<S> Layer<S> for PropagateLayer {
    type Service = Propagate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Propagate { inner, layer: self.clone() }
    }
}

/// The middleware of [`PropagateLayer`].
#[derive(Clone, Debug)]
pub struct Propagate<S> {
    inner: S,
    layer: PropagateLayer,
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
