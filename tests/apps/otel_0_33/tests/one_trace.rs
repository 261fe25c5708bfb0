//! An app whose spans come from `TraceLayer`, `#[instrument]`, and `tower-tagging`. All of them go through the app's own
//! provider to a collector, as one trace without an error, whatever the order of the layers.

#[path = "../../common/mod.rs"]
mod common;

use std::time::Duration;

use axum::{Router, extract::State, routing::get};
use common::{Clients, Collector, client, send, serve, start_upstream};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tower_http::trace::TraceLayer;
use tower_tagging::{MetadataLayer, TaggingLayer, otel::Otel, propagate::PropagateLayer, usage::UsageTap};
use tracing_subscriber::prelude::*;

#[tracing::instrument(skip_all)]
async fn load_order(clients: &Clients) -> String {
    format!("{} {}", clients.chat().await, clients.stock().await)
}

async fn order(State(clients): State<Clients>) -> String {
    load_order(&clients).await
}

/// The outermost layer of the app.
#[derive(Clone, Copy, Debug)]
enum Outermost {
    Tagging,
    /// The span of the `TraceLayer` is the root of the trace.
    TraceLayer,
    /// As before, and the app declares that its span is that of the server.
    ServerTraceLayer,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a collector, whose program ROTEL_AGENT names"]
async fn one_trace_in_any_order_of_layers() {
    let collector = Collector::start().await;
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(&collector.grpc);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter.build().unwrap())
        .with_resource(Resource::builder().with_service_name("shop").build())
        .build();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")).with_filter(only_of_the_app()));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    for outermost in [Outermost::Tagging, Outermost::TraceLayer, Outermost::ServerTraceLayer] {
        run(outermost, &collector, &provider).await;
        println!("{outermost:?} outside: one trace");
    }
    tokio::task::spawn_blocking(move || provider.shutdown().unwrap()).await.unwrap();
}

async fn run(outermost: Outermost, collector: &Collector, provider: &SdkTracerProvider) {
    let otel = Otel::builder().tracer_provider(provider).client().build().unwrap();
    let around_client = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().inherit_tags())
        .usage(UsageTap::new().trust_request().roll_up())
        .otel(&otel)
        .build()
        .unwrap();
    let otel = Otel::builder().tracer_provider(provider).build().unwrap();
    let tagging = TaggingLayer::builder().otel(&otel).also_deliver(around_client.delivery()).build().unwrap();
    let delivery = tagging.delivery();
    let client = client(around_client, |_| {});
    let client = common::Client::new(tower::Layer::layer(&PropagateLayer::new(), client));
    let clients = Clients { upstream: start_upstream().await, client };

    let routes = Router::new().route("/orders/{id}", get(self::order)).with_state(clients);
    let is_server = matches!(outermost, Outermost::ServerTraceLayer);
    let trace_layer = TraceLayer::new_for_http().make_span_with(move |_: &http::Request<_>| {
        if is_server {
            tracing::info_span!("http_request", otel.kind = "server")
        } else {
            tracing::info_span!("http_request")
        }
    });
    let app = match outermost {
        Outermost::Tagging => routes.layer(trace_layer).layer(tagging),
        Outermost::TraceLayer | Outermost::ServerTraceLayer => routes.layer(tagging).layer(trace_layer),
    };
    send(serve(app).await).await;

    let report = delivery.shutdown(Duration::from_secs(20)).await;
    assert!(report.is_complete(), "{report}");
    let flushed = provider.clone();
    tokio::task::spawn_blocking(move || flushed.force_flush().unwrap()).await.unwrap();
    let (outer, inner) = match outermost {
        Outermost::Tagging => ("GET /orders/{id}", "http_request"),
        Outermost::TraceLayer | Outermost::ServerTraceLayer => ("http_request", "GET /orders/{id}"),
    };
    let spans = collector.spans(5).await;
    spans.check(&[
        (outer, ""),
        (inner, outer),
        ("load_order", inner),
        ("chat gpt-4o", "load_order"),
        ("GET", "load_order"),
    ]);
}

/// The clients of the exporter have spans, too.
fn only_of_the_app() -> tracing_subscriber::filter::FilterFn {
    tracing_subscriber::filter::filter_fn(|metadata| metadata.target().starts_with("one_trace"))
}
