//! The layers as one: [`TaggingLayer`], and the service, future and bodies that all layers share.
//!
//! [`TaggingLayer`] composes [`TraceIdLayer`](crate::TraceIdLayer), [`EventLayer`] and [`MetadataLayer`](crate::MetadataLayer)
//! into one service, with [`RequestBodyLayer`] inside of it:
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_tagging::{EventLayer, MetadataLayer, TaggingLayer, Tags, sources::TagSources};
//! # use tower_tagging::sink::Fanout;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sink = Fanout::new();
//! let tagging = TaggingLayer::builder()
//!     .metadata(MetadataLayer::builder().sources(TagSources::portkey().allow_list("x-tenant=tenant")))
//!     .sink(sink)
//!     .build()?;
//! let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(tagging);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to put it
//!
//! Around everything whose outcome counts: outside of timeouts and panic catchers an event tells what the client
//! got (`completed`, status 500); inside of them what the service did (`cancelled`, `panicked`). In axum,
//! `Router::layer` applied after the routes gives the event its route. Outside of `CompressionLayer` the event counts
//! compressed bytes, inside of it plain ones.
//!
//! Layers of this crate may be nested, for example one around the app and another around a part of it with more scopes: they
//! work on the same [`Tags`](crate::Tags), under the rules of the outermost; where both have a trusted tag of one scope the
//! inner one's counts, of one from headers the outer one's, and the outermost [`EventLayer`] alone emits the event. A proxy
//! that hands a request on with its extensions hands on its tags as well; for an event of its own for the outgoing call,
//! `request.extensions_mut().remove::<Tags>()` first.
//!
//! # Request bodies
//!
//! Counting the bytes of a request body, or reading `user` out of it, changes the body's type to [`RequestBody`]. Routers of
//! axum and every service that is generic over its body accept that. Within a `ServiceBuilder`, a middleware of axum's
//! `from_fn` right inside of the layer does not: add the two by a `Router::layer` each, this one last. For one that is not,
//! such as a hyper `service_fn` over `Request<Incoming>`, leave that layer out with [`TaggingLayer::without_request_body`]:
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
//! Exactly once, when the request is over. A guard sits in the response future and moves into the response body:
//!
//! | what happens | outcome |
//! |---|---|
//! | the body ends: its end, trailers, a frame after which it says it is at its end, or all bytes of `Content-Length` | `completed` |
//! | the body is dropped before, but the request is HEAD, the status 204 or 304 | `completed` |
//! | the future or the body is dropped before the end | `cancelled` |
//! | the service or the body returns an error | `failed` |
//! | the service or the body panics | `panicked` |
//! | the response is 101, or 2xx to CONNECT | `upgraded`, at the head |
//! | a strict mode answers in place of the service | `rejected` |
//!
//! Some clients close the connection at the end of what they wanted, before that of the body: OpenAI's SDK for Python, and those
//! built on it, at a stream's `data: [DONE]`. Where the service ends the body only a moment later, that is `cancelled` too. Of
//! an LLM call `usage_status` says whether all of the answer had come: `reported` then.
//!
//! So over real connections; beside it what tower-http's `OnEarlyDropLayer` says of the same request. A test runs every
//! row (`cargo test --all-features --test outcomes`):
//!
#![doc = include_str!("outcomes.md")]

mod body;
mod event_layer;
mod future;
mod guard;
mod layer;
mod pending;
mod pieces;
mod receipt;
mod request_body;
mod service;

pub use self::{
    body::ResponseBody,
    event_layer::EventLayer,
    future::ResponseFuture,
    layer::{TaggingLayer, TaggingLayerBuilder, WithoutRequestBody},
    request_body::{RequestBody, RequestBodyLayer, RequestBodyService},
    service::Tagging,
};
