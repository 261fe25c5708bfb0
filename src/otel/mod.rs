//! OpenTelemetry spans, metrics, and logs for every request.
//!
//! The feature `otlp` exports to an OpenTelemetry collector. [`Otel::from_env`] reads the `OTEL_…` variables:
//!
//! ```no_run
//! use std::time::Duration;
//! use tower_tagging::{TaggingLayer, otel::Otel};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let otel = Otel::from_env()?;
//! let tagging = TaggingLayer::builder().with_env().otel(&otel).build()?;
//! let delivery = tagging.delivery();
//! // … serve requests through the layer, then flush:
//! println!("{}", delivery.shutdown_blocking(Duration::from_secs(5)));
//! # Ok(())
//! # }
//! ```
//!
//! The feature `otel` alone exports to exporters and providers that you supply. [`Otel::builder`] does not read the
//! environment:
//!
//! ```
//! use tower_tagging::{
//!     TaggingLayer,
//!     otel::{Otel, TagAttributes, opentelemetry_sdk::trace::InMemorySpanExporter},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // For tests. Depend on `opentelemetry_sdk` with the feature `testing` to use this exporter.
//! let otel = Otel::builder()
//!     .span_exporter(InMemorySpanExporter::default())
//!     .tag_attributes(TagAttributes::new().deny(["card_number"]))
//!     .build()?;
//! let tagging = TaggingLayer::builder().otel(&otel).build()?;
//! # let _ = tagging;
//! # Ok(())
//! # }
//! ```
//!
//! # Spans
//!
//! A span has the `trace_id` and `span_id` of the [event](crate::Event), and the caller's span as its parent. It starts with
//! the request head and ends at the end of the response body.
//!
//! - The name is the method and the route, never the path.
//! - The attributes follow the [HTTP semantic conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/).
//!   LLM calls add attributes of the [GenAI conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/) in the
//!   [selected version](GenAiConventions), and the cost as `tower_tagging.cost.usd`.
//! - Tags become attributes as [`TagAttributes`] maps them.
//! - The id that the client sent is `tower_tagging.client_trace_id`.
//! - Diagnostics become span events.
//! - The status is an error if the response status is 500 or higher, if the service returned an error, if it panicked, or if
//!   an LLM provider reported an error in the response.
//!
//! The span's context is active while the service runs and while the response body is polled. Spans that the handler
//! starts, through the OpenTelemetry API or through `tracing-opentelemetry`, are its children. A spawned task needs the
//! context explicitly (`FutureExt::with_current_context`).
//!
//! Place the layer outside of `tower_http::trace::TraceLayer` and other instrumentation. A span that an outer layer starts
//! is not a parent of the request's span, because only the `traceparent` header identifies the caller.
//!
//! gRPC requests are reported as HTTP requests. To report a `grpc-status`, call
//! [`Tags::set_error`](crate::Tags::set_error) in the handler.
//!
//! # Metrics
//!
//! | instrument | value |
//! |---|---|
//! | `http.server.request.duration` | seconds from the request head to the end of the response body |
//! | `http.server.active_requests` | requests in progress, by method |
//! | `http.server.request.body.size`, `http.server.response.body.size` | bytes |
//! | `gen_ai.client.token.usage`, `gen_ai.client.operation.duration` | tokens and seconds of LLM calls |
//! | `tower_tagging.cost` | cost, by `currency` |
//! | `tower_tagging.delivery.events`, `….delivery.retries`, `….delivery.waiting` | events, by sink |
//! | `tower_tagging.label.overflows` | label values beyond the limit |
//!
//! Tags are labels only if you [select them](OtelBuilder::metric_labels). Labels whose values clients choose, such as tags
//! and model names, have at most [100 values](OtelBuilder::max_label_values). Further values are recorded as `__other__`.
//! For a layer that wraps a client, [`OtelBuilder::client`] names the instruments `http.client.…`.
//!
//! # Delivery
//!
//! Spans and logs go through [`Queued`](crate::sink::Queued) sinks, so an unavailable collector does not slow requests down.
//! Failed batches are retried, or split if the collector rejects them. The
//! [delivery report](crate::sink::Delivery::report) of the layer includes the counts, and its shutdown flushes spans, logs,
//! and metrics.
//!
//! # Versions
//!
//! The API uses types of the crates [`opentelemetry`] and [`opentelemetry_sdk`], which this module re-exports. Each of
//! their minor versions is a breaking change of this module.
//!
#![cfg_attr(
    not(feature = "otlp"),
    doc = "[`Otel::from_env`]: https://docs.rs/tower-tagging/latest/tower_tagging/otel/struct.Otel.html#method.from_env"
)]

mod active_requests;
mod attribute_limits;
mod attribute_list;
mod delivery_metrics;
mod distribute;
mod environment;
mod export_error;
mod exporters;
mod flush;
mod gen_ai;
mod gen_ai_conventions;
mod http_attributes;
mod instruments;
mod log_writer;
mod metric_labels;
mod otel;
mod otel_builder;
mod otel_error;
#[cfg(feature = "otlp")]
mod otlp;
mod parse_conventions_error;
mod rejections;
mod request_observer;
mod sampler;
mod span_context;
mod span_rules;
mod span_writer;
mod tag_attributes;

/// The OpenTelemetry API in the version that this module uses.
pub use opentelemetry;
/// The OpenTelemetry SDK in the version that this module uses.
pub use opentelemetry_sdk;

#[cfg(feature = "otlp")]
pub use self::otlp::{OtlpExporter, OtlpProtocol};
pub use self::{
    gen_ai_conventions::GenAiConventions, otel::Otel, otel_builder::OtelBuilder, otel_error::OtelError,
    parse_conventions_error::ParseConventionsError, tag_attributes::TagAttributes,
};
