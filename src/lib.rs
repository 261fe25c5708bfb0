//! Find out *who* triggered an HTTP call, *which* feature, tenant, and session it belongs to, how it ended, and *what it
//! cost*: the capabilities of an AI gateway as Tower middleware inside your service, without a proxy.
//!
//! One layer around an axum, hyper, or other Tower service reads headers into tags, merges them with scopes that you trust,
//! gives every request trace ids, and emits exactly one structured [`Event`] per request to the sinks you plug in.
//!
//! # Quickstart
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use tower_tagging::{TagSources, TaggingLayer, Tags, sink::JsonLinesSink};
//!
//! # #[cfg(feature = "axum")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! async fn handler(tags: Tags) -> String {
//!     tags.insert("document_id", "42");
//!     format!("hello {}", tags.get("_user").unwrap_or_default())
//! }
//!
//! let tagging = TaggingLayer::builder()
//!     .sources(TagSources::new().allow_list("x-user-id=_user, x-tenant=tenant"))
//!     .sink(JsonLinesSink::stdout())
//!     .build()?;
//! let delivery = tagging.delivery();
//! let app: Router = Router::new().route("/", get(handler)).layer(tagging);
//! // axum::serve(listener, app).with_graceful_shutdown(…).await?;
//! eprintln!("{}", delivery.shutdown(Duration::from_secs(5)).await);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "axum"))]
//! # fn main() {}
//! ```
//!
//! # Map
//!
//! | module | purpose | start with |
//! |---|---|---|
//! | [`tagging`] | the layers, combined | [`TaggingLayer`], [`EventLayer`] |
//! | [`sources`] | the headers that become tags | [`TagSources`] |
//! | [`metadata`](mod@metadata) | tags, scopes, their merge, limits, diagnostics | [`Metadata`], [`metadata::Scope`] |
//! | [`trace`] | trace ids | [`TraceIdLayer`] |
//! | [`event`] | the record of a request | [`Event`] |
//! | [`usage`] | LLM token usage and cost | `usage::UsageTap` |
//! | [`sink`] | where events go, and the accounting of their delivery | [`Sink`], [`sink::Queued`] |
//! | [`store`] | events as rows: SQLite, Postgres, memory | [`store::MemoryStore`], `store::SqliteStore`, `store::PostgresStore` |
//! | [`analytics`] | answers about stored events, an HTTP API, exports | `analytics::Analytics`, `analytics::api` |
//! | [`dashboard`] | pages about requests and cost, in your own router | `dashboard::Dashboard`, `dashboard::SignIn` |
//! | [`mcp`] | tools about requests and cost, for agents | `mcp::Mcp`, `mcp::service` |
//! | [`registry`] | API keys, workspaces, contracts, claims, screening | `registry::Registry`, `registry::RegistryLayer` |
//! | [`limit`] | budgets, rate limits, alerts | `limit::LimitRule`, `limit::LimitLayer`, `limit::alerts` |
//! | [`otel`] | spans, metrics, and logs | `otel::Otel` |
//! | [`propagate`] | tags and trace ids on outgoing calls | `PropagateLayer` |
//! | [`client`] | clients whose calls are tagged and observed | `client::TaggedClient`, `client::ReqwestClient` |
//! | [`guide`] | use cases, cookbook, outgoing calls, gRPC, production, trusted tags, queries, limits, testing, adding a provider | |
//!
//! Handlers and inner layers use [`Tags`], the handle to the current request. [`Session`] and [`AgentRun`] set the tags of
//! conversations and agents.
//!
//! # Features
//!
//! All features are off by default.
//!
//! | feature | adds |
//! |---|---|
//! | `axum` | [`Tags`] as an extractor, the matched route on the event |
//! | `llm` | `usage::UsageTap`: reads LLM token usage from responses and prices it |
//! | `zstd` | `llm`, and responses with the content coding zstd (compiles a C library) |
//! | `propagate` | `propagate`: tags and trace ids on outgoing calls |
//! | `reqwest` | `propagate`, and `client::ReqwestClient` for reqwest 0.13 |
//! | `sqlite` | `store::SqliteStore`: events in an SQLite file |
//! | `postgres` | `store::PostgresStore`: events in Postgres |
//! | `analytics` | `axum`, `registry`, and `analytics::Analytics`: answers about requests and cost, an HTTP API, and exports |
//! | `parquet` | `analytics`, and exports as Parquet files |
//! | `dashboard` | `analytics`, and `dashboard::Dashboard`: pages about requests and cost |
//! | `mcp` | `analytics`, and `mcp::Mcp`: tools about requests and cost for agents, by the Model Context Protocol |
//! | `limit` | `analytics`, and `limit::LimitLayer`: budgets, rate limits, and alerts. With `postgres`, a ledger for several processes |
//! | `redis` | `limit`, and a ledger in Redis or Valkey |
//! | `registry` | `registry::Registry`: API keys, workspaces, claims, screening, and virtual keys |
//! | `schema` | `registry`, and `registry::Contract`: JSON Schema for the tags of every request |
//! | `jwt` | `registry`, and `registry::JwtVerifier`: the claims of signed tokens as trusted tags |
//! | `spool` | `sink::Spool`: events on disk that survive an outage and a killed process |
//! | `channel` | `sink::ChannelSink`: events in a bounded `tokio::sync::mpsc` channel |
//! | `otel` | `otel::Otel`: spans, metrics, and logs to OpenTelemetry providers and exporters that you supply |
//! | `otlp` | `otel`, and the OTLP exporters with TLS |
//! | `test-util` | `sink::MockSink`, `event::ManualClock`, `trace::SequentialIds` |
//! | `full` | all of them |
//!
//! # Architecture
//!
//! ```text
//!  request head ─► trace ids ─► trusted tags (registry, resolver) ─► headers captured ─► [contract, limits] ─► your service
//!                                                                                                                   │
//!  client ◄── frames, unchanged ◄── response body, observed (bytes, first byte, LLM usage) ◄────────────────────────┘
//!                                              │ once: end, error, or drop
//!                                              ▼
//!                    Event ─► Sink ─► queue ─► batch writer (JSONL, OTLP, SQLite, Postgres), ledger of limits
//!                      │                                                │
//!                      │                                                ▼ in one transaction
//!                      │                                          rows and sums ─► queries ─► your code, HTTP API, pages, exports
//!                      └─ the lazy step: read, limit, merge, price; when the first reader asks
//! ```
//!
//! Headers and bodies are only captured on the request path. Reading, limiting, merging, and pricing are one lazy step. It
//! runs when a handler or a layer asks for the tags, and otherwise on the sink's thread; see
//! [the lazy step](Event#the-lazy-step). A guard moves from the response future into the response body and emits the event
//! exactly once; see [when the event is emitted](tagging#when-the-event-is-emitted).
//!
//! Modules only use modules above them in this list: leaves (text, media types, time), `body`, `metadata`, `sources`, `trace`,
//! `usage`, `event`, `row`, `request`, `sink`, `propagate`, `tagging`, `client`, `otel`, `store`, `registry`,
//! `analytics`, `limit`, `view`, `dashboard`, `mcp`. A test enforces it.
//!
//! # Guarantees
//!
//! - **The response is never harmed.** Body frames pass unchanged, one by one. A sink that fails does not affect the client.
//!   Status codes change only if you asked for rejection.
//! - **Exactly one event per request**, once the request has really ended, also if the client disconnects, a timeout fires, or
//!   the handler panics.
//! - **Conservation.** For each sink, `accepted = delivered + dropped + in flight`.
//! - **Trusted scopes come only from code.** A client's value under a trusted tag is shadowed and visible. (Only
//!   [`Precedence::Legacy`](metadata::Precedence::Legacy) lets the client win, except over `Forced`.)
//! - **Unknown is absent, never zero.**
//! - **Memory is bounded** on every path.
//! - **No global configuration**: sinks, clocks, and prices are values that you pass to a layer.
//! - **Secrets are not tags.**
//! - **No listener, no cost**: without a sink or an observer, no event is built.
//!
#![cfg_attr(
    not(feature = "analytics"),
    doc = "[`analytics`]: https://docs.rs/tower-tagging/latest/tower_tagging/analytics/"
)]
#![cfg_attr(
    not(feature = "dashboard"),
    doc = "[`dashboard`]: https://docs.rs/tower-tagging/latest/tower_tagging/dashboard/"
)]
#![cfg_attr(not(feature = "limit"), doc = "[`limit`]: https://docs.rs/tower-tagging/latest/tower_tagging/limit/")]
#![cfg_attr(not(feature = "mcp"), doc = "[`mcp`]: https://docs.rs/tower-tagging/latest/tower_tagging/mcp/")]
#![cfg_attr(not(feature = "otel"), doc = "[`otel`]: https://docs.rs/tower-tagging/latest/tower_tagging/otel/")]
#![cfg_attr(
    not(feature = "propagate"),
    doc = "[`propagate`]: https://docs.rs/tower-tagging/latest/tower_tagging/propagate/"
)]
#![cfg_attr(not(feature = "propagate"), doc = "[`client`]: https://docs.rs/tower-tagging/latest/tower_tagging/client/")]
#![cfg_attr(
    not(feature = "registry"),
    doc = "[`registry`]: https://docs.rs/tower-tagging/latest/tower_tagging/registry/"
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

