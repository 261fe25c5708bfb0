#[cfg(feature = "otel")]
use std::any::Any;
use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode, Version};
use uuid::Uuid;

use crate::{
    metadata::{Diagnostic, Metadata, Scope},
    sync::lock,
    trace::TraceContext,
    usage::LlmCall,
};

use super::{
    Outcome,
    facts::Facts,
    grpc,
    pool::{Pool, Recycle},
    settle::{Settle, Settled},
};

/// The single record of a request; see the [module](super).
///
/// An event never changes. Sinks receive it as an `Arc<Event>`; any code can [build](Self::builder) one, clone it,
/// compare it, and convert it to and from JSON.
///
/// Times and durations are rounded down to microseconds, so that an event equals the one that is read from its JSON.
///
/// # Getters, JSON, and columns
///
/// The getters are flat where the JSON is nested. [`is_error`](Self::is_error) and [`is_work`](Self::is_work) are computed from
/// others. A column in milliseconds or nano-dollars has the value of the JSON in that unit; see [`store`](crate::store).
///
#[doc = include_str!("../docs/event_fields.md")]
///
/// # The lazy step
///
/// On the request path, headers and response bodies are only captured. The first call of [`metadata`](Self::metadata),
/// [`sources`](Self::sources), [`diagnostics`](Self::diagnostics), or [`llm`](Self::llm) reads, limits, merges, and prices
/// all of it at once, on the calling thread; usually that is the sink's thread. Later calls return the same values.
pub struct Event {
    pub(super) facts: Facts,
    settled: OnceLock<Settled>,
    pub(super) unsettled: Mutex<Option<Box<dyn Settle>>>,
    /// The approximate memory use of `settled` or `unsettled` when the event was finished, in bytes.
    pub(super) content_bytes: usize,
    /// The pool that the event returns to after delivery.
    home: Option<Arc<Pool<Event>>>,
}

impl Event {
    pub(super) fn new(mut facts: Facts, settled: Settled) -> Self {
        facts.round_times();
        Self { facts, content_bytes: settled.approximate_bytes(), settled: settled.into(), ..Self::empty() }
    }

    /// Creates an event that describes nothing yet.
    pub(super) fn empty() -> Self {
        Self {
            facts: Facts::default(),
            settled: OnceLock::new(),
            unsettled: Mutex::new(None),
            content_bytes: 0,
            home: None,
        }
    }

    /// Creates an empty event that returns to a pool after delivery.
    pub(super) fn pooled(home: Arc<Pool<Self>>) -> Self {
        Self { home: Some(home), ..Self::empty() }
    }

    fn settled(&self) -> &Settled {
        self.settled.get_or_init(|| match lock(&self.unsettled).as_mut() {
            Some(unsettled) => unsettled.settle(&self.facts),
            None => Settled::default(),
        })
    }

    /// Returns the id of the event, a UUIDv7.
    ///
    /// Stores use it to ignore duplicate deliveries.
    pub fn id(&self) -> Uuid {
        self.facts.id
    }

    /// Returns the time at which the request head was received.
    pub fn time(&self) -> SystemTime {
        self.facts.time
    }

    /// Returns the trace ids of the request.
    pub fn trace(&self) -> &TraceContext {
        &self.facts.trace
    }

    /// Returns the request method.
    pub fn method(&self) -> &Method {
        &self.facts.method
    }

    /// Returns the request path without the query string.
    pub fn path(&self) -> &str {
        &self.facts.path
    }

    /// Returns the matched route template, such as `/users/{id}`.
    ///
    /// For a gRPC call, it is the path, if the service [has the method](crate::guide::grpc#routes).
    ///
    /// `None` if the router does not provide one.
    pub fn route(&self) -> Option<&str> {
        self.facts.route()
    }

    /// Returns the host that the client requested.
    ///
    /// It includes the port if the client named one.
    ///
    /// The authority of the request target (HTTP/2, absolute form) takes precedence over the `Host` header, as
    /// [RFC 9112, section 3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2) requires.
    pub fn host(&self) -> Option<&str> {
        self.facts.host()
    }

