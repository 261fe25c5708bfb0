use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, Method};

use crate::{event::Event, sink::Delivery, trace::TraceContext};

/// Observes requests while they run, for telemetry that cannot wait for the event: the current span of a tracing system,
/// counts of active requests, quotas.
///
/// Register one with [`EventLayer::observer`](crate::EventLayer::observer). The calls happen on the request path, also while
/// a panic unwinds: they must not block or panic.
pub trait RequestObserver: Send + Sync + 'static {
    /// Decides whether a trace that starts here is recorded. `None` leaves the decision to others; the default is to record.
    ///
    /// It is called only if no [`TraceIdLayer`](crate::TraceIdLayer) has set the trace ids.
    fn is_sampled(&self, trace: &TraceContext) -> Option<bool> {
        let _ = trace;
        None
    }

    /// Called once per request, before the service. The returned scope is dropped when the request ends, immediately before
    /// its event is emitted.
    fn begin(&self, request: &RequestStart<'_>) -> Box<dyn RequestScope>;

    /// Called once per request with its event, immediately before the event is emitted to the sinks.
    fn end(&self, event: &Arc<Event>) {
        let _ = event;
    }

    /// Returns the handle to what the observer still has to deliver. The layer's
    /// [`delivery`](crate::EventLayer::delivery) includes it, after the sinks.
    fn delivery(&self) -> Delivery {
        Delivery::none()
    }
}

/// The part of a request that a [`RequestObserver`] follows.
pub trait RequestScope: Send {
    /// Calls `poll` exactly once. It calls or polls the service, or polls the response body.
    fn run(&mut self, poll: &mut dyn FnMut());
}

/// The facts about a request that are known at its start.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestStart<'a> {
    /// The time at which the request head was received.
    pub time: SystemTime,
    /// The trace ids of the request.
    pub trace: &'a TraceContext,
    /// The request method.
    pub method: &'a Method,
    /// The request path without the query string.
    pub path: &'a str,
    /// The matched route template, if the router provides one.
    pub route: Option<&'a str>,
    /// The host that the client asked for.
    pub host: Option<&'a str>,
    /// The scheme of the request URI is `https`.
    pub is_https: bool,
    /// The request headers.
    pub headers: &'a HeaderMap,
}

/// Two scopes, one within the other.
pub(super) struct Nested {
    pub(super) outer: Box<dyn RequestScope>,
    pub(super) inner: Box<dyn RequestScope>,
}

impl RequestScope for Nested {
    fn run(&mut self, poll: &mut dyn FnMut()) {
        let Self { outer, inner } = self;
        outer.run(&mut || inner.run(poll));
    }
}
