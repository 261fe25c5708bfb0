//! Exports requests as spans and metrics to an OpenTelemetry collector.
//!
//! ```text
//! cargo run --example otel_collector --features full
//! ```
//!
//! The endpoint is `OTEL_EXPORTER_OTLP_ENDPOINT`, by default `http://localhost:4318`. The example sends a few requests
//! to its own service and prints how many spans the collector accepted. Requests succeed even without a collector.

use std::{error::Error, time::Duration};

use axum::{Router, extract::Path, routing::get};
use tower::ServiceExt;
use tower_tagging::{TaggingLayer, Tags, otel::Otel};

async fn order(Path(id): Path<u32>, tags: Tags) -> String {
    tags.insert("order_id", id.to_string());
    format!("order {id}\n")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Reads `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, and the other variables of the specification.
    let otel = Otel::from_env()?;
    let tagging = TaggingLayer::builder().with_env().otel(&otel).build()?;
    let delivery = tagging.delivery();
    let app = Router::new().route("/orders/{id}", get(order)).layer(tagging);

    for id in 1..=3 {
        let request = http::Request::get(format!("/orders/{id}"))
            .header("x-majordomo-team", "growth")
            .header("traceparent", format!("00-0af7651916cd43dd8448eb211c8031{id:02}-b7ad6b7169203331-01"))
            .body(axum::body::Body::empty())?;
        let response = app.clone().oneshot(request).await?;
        eprintln!("{} in trace {:?}", response.status(), response.headers()["x-trace-id"]);
        axum::body::to_bytes(response.into_body(), 1024).await?;
    }

    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|_| "http://localhost:4318".to_owned());
    let report = delivery.shutdown(Duration::from_secs(3)).await;
    match report.sink("otel spans") {
        Some(spans) if spans.is_complete() => eprintln!("exported {} spans to {endpoint}", spans.delivered),
        _ => eprintln!("no collector accepted the spans at {endpoint}:\n{report}"),
    }
    Ok(())
}
