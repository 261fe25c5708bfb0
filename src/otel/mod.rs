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
//! eprintln!("{}", delivery.shutdown_blocking(Duration::from_secs(5)));
//! # Ok(())
//! # }
//! ```
//!
//! An app that has its own telemetry passes its providers. Spans and metrics of requests then have its resource, its
//! sampler, and its exporters:
//!
//! ```
//! use tower_tagging::{TaggingLayer, otel::{Otel, RequestIds, opentelemetry_sdk::{Resource, trace::SdkTracerProvider}}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = SdkTracerProvider::builder()
//!     .with_resource(Resource::builder().with_service_name("shop").build())
//!     .with_id_generator(RequestIds::new())
//!     .build();
//! let otel = Otel::builder().tracer_provider(&provider).build()?;
//! let tagging = TaggingLayer::builder().otel(&otel).build()?;
//! # let _ = tagging;
//! // At the end: first the delivery of the layer, then the provider.
//! # Ok(())
//! # }
//! ```
//!
//! The feature `otel` alone also exports to exporters that you supply. [`Otel::builder`] reads only the resource from the
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
//! A span has the `trace_id` and `span_id` of the [event](crate::Event). It starts with the request head and ends at the end
//! of the response body.
//!
//! - The name is the method and the route (`GET /users/{id}`), never the path. Without a route, it is the method. A call of an
//!   LLM, in a layer around a [client](OtelBuilder::client), is named after the operation and the model (`chat gpt-4o`).
//! - The attributes follow the [HTTP semantic conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/).
//!   `client.address` and `network.peer.address` need axum's `ConnectInfo<SocketAddr>`, or a `SocketAddr`, in the request
//!   extensions. Behind a proxy, use [`trust_forwarded_headers`](OtelBuilder::trust_forwarded_headers).
//! - LLM calls add attributes of the [GenAI conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/) in the
//!   [selected version](GenAiConventions), and the cost as `tower_tagging.cost.usd`.
//! - Tags become attributes as [`TagAttributes`] maps them.
//! - The id that the client sent is `tower_tagging.client_trace_id`.
//! - Diagnostics become span events.
//! - The status is an error if the response status is 500 or higher, or 400 or higher for a call. It is also an error if the
//!   service returned an error, if it panicked, or if an LLM provider reported an error in the response.
//! - A request that is cancelled is not an error. It has the attribute `tower_tagging.cancelled`, as do the metrics of
//!   durations and sizes.
//! - If the calls of a request have their own spans and are [rolled up](crate::Tags::record_call) to it, its sums are
//!   attributes `tower_tagging.rolled_up.…`. The `gen_ai.…` attributes are only on the spans of the calls, so that a sum over
//!   all spans counts each call once.
//!
//! # Nesting
//!
//! The parent of a request's span is the first of these:
//!
//! 1. The current span of this process, if there is one: of the OpenTelemetry API, or of `tracing` with
//!    `tracing-opentelemetry`, unless its context activation is switched off. An outer layer has started it, and its trace
//!    is the one that the app's other spans are in. If the client's `traceparent` names another trace, the span has a link
//!    to it, and the event has it as [`linked_trace_id`](crate::trace::TraceContext::linked_trace_id).
//!    [`adopt_current_span`](OtelBuilder::adopt_current_span) turns this off.
//! 2. The span that the client named in `traceparent`.
//!
//! For a layer around a client, a `traceparent` of the outgoing request has precedence if it names another span of the same
//! trace, because whoever wrote it was closer to the call.
//!
//! The span's context is active while the service runs and while the response body is polled. Spans that the handler
//! starts, through the OpenTelemetry API or through `tracing-opentelemetry`, are its children. A spawned task needs the
//! context explicitly (`FutureExt::with_current_context`).
//!
//! ## One span of the kind `SERVER`
//!
//! Dashboards and service graphs count spans of the kind `SERVER`. With `tower_http::trace::TraceLayer`, each of these
//! combinations has one:
//!
//! | span of the `TraceLayer` | order, from the outside | its kind | kind of the request's span |
//! |---|---|---|---|
//! | none: remove the layer | | | `SERVER` |
//! | default, or `info_span!("request")` | tagging, `TraceLayer` | `INTERNAL` | `SERVER` |
//! | default, or `info_span!("request")` | `TraceLayer`, tagging | `INTERNAL` | `SERVER` |
//! | `info_span!("request", otel.kind = "server")` | `TraceLayer`, tagging | `SERVER` | `INTERNAL` |
//!
//! Only `otel.kind = "server"` on a `TraceLayer` *inside* of the tagging layer makes two. Remove that field, or place the
//! `TraceLayer` outside. In axum, the layer that is added last is the outermost one:
//!
//! ```
//! # use axum::{Router, routing::get};
//! # use tower_http::trace::TraceLayer;
//! # use tower_tagging::{TaggingLayer, otel::Otel};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let tagging = TaggingLayer::builder().otel(&Otel::builder().build()?).build()?;
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(|| async { "ada" }))
//!     .layer(TraceLayer::new_for_http())
//!     .layer(tagging);
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! Within a span of the process, the kind is detected by the field `otel.kind` of the current `tracing` span. A span that was
//! started without `tracing` counts as one of the kind `SERVER`.
//! [`nested_span_kind`](OtelBuilder::nested_span_kind) sets the kind instead.
//!
//! Spans of gRPC calls have the `rpc.…` attributes in addition, and their `grpc-status` determines the status of the span; see
//! [`guide::grpc`](crate::guide::grpc).
//!
//! # Metrics
//!
//! | instrument | value |
//! |---|---|
//! | `http.server.request.duration` | seconds from the request head to the end of the response body |
//! | `http.server.active_requests` | requests in progress, by method and scheme |
//! | `http.server.request.body.size`, `http.server.response.body.size` | bytes |
//! | `gen_ai.client.token.usage`, `gen_ai.client.operation.duration` | tokens and seconds of LLM calls |
//! | `tower_tagging.cost` | cost, by `currency` |
//! | `tower_tagging.delivery.events`, `….delivery.retries`, `….delivery.waiting` | events, by sink |
//! | `tower_tagging.label.overflows` | label values beyond the limit |
//!
//! Tags are labels only if you [select them](OtelBuilder::metric_labels). Labels whose values clients choose, such as tags
//! and model names, have at most [100 values](OtelBuilder::max_label_values). `http.route` has at most 1,000, unless that number
//! is set higher. Further values are recorded as `__other__`.
//! For a layer that wraps a client, [`OtelBuilder::client`] names the instruments `http.client.…`.
//!
//! Tokens and costs of a call are recorded once. If the layer around the client exports metrics, the request that the call
//! is rolled up to adds only what it has in addition.
//!
//! `examples/otel` in the repository has a Grafana dashboard for these metrics, and a collector to try it with.
//!
//! # As a sink
//!
//! An [`Otel`] is also a [`Sink`](crate::sink::Sink), for instance within a [`Filter`](crate::sink::Filter). It then sees only the
//! events: the service does not run within the span, and a [provider](OtelBuilder::tracer_provider) creates the span once the
//! request has ended, with its times. The span has the ids of the event only with the id generator [`RequestIds`]. If the
//! provider creates no span, because it was shut down, the event counts as dropped.
//!
//! # Delivery
//!
//! Spans and logs go through [`Queued`](crate::sink::Queued) sinks, so an unavailable collector does not slow requests down.
//! Their names are `otel spans` and `otel logs`. Each event passes through a first queue, `otel metrics`, that records metrics
//! and leaves out spans that are not sampled. Without metrics it is called `otel events`.
//! Failed batches are retried, or split if the collector rejects them. The
//! [delivery report](crate::sink::Delivery::report) of the layer includes the counts, and its shutdown flushes spans, logs,
//! and metrics. With [`also_deliver`](crate::tagging::TaggingLayerBuilder::also_deliver), one shutdown covers the layers
//! around clients as well. A layer that is dropped without a shutdown warns of the events that it has not delivered.
//!
//! # Versions
//!
//! The API uses types of the crates [`opentelemetry`] and [`opentelemetry_sdk`], which this module re-exports. Each of
//! their minor versions is a breaking change of this module.
//!
//! | the app has | current spans nest | the app's provider can be passed |
//! |---|---|---|
//! | `opentelemetry` 0.33, `tracing-opentelemetry` 0.34 | yes, in any order of the layers | yes |
//! | another version, such as 0.31 with `tracing-opentelemetry` 0.32 | by headers, as below | no: use [`Otel::from_env`] |
//! | `tracing` without OpenTelemetry | there are none | |
//!
//! Two versions in one process do not see the current spans of each other. Place the tagging layer outside, and let the app
//! read its parent from the request headers. The layer has replaced `traceparent` by its own span:
//!
//! ```
//! # use opentelemetry::propagation::TextMapPropagator;
//! use opentelemetry_http::HeaderExtractor;
//! use opentelemetry_sdk::propagation::TraceContextPropagator;
//! use tower_http::trace::TraceLayer;
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! let trace_layer = TraceLayer::new_for_http().make_span_with(|request: &http::Request<axum::body::Body>| {
//!     let span = tracing::info_span!("request");
//!     let parent = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
//!     let _ = span.set_parent(parent);
//!     span
//! });
//! # let _: axum::Router = axum::Router::new().layer(trace_layer);
//! ```
//!
//! For outgoing calls, let the app inject its current span into the headers before a layer around a client sees the request.
//! The span of the call is then a child of it:
//!
//! ```
//! # use opentelemetry::propagation::TextMapPropagator;
//! use opentelemetry_http::HeaderInjector;
//! use opentelemetry_sdk::propagation::TraceContextPropagator;
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! # let mut request = http::Request::new(());
//! let context = tracing::Span::current().context();
//! TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(request.headers_mut()));
//! ```
//!
//! The tests build an app with version 0.31 in this way and one with 0.33, and check the traces that a collector receives.
//!
//! A process cannot find out which versions of a crate it contains. `cargo tree -i opentelemetry` reports an ambiguity if
//! there are two. As a hint, a warning is logged once if a request arrives within a `tracing` span that has fields such as
//! `otel.kind`, while no span of this version is current.
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
mod end_spans;
mod environment;
mod export_error;
mod exporters;
mod flush;
mod forwarded;
mod gen_ai;
mod gen_ai_conventions;
mod http_attributes;
mod instruments;
mod local_parent;
mod log_writer;
mod methods;
mod metric_labels;
mod otel;
mod otel_builder;
mod otel_error;
#[cfg(feature = "otlp")]
mod otlp;
mod parse_conventions_error;
mod peer_address;
mod rejections;
mod request_ids;
mod request_observer;
mod request_span;
mod rpc;
mod sampler;
mod span_context;
mod span_rules;
mod span_starter;
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
    parse_conventions_error::ParseConventionsError, request_ids::RequestIds, tag_attributes::TagAttributes,
};
