//! Know *who* triggered a request, *which* feature, tenant and session it belongs to, how it ended, and *what it cost*:
//! gateway-style tagging as Tower middleware, inside the service, with no proxy in between.
//!
//! One layer around an axum, hyper or any other Tower service reads headers into metadata, merges it with scopes that
//! you trust, gives every request trace ids, and emits exactly one structured event for each request to the sinks you
//! plug in.
//!
//! # Quickstart
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, routing::get};
//! use tower_tagging::{MetadataLayer, TaggingLayer, Tags, tags, metadata::Scope, sources::TagSources};
//! # #[cfg(feature = "axum")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_tagging::sink::JsonLinesSink;
//!
//! async fn handler(tags: Tags) -> String {
//!     tags.insert("document_id", "42");
//!     format!("hello {}", tags.get("_user").unwrap_or_default())
//! }
//!
//! let tagging = TaggingLayer::builder()
//!     .metadata(
//!         MetadataLayer::builder()
//!             .sources(TagSources::all().allow_list("x-user-id=_user, x-tenant=tenant")?)
//!             .scope(Scope::Workspace, tags! { "env" => "prod" }),
//!     )
//!     .sink(JsonLinesSink::stdout())
//!     .build()?;
//! let delivery = tagging.delivery();
//! let app: Router = Router::new().route("/", get(handler)).layer(tagging);
//! // axum::serve(listener, app).with_graceful_shutdown(…).await?;
//! eprintln!("{}", delivery.shutdown(Duration::from_secs(5)));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! # Map
//!
//! | module | what it is |
//! |---|---|
//! | [`metadata`](mod@metadata) | tags, scopes, their merge, limits, and what is read from headers: [`MetadataLayer`] |
//! | [`trace`] | trace ids: [`TraceIdLayer`] |
//! | [`event`] | the record of a request |
//! | [`sink`] | where events go, and the count of every event's fate |
//! | [`otel`] | with the feature `otel`: requests as spans, with metrics and logs |
//! | [`store`] | events as rows, in memory, SQLite (feature `sqlite`), or Postgres (feature `postgres`) |
//! | [`tagging`] | the layers as one: [`TaggingLayer`], [`EventLayer`], and when an event is emitted |
//! | [`usage`] | with the feature `llm`: LLM token usage and cost |
//! | [`propagate`] | with the feature `client`: tags and trace ids on outgoing calls, `PropagateLayer` |
//! | [`Tags`] | the handle that handlers and inner layers use |
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `axum` | [`Tags`] as an extractor, the matched route on the event |
//! | `jsonl` | `sink::JsonLinesSink` |
//! | `tracing` | `sink::TracingSink`, and `EventLayer::span`, a span around each request |
//! | `tokio` | `sink::ChannelSink` |
//! | `llm` | `usage`: LLM token usage and cost on every event |
//! | `otel` | `otel::Otel`: spans, metrics and logs to an OTel collector |
//! | `spool` | `sink::Spool`: events on disk that outlast an outage and a killed process |
//! | `sqlite` | `store::SqliteStore`: events in an SQLite file |
//! | `postgres` | `store::PostgresStore`: events in Postgres |
//! | `client` | `propagate`: tags and trace ids on outgoing calls; `Tags::current`, and `Tags::child` for the steps of an agent |
//! | `test-util` | `sink::MockSink`, `event::ManualClock`, `trace::SequentialIds` |
//! | `full` | all of these |
//!
//! None is on by default.
//!
//! # Promises
//!
//! - **The response is never harmed.** Body frames pass as they are, one by one; a sink that fails costs the client
//!   nothing; status codes change only where you asked for rejection.
//! - **Exactly one event for each request**, when the request is truly over, also when the client hangs up, a timeout fires or
//!   the handler panics.
//! - **Conservation.** For each sink `accepted = delivered + dropped + in flight`.
//! - **Trusted scopes come only from code.** What a client says under a trusted tag is shadowed, and visible. (Only
//!   `Precedence::Legacy` lets it win, and then in `Forced` alone it does not.)
//! - **Unknown is absent, never zero.**
//! - **Memory is bounded** on every path.
//! - **No globals, and secrets are no tags.**
//! - **Nothing is paid when nobody listens**: without a sink no event is built.
//!
#![cfg_attr(not(feature = "otel"), doc = "[`otel`]: https://docs.rs/tower-tagging/latest/tower_tagging/otel/")]
#![cfg_attr(not(feature = "llm"), doc = "[`usage`]: https://docs.rs/tower-tagging/latest/tower_tagging/usage/")]
#![cfg_attr(
    not(feature = "propagate"),
    doc = "[`propagate`]: https://docs.rs/tower-tagging/latest/tower_tagging/propagate/"
)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "a request must never panic"
    )
)]
#![deny(clippy::print_stderr, clippy::print_stdout, reason = "a library writes to sinks, not to the terminal")]

mod body;
pub mod event;
mod media;
pub mod metadata;
#[cfg(feature = "otel")]
pub mod otel;
#[cfg(feature = "propagate")]
pub mod propagate;
mod request;
mod row;
pub mod sink;
pub mod sources;
pub mod store;
mod sync;
pub mod tagging;
mod text;
mod time;
pub mod trace;
#[cfg(feature = "llm")]
pub mod usage;

#[cfg(feature = "axum")]
pub use self::request::MissingTags;
pub use self::{
    event::Event,
    metadata::{ConfigError, Metadata},
    request::{MetadataLayer, MetadataLayerBuilder, Tags},
    sink::Sink,
    sources::TagSources,
    tagging::{EventLayer, TaggingLayer},
    trace::TraceIdLayer,
};
#[cfg(feature = "propagate")]
pub use self::{propagate::PropagateLayer, request::Step};

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
