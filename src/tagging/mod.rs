//! The layers, combined in [`TaggingLayer`], and the service, future, and bodies that they share.
//!
//! [`TaggingLayer`] composes [`TraceIdLayer`](crate::TraceIdLayer), [`EventLayer`], and [`MetadataLayer`] into one service,
//! with [`RequestBodyLayer`] inside of it:
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_tagging::{TaggingLayer, sources::TagSources};
//! # use tower_tagging::sink::Fanout;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sink = Fanout::new();
//! let tagging = TaggingLayer::builder().sources(TagSources::portkey().allow_list("x-tenant=tenant")).sink(sink).build()?;
//! let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(tagging);
//! # Ok(())
//! # }
//! ```
//!
//! # Order of layers
//!
//! Place the layer around everything whose outcome counts. Outside of timeouts and panic handlers, an event describes what
//! the client received (`completed`, status 500). Inside of them, it describes what the service did (`cancelled`,
//! `panicked`). In axum, `Router::layer`, applied after the routes, gives the event its route. Outside of a
//! `CompressionLayer`, the event counts compressed bytes; inside of it, uncompressed bytes.
//!
//! Layers of this crate can be nested, for example one around the app and another with more scopes around a part of it. They
//! share the same [`Tags`](crate::Tags), and the rules of the outermost layer apply. If both set a trusted tag of the same
//! scope, the inner one wins; if both read the same tag from headers, the outer one wins. Only the outermost [`EventLayer`]
//! emits the event. If several layers identify the caller, the first one decides about its name and rules.
//!
//! A proxy that passes on a request with its extensions also passes on its tags. To give the outgoing call its own event,
//! remove them first: `request.extensions_mut().remove::<Tags>()`.
//!
//! # Request bodies
//!
//! Counting the bytes of a request body, or reading `user` from it, changes the type of the body to [`RequestBody`]. axum
//! routers accept that, as does every service that is generic over its body. If a service names another body type, the
//! compiler reports that it expected [`RequestBody`] and found that type:
//!
//! ```text
//! error[E0631]: type mismatch in closure arguments
//!   = note: expected closure signature `fn(http::Request<tower_tagging::tagging::RequestBody<hyper::body::Incoming>>) -> _`
//!              found closure signature `fn(http::Request<hyper::body::Incoming>) -> _`
//!
//! error[E0277]: the trait bound `Hello: Service<Request<RequestBody<Incoming>>>` is not satisfied
//!   = help: for that trait implementation, expected `hyper::body::Incoming`, found `tower_tagging::tagging::RequestBody<hyper::body::Incoming>`
//! ```
//!
//! There are three usual cases:
//!
//! - A hyper `service_fn` over `Request<Incoming>`: use [`TaggingLayer::without_request_body`], as below.
//! - In a `ServiceBuilder`, an axum `from_fn` middleware directly inside of the layer: add the two with one `Router::layer`
//!   each, this layer last.
//! - `ServiceExt::ready` or `map_response` around the layer, where the compiler "cannot satisfy `_: HttpBody`": name the request,
//!   as in `<_ as ServiceExt<Request<Body>>>::ready(&mut service)`.
//!
//! ```
//! use tower::Layer;
//! use tower_tagging::TaggingLayer;
//! # use tower_tagging::sink::Fanout;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sink = Fanout::new();
//! let tagging = TaggingLayer::from_env(sink)?.without_request_body();
//! let service = tagging.layer(tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
//!     Ok::<_, std::convert::Infallible>(http::Response::new(String::from("hello")))
//! }));
//! # Ok(())
//! # }
//! ```
//!
//! # When the event is emitted
//!
//! Exactly once, when the request has ended. A guard starts in the response future and moves into the response body:
//!
//! | what happens | outcome |
//! |---|---|
//! | the body ends: `None`, trailers, a frame after which `is_end_stream()` is true, or all bytes of `Content-Length` | `completed` |
//! | the body is dropped earlier, but the request is HEAD, or the status 204 or 304 | `completed` |
//! | the body is dropped after the end marker of an LLM stream, such as `data: [DONE]`, and a [`UsageTap`](crate::usage) reads it | `completed` |
//! | the future or the body is dropped before the end | `cancelled` |
//! | the service or the body returns an error | `failed` |
//! | the service or the body panics | `panicked` |
//! | the response is 101, or 2xx to CONNECT | `upgraded`, at the response head |
//! | a strict mode answers instead of the service, or a layer calls [`Tags::reject`](crate::Tags::reject) | `rejected` |
//!
//! For gRPC, the `grpc-status` in the trailers, or in the headers of a response without a body, decides: `UNKNOWN`,
//! `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, and `DATA_LOSS` are `failed`, `CANCELLED` is `cancelled`, and
//! all others are `completed`. A response that ends without a status is `failed`. [`Event::error`](crate::Event::error) is the
//! name of the status and its message. The route is the path, `/package.Service/Method`, if the service has the method. See
//! [`guide::grpc`](crate::guide::grpc).
//!
//! Some clients disconnect once they have what they need, before the body ends: the OpenAI SDK for Python, and those built on
//! it, disconnect at `data: [DONE]`. Without a `UsageTap`, which recognizes that marker, the outcome is `cancelled`.
//!
//! The following table was measured over real connections, next to what tower-http's `OnEarlyDropLayer` reports for the same
//! requests. A test runs every row (`cargo test --all-features --test outcomes`):
//!
#![doc = include_str!("outcomes.md")]
//!
//! # Work without a request
//!
//! [`Tags::work`](crate::Tags::work) gives queue messages, jobs, and commands the same handle, sinks, and event; see [`Work`].
//!
//! # Extending the layers
//!
//! - [`RequestObserver`] follows requests while they run: spans, counts of active requests.
//! - [`Admission`] identifies callers, and its [`Caller`] rules filter their tags and admit their requests. [`AdmissionLayer`]
//!   applies it. The registry is such an admission.
//! - [`Gate`] decides about requests whose tags are final, and may wait for the decision. Limits are such a gate.
//! - [`Tags::reject`](crate::Tags::reject) and [`Tags::diagnose`](crate::Tags::diagnose) let other layers report what they do
//!   on the event.

