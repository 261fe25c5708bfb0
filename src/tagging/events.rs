use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::{header, request::Parts};

use crate::{
    event::{
        Clock, Event, EventPoolOwner, Facts, SystemClock, WORK,
        grpc::{GrpcMethod, method_path},
    },
    request::{OpenRequest, RequestState},
    sink::{Delivery, Isolated},
    text::{header_text, truncated},
    time::whole_micros,
    trace::{IdGenerator, RandomIds},
    usage::UsageTap,
};

use super::{
    grpc,
    known_methods::KnownMethods,
    observers::{ObserverScopes, Observers},
    request_start::RequestStart,
    work_name::WorkName,
};

/// The configuration of an [`EventLayer`](super::EventLayer).
#[derive(Clone)]
pub(super) struct Events {
    /// `None` if only observers or callers use the events.
    pub(super) sink: Option<Isolated>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGenerator>,
    pub(super) pool: EventPoolOwner,
    pub(super) observers: Observers,
    pub(super) sends_receipts: bool,
    pub(super) usage: Option<UsageTap>,
    pub(super) excludes: Option<Exclusion>,
    methods: KnownMethods,
    /// The deliveries of other layers, which are shut down together with this one.
    pub(super) others: Delivery,
}

/// Maximum length of a route that is a path, in characters.
const MAX_ROUTE_CHARS: usize = 1024;

/// A predicate that selects the requests without an event.
pub(super) type Exclusion = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

/// The start of a request.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) instant: Instant,
    time: SystemTime,
}

impl Events {
    pub(super) fn new(sink: Option<Isolated>) -> Self {
        Self {
            sink,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            pool: EventPoolOwner::new(),
            observers: Observers::default(),
            sends_receipts: false,
            usage: None,
            excludes: None,
            methods: KnownMethods::default(),
            others: Delivery::none(),
        }
    }

    /// Returns `false` if nothing consumes events, so that none are built.
    pub(super) fn is_listening(&self) -> bool {
        if self.usage.as_ref().is_some_and(UsageTap::rolls_up) {
            return true;
        }
        !self.observers.is_empty() || self.sink.as_ref().is_some_and(Isolated::is_listening)
    }

    /// Returns `false` for requests without an event. Runs user code if there is a predicate.
    pub(super) fn includes(&self, head: &Parts) -> bool {
        self.excludes.as_ref().is_none_or(|excludes| work_name(head).is_some() || !excludes(head))
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
        if let Some(WorkName(name)) = work_name(head) {
            facts.path.push_str(name);
            facts.route.push_str(name);
            return;
        }
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
        if let Some(is_sampled) = self.observers.is_sampled(trace) {
            trace.set_sampled(is_sampled);
        }
    }

    /// Announces the request to the observers.
    pub(super) fn observe(&self, facts: &mut Facts, head: &Parts) -> ObserverScopes {
        let non_empty = |text: &'_ str| !text.is_empty();
        let Facts { time, trace, method, path, route, host, is_https, attachments, .. } = facts;
        self.observers.begin(&mut RequestStart {
            time: *time,
            trace,
            method,
            path,
            route: Some(route.as_str()).filter(|route| non_empty(route)),
            host: Some(host.as_str()).filter(|host| non_empty(host)),
            is_https: *is_https,
            headers: &head.headers,
            extensions: &head.extensions,
            attachments,
        })
    }

    /// Decides whether the path of a request that looks like a gRPC call is a method of the service, and so its route.
    /// Otherwise, clients could invent routes.
    pub(super) fn settle_method(&self, facts: &mut Facts, is_answered: bool) {
        let Facts { path, route, is_route_set, grpc, rejection, .. } = facts;
        let Some(method) = method_path(path) else { return };
        if is_answered && rejection.is_none() {
            self.methods.add(method);
        } else if !self.methods.contains(method) {
            return;
        }
        *grpc = GrpcMethod::Known;
        // The route of a router may contain the method as a wildcard.
        if !*is_route_set {
            route.clear();
            route.push_str(truncated(method, MAX_ROUTE_CHARS));
        }
    }

    pub(super) fn emit(&self, event: Arc<Event>) {
        self.observers.end(&event);
        if let Some(sink) = &self.sink {
            sink.emit(event);
        }
    }

    pub(super) fn delivery(&self) -> Delivery {
        let own = self.sink.iter().map(Isolated::delivery).chain(self.observers.deliveries());
        Delivery::join(own.chain([self.others.clone()]))
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
    if grpc::is_call(head) {
        request.facts_mut().grpc = GrpcMethod::Claimed;
    }
}

/// Returns the name of the work that the head stands for.
fn work_name(head: &Parts) -> Option<&WorkName> {
    if head.method == *WORK { head.extensions.get() } else { None }
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
