//! Nests `tracing` spans under the span of the request, and prints them instead of exporting them.
//!
//! ```text
//! cargo run --example otel_tracing --features full
//! ```

use std::{convert::Infallible, error::Error, future::Future, time::Duration};

use tower::{Layer, ServiceExt};
use tower_tagging::{
    TaggingLayer,
    otel::{
        Otel, RequestIds,
        opentelemetry::trace::TracerProvider,
        opentelemetry_sdk::{
            error::OTelSdkResult,
            trace::{SdkTracerProvider, SpanData, SpanExporter},
        },
    },
};
use tracing_subscriber::prelude::*;

/// Prints the spans of the app and of requests, which a collector would receive together.
#[derive(Clone, Debug)]
struct Printer;

impl SpanExporter for Printer {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        for span in batch {
            let context = &span.span_context;
            eprintln!("{} span {} under {}: {}", context.trace_id(), context.span_id(), span.parent_span_id, span.name);
        }
        std::future::ready(Ok(()))
    }
}

#[tracing::instrument]
async fn look_up(user: &str) -> usize {
    tracing::info_span!("query").in_scope(|| user.len())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Spans of the app.
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(Printer).with_id_generator(RequestIds::new()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
    // Excludes the spans of libraries.
    let own = tracing_subscriber::filter::filter_fn(|metadata| metadata.target().starts_with("otel_tracing"));
    tracing_subscriber::registry().with(layer.with_filter(own)).init();

    // Spans of requests, by the same provider.
    let otel = Otel::builder().tracer_provider(&provider).build()?;
    let tagging = TaggingLayer::builder().otel(&otel).build()?.without_request_body();
    let delivery = tagging.delivery();
    let service = tagging.layer(tower::service_fn(|_: http::Request<String>| async {
        let length = look_up("ada").await;
        Ok::<_, Infallible>(http::Response::new(format!("{length}\n")))
    }));
    let request = http::Request::get("/users/ada").header("x-portkey-trace-id", "checkout-7").body(String::new())?;
    drop(service.oneshot(request).await?);

    let report = delivery.shutdown(Duration::from_secs(5)).await;
    eprintln!("{report}");
    provider.shutdown()?;
    Ok(())
}
