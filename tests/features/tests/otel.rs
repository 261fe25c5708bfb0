//! The feature `otel`, with a custom exporter.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Tags,
    otel::{
        Otel,
        opentelemetry_sdk::{
            error::OTelSdkResult,
            metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
            trace::{SpanData, SpanExporter},
        },
    },
    usage::Usage,
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

/// Keeps the exported metrics as text.
#[derive(Clone, Debug, Default)]
struct Metrics(Arc<Mutex<String>>);

impl PushMetricExporter for Metrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.0.lock().unwrap().push_str(&format!("{metrics:?}"));
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
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

#[test]
fn recorded_usage_is_exported() {
    let (spans, metrics) = (Spans::default(), Metrics::default());
    let otel = Otel::builder().span_exporter(spans.clone()).metric_exporter(metrics.clone());
    let otel = otel.metric_interval(Duration::from_millis(20)).build().unwrap();
    let layer = tagging().otel(&otel).build().unwrap();
    let delivery = layer.delivery();
    let service = layer.without_request_body().layer(service_fn(async |request: Request<String>| {
        let tags = request.extensions().get::<Tags>().unwrap();
        tags.record_usage(Usage::tokens(2_006, 300).of("openai", "gpt-4o"));
        Ok::<_, Infallible>(Response::new(String::from("hello")))
    }));
    let response = service.oneshot(Request::new(String::new())).now_or_never().unwrap().unwrap();
    drop(response);
    wait_for(&delivery);
    let spans = format!("{:?}", spans.0.lock().unwrap());
    for text in ["gen_ai.usage.input_tokens", "2006", "gen_ai.response.model", "gpt-4o"] {
        assert!(spans.contains(text), "{text} is missing: {spans}");
    }
    let start = Instant::now();
    while !metrics.0.lock().unwrap().contains("gen_ai.client.token.usage") {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", metrics.0.lock().unwrap());
        thread::sleep(Duration::from_millis(5));
    }
}