mod admission;
mod admission_body;
mod admission_decision;
mod admission_future;
mod admission_layer;
mod admission_service;
mod error_text;
mod event_layer;
mod events;
mod gate;
mod gate_needs;
mod gate_reply;
mod grpc;
mod guard;
mod head_only_tagging_layer;
mod known_methods;
mod metadata_layer;
mod metadata_layer_builder;
mod observers;
mod passage;
mod pending;
mod pending_call;
mod pieces;
mod read_ahead;
mod receipt;
mod replay_body;
mod request_body;
mod request_body_layer;
mod request_body_service;
mod request_observer;
mod request_scope;
mod request_span;
mod request_start;
mod response_body;
mod response_future;
mod response_meter;
mod steps;
mod tagging;
mod tagging_layer;
mod tagging_layer_builder;
mod work;
mod work_future;
mod work_guard;
mod work_name;

pub use crate::request::{Caller, Candidate, GatedRequest, Identity, Rejection, SettledTags, Verdict};

pub use self::{
    admission::Admission, admission_body::AdmissionBody, admission_future::AdmissionFuture,
    admission_layer::AdmissionLayer, admission_service::AdmissionService, event_layer::EventLayer, gate::Gate,
    gate_needs::GateNeeds, gate_reply::GateReply, head_only_tagging_layer::HeadOnlyTaggingLayer,
    metadata_layer::MetadataLayer, metadata_layer_builder::MetadataLayerBuilder, passage::Passage,
    replay_body::ReplayBody, request_body::RequestBody, request_body_layer::RequestBodyLayer,
    request_body_service::RequestBodyService, request_observer::RequestObserver, request_scope::RequestScope,
    request_start::RequestStart, response_body::ResponseBody, response_future::ResponseFuture,
    response_meter::ResponseMeter, tagging::Tagging, tagging_layer::TaggingLayer,
    tagging_layer_builder::TaggingLayerBuilder, work::Work, work_future::WorkFuture, work_guard::WorkGuard,
};
