//! An app with another version of `opentelemetry` than `tower-tagging`. Neither sees the current spans of the other, so
//! headers connect them: the app reads its parent from the headers that the layer passes on, and adds headers to its calls.

#[path = "../../common/mod.rs"]
mod common;

use std::time::Duration;

use axum::{Router, extract::State, http::HeaderMap, routing::get};
use common::{Clients, Collector, client, send, serve, start_upstream};
use opentelemetry::{
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::TracerProvider,
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tower_http::trace::TraceLayer;
use tower_tagging::{
    TaggingLayer,
    otel::{Otel, OtlpExporter, OtlpProtocol},
    usage::UsageTap,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::prelude::*;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(key), http::HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[tracing::instrument(skip_all)]
async fn load_order(clients: &Clients) -> String {
    format!("{} {}", clients.chat().await, clients.stock().await)
}

async fn order(State(clients): State<Clients>) -> String {
    load_order(&clients).await
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

    let otlp = OtlpExporter::from_env()
        .endpoint(&collector.http)
        .protocol(OtlpProtocol::HttpProtobuf)
        .traces(true)
        .metrics(false)
        .logs(false);
    let ours = || {
        use tower_tagging::otel::opentelemetry_sdk::Resource;
        Otel::builder().otlp(otlp.clone()).resource(Resource::builder().with_service_name("shop").build())
    };
    let around_client = TaggingLayer::builder()
        .usage(UsageTap::new().trust_request().roll_up())
        .otel(&ours().client().build().unwrap())
        .build()
        .unwrap();
    let tagging =
        TaggingLayer::builder().otel(&ours().build().unwrap()).also_deliver(around_client.delivery()).build().unwrap();
    let delivery = tagging.delivery();
    // Calls are children of the app's current span.
    let client = client(around_client, |headers| {
        let context = Span::current().context();
        TraceContextPropagator::new().inject_context(&context, &mut HeadersMut(headers));
    });
    let clients = Clients { upstream: start_upstream().await, client };

    let trace_layer = TraceLayer::new_for_http().make_span_with(|request: &http::Request<_>| {
        let span = tracing::info_span!("http_request");
        // The span of the request, whose headers `tower-tagging` has replaced.
        let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
        span.set_parent(parent).unwrap();
        span
    });
    let routes = Router::new().route("/orders/{id}", get(order)).with_state(clients);
    send(serve(routes.layer(trace_layer).layer(tagging)).await).await;

    let report = delivery.shutdown(Duration::from_secs(20)).await;
    assert!(report.is_complete(), "{report}");
    tokio::task::spawn_blocking(move || provider.shutdown().unwrap()).await.unwrap();
    let spans = collector.spans(5).await;
    spans.check(&[
        ("GET /orders/{id}", ""),
        ("http_request", "GET /orders/{id}"),
        ("load_order", "http_request"),
        ("chat gpt-4o", "load_order"),
        ("GET", "load_order"),
    ]);
}

/// The clients of the exporter have spans, too.
fn only_of_the_app() -> tracing_subscriber::filter::FilterFn {
    tracing_subscriber::filter::filter_fn(|metadata| metadata.target().starts_with("one_trace"))
}