    /// Returns the scheme of the request URI, or `http` if it has none.
    ///
    /// The URI has no scheme if a proxy in front of the service terminates TLS.
    #[cfg(feature = "otel")]
    pub(crate) fn scheme(&self) -> &'static str {
        if self.facts.is_https { "https" } else { "http" }
    }

    /// Returns the HTTP version of the request.
    pub fn http_version(&self) -> Version {
        self.facts.version
    }

    /// Returns the number of request body bytes that reached the service.
    ///
    /// Trailers are not counted.
    ///
    /// `None` if they were not counted; see [`RequestBodyLayer`](crate::tagging::RequestBodyLayer).
    pub fn request_body_bytes(&self) -> Option<u64> {
        self.facts.request_body_bytes
    }

    /// Returns the response status, or `None` if no response head was produced.
    pub fn status(&self) -> Option<StatusCode> {
        self.facts.status
    }

    /// Returns the status code of a gRPC call, from the trailers or headers of the response.
    ///
    /// `None` if the request is not a gRPC call, or ended without a status. The codes are those of the
    /// [specification](https://grpc.github.io/grpc/core/md_doc_statuscodes.html); `0` is `OK`.
    pub fn grpc_status(&self) -> Option<u16> {
        self.facts.grpc_status
    }

    /// Returns the service and the method of a gRPC call. For a server, `None` unless it has the method: its clients can
    /// invent names.
    #[cfg(feature = "otel")]
    pub(crate) fn rpc(&self, is_client: bool) -> Option<(&str, &str)> {
        let is_named = match self.facts.grpc {
            grpc::GrpcMethod::Known => true,
            grpc::GrpcMethod::Claimed => is_client,
            // The event was read from JSON, or the request is not a gRPC call.
            grpc::GrpcMethod::None => {
                self.grpc_status().is_some_and(|status| is_client || status != grpc::UNIMPLEMENTED)
            }
        };
        grpc::service_and_method(grpc::method_path(self.path()).filter(|_| is_named)?)
    }

    /// Returns the number of response body bytes that left the layer, without trailers.
    ///
    /// If an outer layer compresses, the client receives a different number.
    pub fn response_body_bytes(&self) -> u64 {
        self.facts.response_body_bytes
    }

    /// Returns the time from the request head to the response head.
    pub fn time_to_head(&self) -> Option<Duration> {
        self.facts.time_to_head
    }

    /// Returns the time from the request head to the first byte of the response body.
    pub fn time_to_first_byte(&self) -> Option<Duration> {
        self.facts.time_to_first_byte
    }

    /// Returns the time from the request head to the outcome.
    pub fn duration(&self) -> Duration {
        self.facts.duration
    }

    /// Returns the name of the API key that the caller used. Never the key itself.
    ///
    /// An [`Admission`](crate::tagging::Admission), such as `Registry`, sets it.
    pub fn api_key(&self) -> Option<&str> {
        self.facts.api_key.as_deref()
    }

    /// Returns the slug of the workspace that the API key belongs to.
    ///
    /// An [`Admission`](crate::tagging::Admission), such as `Registry`, sets it.
    pub fn workspace(&self) -> Option<&str> {
        self.facts.workspace.as_deref()
    }

    /// Returns the name of the provider credential that was used.
    ///
    /// An [`Admission`](crate::tagging::Admission), such as `Registry`, sets it.
    pub fn virtual_key(&self) -> Option<&str> {
        self.facts.virtual_key.as_deref()
    }

    /// Returns how the request ended.
    pub fn outcome(&self) -> Outcome {
        self.facts.outcome
    }

    /// Returns the reason why the request was rejected.
    ///
    /// `None` unless the outcome is [`Outcome::Rejected`].
    ///
    /// It is the code of the [strict mode](crate::metadata::Overflow::Reject) that rejected the request, or the reason that
    /// a layer passed to [`Tags::reject`](crate::Tags::reject). Limits set `budget` and `rate_limit`.
    pub fn rejection(&self) -> Option<&str> {
        self.facts.rejection.as_deref()
    }

    /// Returns the name of the limit rule that rejected the request.
    ///
    /// With the feature `limit`, that is the rule for which the client would have to wait longest.
    pub fn limit_rule(&self) -> Option<&str> {
        self.facts.limit_rule.as_deref()
    }

    /// Returns `true` if the request counts as an error.
    ///
    /// That is one of:
    ///
    /// - a status from 400
    /// - a [gRPC status](Self::grpc_status) other than `OK` and `CANCELLED`
    /// - the outcome [`Failed`](Outcome::Failed) or [`Panicked`](Outcome::Panicked)
    /// - an [error of the LLM provider](crate::usage::LlmCall::error) inside a successful response
    ///
    /// A client that disconnects does not cause an error. The stores, their queries, and telemetry for clients use this
    /// definition. Telemetry for servers follows OpenTelemetry, by which a status from 400 to 499 is not an error of the
    /// server, and neither is a gRPC status such as `NOT_FOUND`.
    pub fn is_error(&self) -> bool {
        let has_error_status = self.status().is_some_and(|status| status.as_u16() >= 400);
        let is_broken = matches!(self.outcome(), Outcome::Failed | Outcome::Panicked);
        let has_grpc_error = self.grpc_status().is_some_and(|status| status > grpc::CANCELLED);
        has_error_status || has_grpc_error || is_broken || self.llm().is_some_and(|call| call.error().is_some())
    }

    /// Returns the error of the request.
    ///
    /// It is the text that a handler [recorded](crate::Tags::set_error), or else the message of a panic (`panic: …`) or of
    /// the error of a body (`response body error: …`), without control characters and truncated to 1,024 characters. The
    /// message is that of the innermost [source](std::error::Error::source). It is known for boxed errors,
    /// [`io::Error`](std::io::Error), text, and with the feature `axum` for `axum::Error`. For other types, and for errors
    /// of the service, it is the name of the type.
    ///
    /// If a request body breaks off, the handler may still answer; then the
    /// request has both an error and the outcome [`Completed`](Outcome::Completed).
    pub fn error(&self) -> Option<&str> {
        self.facts.error.as_deref()
    }

    /// Returns the effective metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.settled().metadata
    }

    /// Returns the scope that set a tag of the effective metadata.
    pub fn source(&self, key: &str) -> Option<Scope> {
        self.sources().find(|(tag, _)| *tag == key).map(|(_, scope)| scope)
    }

    /// Returns the key of each tag and the scope that set it.
    ///
    /// The order is that of [`metadata`](Self::metadata).
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (&str, Scope)> {
        let Settled { metadata, sources, .. } = self.settled();
        metadata.iter().zip(sources).map(|((key, _), scope)| (key, *scope))
    }

    /// Returns the notes on what was changed or dropped.
    ///
    /// They concern tags and headers that were truncated, coerced, dropped, or shadowed, and counts that do not add up.
    ///
    /// There are at most 64 notes from reading the request, plus one for each [shadowed] tag.
    ///
    /// [shadowed]: crate::metadata::DiagnosticCode::Shadowed
    pub fn diagnostics(&self) -> &[Diagnostic<'static>] {
        &self.settled().diagnostics
    }

    /// Returns the LLM call, its usage, and its cost.
    ///
    /// `None` unless the request was recognized as a call of an LLM API, or the handler recorded usage or a cost.
    pub fn llm(&self) -> Option<&LlmCall> {
        self.settled().llm.as_deref()
    }

    /// Returns the first value of a type that observers attached to the request and that satisfies a condition.
    #[cfg(feature = "otel")]
    pub(crate) fn attachment<T: Any + Send + Sync>(&self, is_wanted: impl Fn(&T) -> bool) -> Option<&T> {
        self.facts.attachments.iter().filter_map(|value| value.downcast_ref()).find(|value| is_wanted(value))
    }

    /// Returns the approximate memory use, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        size_of::<Self>() + self.facts.heap_bytes() + self.content_bytes
    }
}

impl Recycle for Event {
    fn recycle(&mut self) {
        self.settled.take();
        self.facts.recycle();
        if let Some(unsettled) = &mut *lock(&self.unsettled) {
            unsettled.recycle();
        }
    }

    fn home(&self) -> Option<&Arc<Pool<Self>>> {
        self.home.as_ref()
    }
}

impl Clone for Event {
    /// Copies the event. Runs the [lazy step](Self#the-lazy-step) if it has not run yet.
    fn clone(&self) -> Self {
        Self::new(self.facts.clone(), self.settled().clone())
    }
}

impl PartialEq for Event {
    /// Compares everything that a serialized event contains. Runs the [lazy step](Self#the-lazy-step) of both events.
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts && self.settled() == other.settled()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id())
            .field("trace_id", self.trace().trace_id())
            .field("method", self.method())
            .field("path", &self.path())
            .field("status", &self.status())
            .field("outcome", &self.outcome())
            .field("error", &self.error())
            .field("metadata", self.metadata())
            .field("diagnostics", &self.diagnostics())
            .finish_non_exhaustive()
    }
}