#[cfg(feature = "analytics")]
pub mod analytics;
mod body;
#[cfg(feature = "propagate")]
pub mod client;
mod config_error;
#[cfg(feature = "dashboard")]
pub mod dashboard;
pub mod event;
mod headers;
#[cfg(any(feature = "jwt", feature = "limit"))]
mod https;
#[cfg(feature = "limit")]
pub mod limit;
#[cfg(feature = "mcp")]
pub mod mcp;
mod media;
pub mod metadata;
#[cfg(feature = "otel")]
pub mod otel;
#[cfg(feature = "propagate")]
pub mod propagate;
#[cfg(feature = "registry")]
pub mod registry;
mod request;
mod row;
mod short_text;
pub mod sink;
pub mod sources;
pub mod store;
mod sync;
pub mod tagging;
mod text;
mod time;
pub mod trace;
pub mod usage;
#[cfg(any(feature = "dashboard", feature = "mcp"))]
#[cfg_attr(not(feature = "dashboard"), allow(dead_code, reason = "answers to agents only write these URLs"))]
mod view;

#[cfg(feature = "propagate")]
pub use self::propagate::PropagateLayer;
#[cfg(feature = "axum")]
pub use self::request::MissingTags;
pub use self::{
    config_error::ConfigError,
    event::Event,
    metadata::{Metadata, Scope},
    request::{AgentRun, Session, Step, Tags, WithTags},
    sink::Sink,
    sources::TagSources,
    tagging::{EventLayer, MetadataLayer, TaggingLayer},
    trace::TraceIdLayer,
};

pub mod guide;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
