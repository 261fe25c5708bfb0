//! The feature `otel`, with a custom exporter.

use std::sync::{Arc, Mutex};

use tower_tagging::otel::{
    Otel,
    opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{SpanData, SpanExporter},
    },
};
use tower_tagging_feature_tests::{request, serve, tagging, wait_for};

#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[test]
fn requests_are_exported_as_spans() {
    let spans = Spans::default();
    let otel = Otel::builder().span_exporter(spans.clone()).build().unwrap();
    let layer = tagging().otel(&otel).build().unwrap();
    let response = serve(&layer, request());
    assert!(response.headers().contains_key("x-portkey-trace-id"));
    wait_for(&layer.delivery());
    let spans = spans.0.lock().unwrap();
    assert_eq!(spans.len(), 1);
    let text = format!("{:?}", spans[0].attributes);
    assert!(text.contains("http.request.method") && text.contains("ada"), "{text}");
}
