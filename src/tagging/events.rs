use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::{header, request::Parts};

use crate::usage::UsageTap;
use crate::{
    event::{Clock, Event, EventPoolOwner, Facts, SystemClock},
    request::{OpenRequest, RequestState},
    sink::{Delivery, Isolated},
    text::header_text,
    time::whole_micros,
    trace::{IdGenerator, RandomIds},
};

use super::{
    request_observer::RequestObserver,
    request_scope::{Nested, RequestScope},
    request_start::RequestStart,
};

/// The configuration of an [`EventLayer`](super::EventLayer).
#[derive(Clone)]
pub(super) struct Events {
    pub(super) sink: Isolated,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGenerator>,
    pub(super) pool: EventPoolOwner,
    /// The outermost first.
    pub(super) observers: Vec<Arc<dyn RequestObserver>>,
    pub(super) sends_receipts: bool,
    pub(super) usage: Option<UsageTap>,
}

/// The start of a request.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) instant: Instant,
    time: SystemTime,
}

impl Events {
    pub(super) fn new(sink: Isolated) -> Self {
        Self {
            sink,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            pool: EventPoolOwner::new(),
            observers: Vec::new(),
            sends_receipts: false,
            usage: None,
        }
    }

    /// Returns `false` if nothing consumes events, so that none are built.
    pub(super) fn is_listening(&self) -> bool {
        if self.usage.as_ref().is_some_and(UsageTap::rolls_up) {
            return true;
        }
        !self.observers.is_empty() || self.sink.is_listening()
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.instant()
    }

    pub(super) fn start(&self) -> Start {
        Start { instant: self.now(), time: whole_micros(self.clock.now()) }
    }

    pub(super) fn new_state(&self) -> RequestState {
        RequestState::recycled(&self.pool)
    }

    /// Writes the facts of the request head.
    pub(super) fn describe(&self, head: &Parts, start: Start, facts: &mut Facts) {
        facts.time = start.time;
        facts.id = self.ids.event_id(start.time);
        facts.method = head.method.clone();
        facts.version = head.version;
        facts.is_https = head.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        facts.path.push_str(path(head));
        // The request target takes precedence: RFC 9112, section 3.2.2, and RFC 9113, section 8.3.1.
        if let Some(authority) = head.uri.authority() {
            // Credentials precede an `@`.
            facts.host.push_str(authority.as_str().rsplit('@').next().unwrap_or_default());
        } else if let Some(host) = head.headers.get(header::HOST) {
            facts.host.push_str(&header_text(host.as_bytes()).0);
        }
    }

    /// Generates trace ids if no layer has read any from the request.
    pub(super) fn ensure_trace(&self, request: &mut OpenRequest) {
        if !request.facts().trace.is_unset() {
            return;
        }
        request.ensure_trace(&*self.ids);
        let trace = &mut request.facts_mut().trace;
        if let Some(is_sampled) = self.observers.iter().find_map(|observer| observer.is_sampled(trace)) {
            trace.set_sampled(is_sampled);
        }
    }

    /// Announces the request to the observers.
    pub(super) fn observe(&self, request: &mut OpenRequest, head: &Parts) -> Option<Box<dyn RequestScope>> {
        if self.observers.is_empty() {
            return None;
        }
        self.ensure_trace(request);
        let facts = request.facts();
        let start = RequestStart {
            time: facts.time,
            trace: &facts.trace,
            method: &facts.method,
            path: &facts.path,
            route: facts.route(),
            host: facts.host(),
            is_https: facts.is_https,
            headers: &head.headers,
        };
        let mut outer: Option<Box<dyn RequestScope>> = None;
        for observer in &self.observers {
            // The scopes so far are entered, so that spans of this observer become children of theirs.
            let mut inner = None;
            within(&mut outer, || inner = Some(observer.begin(&start)));
            outer = match (outer, inner) {
                (Some(outer), Some(inner)) => Some(Box::new(Nested { outer, inner })),
                (outer, inner) => outer.or(inner),
            };
        }
        outer
    }

    pub(super) fn emit(&self, event: Arc<Event>) {
        for observer in &self.observers {
            observer.end(&event);
        }
        self.sink.emit(event);
    }

    pub(super) fn delivery(&self) -> Delivery {
        let observers = self.observers.iter().map(|observer| observer.delivery());
        let sinks = self.sink.is_listening().then(|| self.sink.delivery());
        Delivery::join(sinks.into_iter().chain(observers))
    }
}

/// Runs `code` within the scope, if there is one.
#[inline]
pub(super) fn within<T>(scope: &mut Option<Box<dyn RequestScope>>, code: impl FnOnce() -> T) -> T {
    let Some(scope) = scope else { return code() };
    let mut code = Some(code);
    let mut result = None;
    scope.run(&mut || {
        if let Some(code) = code.take() {
            result = Some(code());
        }
    });
    match (result, code) {
        (Some(result), _) => result,
        // The scope did not call it.
        (None, Some(code)) => code(),
        (None, None) => unreachable!("a `RequestScope` must not catch panics"),
    }
}

/// Writes the route if the router provides one and no other layer has: a layer within the router knows routes that an outer
/// layer does not.
pub(super) fn describe_route(head: &Parts, request: &mut OpenRequest) {
    #[cfg(feature = "axum")]
    if request.facts().route.is_empty()
        && let Some(route) = head.extensions.get::<axum::extract::MatchedPath>()
    {
        request.facts_mut().route.push_str(route.as_str());
    }
    #[cfg(not(feature = "axum"))]
    let _ = (head, request);
}

/// Returns the path that the client asked for. Within a nested axum router, the URI is shorter.
fn path(head: &Parts) -> &str {
    let path = head.uri.path();
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>()
        // A handler may make a call to another place with the extensions of its own request.
        && (original.0.path().ends_with(path) || path == "/")
    {
        return original.0.path();
    }
    path
}
