//! Spans, metrics, and logs are decoded from OTLP and compared with the events of the same requests. Spans of the app
//! nest under the spans of requests.

mod common;
#[path = "common/otlp.rs"]
mod otlp;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Json, Router,
    body::Body,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use common::Recorder;
use futures_util::{FutureExt, StreamExt};
use http::Request;
use otlp::{Received, Receiver, Refusal, attributes, hex, labels};
use proptest::prelude::*;
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer, Tags,
    otel::{
        GenAiConventions, Otel, OtelBuilder, OtlpExporter, OtlpProtocol, TagAttributes,
        opentelemetry::{
            Context,
            trace::{FutureExt as _, Span, Status, TraceContextExt, Tracer, TracerProvider},
        },
        opentelemetry_sdk::{
            Resource,
            metrics::{
                InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
                data::{ResourceMetrics, ScopeMetrics},
            },
            trace::{InMemorySpanExporter, Sampler, SdkTracerProvider},
        },
    },
    sink::{self, DropReason},
    sources::TagSources,
    usage::UsageTap,
};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn exporter(receiver: &Receiver) -> OtlpExporter {
    OtlpExporter::from_env().endpoint(receiver.url()).protocol(OtlpProtocol::HttpProtobuf)
}

fn shop() -> OtelBuilder {
    Otel::builder().resource(Resource::builder().with_service_name("shop").build())
}

/// An app with a route for each outcome.
fn app() -> Router {
    let stream = || async {
        let chunks = futures_util::stream::iter(["a", "b", "c"]).then(|chunk| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Infallible>(chunk)
        });
        Body::from_stream(chunks)
    };
    let endless = || async { Body::from_stream(futures_util::stream::repeat(Ok::<_, Infallible>("x".repeat(1000)))) };
    let chat = |_: String| async {
        Json(json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [],
            "usage": {"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920}}}))
    };
    Router::new()
        .route("/users/{id}", get(|Path(id): Path<String>| async move { format!("user {id}") }))
        .route("/broken", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route(
            "/panic",
            get(|| async {
                assert!(std::hint::black_box(false), "a bug in the handler");
            }),
        )
        .route("/stream", get(stream))
        .route("/endless", get(endless))
        .route("/v1/chat/completions", post(chat))
}

struct Running {
    address: SocketAddr,
    recorder: Recorder,
    layer: TaggingLayer,
}

impl Running {
    async fn start(otel: &Otel) -> Self {
        let recorder = Recorder::new();
        let metadata = MetadataLayer::builder()
            .sources(TagSources::new().json_header(http::HeaderName::from_static("x-portkey-metadata")));
        let layer = TaggingLayer::builder()
            .metadata(metadata)
            .events(EventLayer::new(recorder.clone()))
            .usage(UsageTap::new())
            .otel(otel)
            .build()
            .unwrap();
        let app = app().layer(layer.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, recorder, layer }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<String> {
        use hyper_util::{client::legacy::Client, rt::TokioExecutor};
        let client = Client::builder(TokioExecutor::new()).build_http::<String>();
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = client.request(request.body(body.to_owned()).unwrap()).await.ok()?;
        let body = http_body_util::BodyExt::collect(response.into_body()).await.ok()?;
        Some(String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    /// Sends one request of each kind. The client disconnects in the middle of the last three bodies.
    async fn send_all(&self) -> Vec<Arc<Event>> {
        let tags = r#"{"_user":"ada","session_id":"s-1","tenant_id":"acme","team":"growth","_hidden":"x"}"#;
        self.send("GET", "/users/7", &[("traceparent", PARENT), ("x-portkey-metadata", tags)], "").await;
        self.send("GET", "/users/8", &[("x-portkey-trace-id", "checkout"), ("x-portkey-metadata", "[1]")], "").await;
        self.send("GET", "/nowhere", &[], "").await;
        self.send("GET", "/broken", &[], "").await;
        self.send("GET", "/panic", &[], "").await;
        self.send("GET", "/stream", &[], "").await;
        self.send("BREW", "/users/9", &[], "").await;
        let chat = [("content-type", "application/json"), ("x-portkey-metadata", tags)];
        self.send("POST", "/v1/chat/completions", &chat, r#"{"model":"gpt-4o","messages":[]}"#).await;
        for _ in 0..3 {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
            stream.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            let mut some = [0; 4096];
            stream.read_exact(&mut some).await.unwrap();
        }
        self.recorder.wait_for(11).await
    }
}

fn nanos(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Asserts that exactly one span was received for each event, with equal values.
#[track_caller]
fn assert_spans_equal(received: &Received, events: &[Arc<Event>]) {
    assert_eq!(received.spans.len(), events.len());
    for event in events {
        let id = event.trace().span_id().as_str();
        let (span, resource) = received.spans.iter().find(|(span, _)| hex(&span.span_id) == id).unwrap();
        assert_eq!(resource["service.name"], "shop");
        assert_eq!(hex(&span.trace_id), event.trace().trace_id().as_str());
        assert_eq!(hex(&span.parent_span_id), event.trace().parent_span_id().unwrap_or_default());
        assert_eq!(span.start_time_unix_nano, nanos(event.time()));
        assert_eq!(span.end_time_unix_nano, nanos(event.time() + event.duration()));
        assert_eq!(span.kind, 2, "a server span");
        let method = if event.method() == "BREW" { "HTTP" } else { event.method().as_str() };
        let name = event.route().map_or(method.to_owned(), |route| format!("{method} {route}"));
        assert_eq!(span.name, name);
        let attributes = attributes(&span.attributes);
        let attribute = |name: &str| attributes.get(name).map(String::as_str);
        assert_eq!(attribute("url.path"), Some(event.path()));
        assert_eq!(attribute("http.route"), event.route());
        assert_eq!(
            attribute("http.response.status_code").map(str::to_owned),
            event.status().map(|status| status.as_u16().to_string())
        );
        assert_eq!(attribute("tower_tagging.outcome"), Some(event.outcome().as_str()));
        // Without a response, its size is unknown.
        let size = event.status().map(|_| event.response_body_bytes().to_string());
        assert_eq!(attribute("http.response.body.size").map(str::to_owned), size);
        assert_eq!(
            attribute("server.address"),
            Some("127.0.0.1").filter(|_| event.path() != "/endless").or(Some("localhost"))
        );
        assert_eq!(attribute("network.protocol.version"), Some("1.1"));
        for (key, value) in event.metadata() {
            let name = match key {
                "_user" => "user.id".to_owned(),
                "session_id" => "session.id".to_owned(),
                "tenant_id" => "tenant.id".to_owned(),
                other => format!("metadata.{}", other.trim_start_matches('_')),
            };
            assert_eq!(attribute(&name), Some(value), "{key}");
        }
        assert!(attributes.keys().all(|name| name.split('.').all(|part| !part.starts_with('_'))), "{attributes:?}");
        let notes: Vec<_> = event.diagnostics().iter().map(|note| note.code().as_str().to_owned()).collect();
        let span_notes: Vec<_> = span
            .events
            .iter()
            .map(|note| otlp::attributes(&note.attributes)["tower_tagging.diagnostic.code"].clone())
            .collect();
        assert_eq!(span_notes, notes);
        let expects_error = matches!(event.path(), "/broken" | "/panic");
        assert_eq!(span.status.as_ref().map_or(0, |status| status.code), if expects_error { 2 } else { 0 }, "{name}");
        let kind = match event.path() {
            "/broken" => Some("503"),
            "/panic" => Some("panicked"),
            _ => None,
        };
        assert_eq!(attribute("error.type"), kind, "{name}");
        assert_eq!(attribute("tower_tagging.cancelled"), Some("true").filter(|_| event.path() == "/endless"), "{name}");
        assert_eq!(attribute("tower_tagging.parent_span_id"), None, "{name}");
    }
}

fn chat_attributes(received: &Received) -> BTreeMap<String, String> {
    let (span, _) = received.spans.iter().find(|(span, _)| span.name == "POST /v1/chat/completions").unwrap();
    attributes(&span.attributes)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_metrics_and_logs_equal_the_events() {
    let receiver = Receiver::start();
    let otel = shop().otlp(exporter(&receiver).logs(true)).metric_labels(["tenant_id", "missing"]).build().unwrap();
    let running = Running::start(&otel).await;
    // A delivery that is observed twice is counted once.
    otel.observe_delivery(&running.layer.delivery());
    let events = running.send_all().await;
    let delivery = running.layer.delivery();
    let report = delivery.shutdown(Duration::from_secs(20)).await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.sink("otel spans").unwrap().delivered, 11);
    assert_eq!(report.sink("otel logs").unwrap().delivered, 11);

    receiver.with(|received| assert_spans_equal(received, &events));
    let chat = receiver.with(chat_attributes);
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o"),
        ("gen_ai.response.model", "gpt-4o-2024-08-06"),
        ("gen_ai.usage.input_tokens", "2006"),
        ("gen_ai.usage.output_tokens", "300"),
        ("gen_ai.usage.cache_read.input_tokens", "1920"),
        ("tower_tagging.cost.usd", "0.005615"),
        ("tower_tagging.cost.status", "priced"),
        ("tower_tagging.usage.status", "reported"),
    ] {
        assert_eq!(chat.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!chat.contains_key("gen_ai.system"));

    // Metrics.
    let durations = receiver.points("http.server.request.duration");
    let total: f64 = durations.values().sum();
    assert!((total - 11.0).abs() < 0.1, "{durations:?}");
    let of_tenant = durations
        .iter()
        .find(|(labels, _)| labels.contains("http.route=/users/{id}") && labels.contains("tenant.id=acme"));
    assert!(of_tenant.is_some(), "{durations:?}");
    assert!(durations.keys().all(|labels| !labels.contains("growth") && !labels.contains("/users/7")), "{durations:?}");
    let active = receiver.points("http.server.active_requests");
    let methods: Vec<_> = active.keys().map(String::as_str).collect();
    let expected = ["GET", "POST", "_OTHER"].map(|method| format!("http.request.method={method},url.scheme=http"));
    assert_eq!(methods, expected, "a series for each method that was used");
    assert!(active.values().all(|count| *count == 0.0), "{active:?}");
    let failed = |labels: &&String| labels.contains("error.type=");
    assert_eq!(durations.keys().filter(failed).count(), 2, "{durations:?}");
    assert!(durations.keys().any(|labels| labels.contains("tower_tagging.cancelled=true")), "{durations:?}");
    let tokens = receiver.sums("gen_ai.client.token.usage");
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    for (kind, count) in [("input", 2006.0), ("output", 300.0)] {
        let of_kind = tokens.iter().find(|(labels, _)| labels.contains(&format!("gen_ai.token.type={kind}")));
        assert_eq!(of_kind.map(|(_, sum)| *sum), Some(count), "{tokens:?}");
    }
    // The sums of the histograms equal the sums of the events.
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let bytes = |count: fn(&Event) -> u64| events.iter().map(|event| count(event)).sum::<u64>() as f64;
    let calls: Vec<_> = events.iter().filter(|event| event.llm().is_some()).collect();
    assert_eq!(calls.len(), 1);
    for (name, expected) in [
        ("http.server.request.duration", events.iter().map(|event| event.duration().as_secs_f64()).sum::<f64>()),
        ("gen_ai.client.operation.duration", calls[0].duration().as_secs_f64()),
        ("http.server.request.body.size", bytes(|event| event.request_body_bytes().unwrap_or(0))),
        ("http.server.response.body.size", bytes(Event::response_body_bytes)),
    ] {
        let sum: f64 = receiver.sums(name).values().sum();
        assert!(expected > 0.0 && (sum - expected).abs() < 1e-9 * expected, "{name}: {sum} instead of {expected}");
    }
    let cost = receiver.points("tower_tagging.cost");
    assert_eq!(cost.len(), 1);
    let (labels_of_cost, usd) = cost.iter().next().unwrap();
    assert!((usd - 0.005_615).abs() < 1e-12 && labels_of_cost.contains("currency=USD"), "{cost:?}");
    let fates = receiver.points("tower_tagging.delivery.events");
    assert_eq!(fates.get("fate=delivered,sink=otel spans"), Some(&11.0), "{fates:?}");

    // Logs.
    receiver.with(|received| {
        assert_eq!(received.logs.len(), 11);
        for event in &events {
            let id = event.trace().span_id().as_str();
            let log = received.logs.iter().find(|log| hex(&log.span_id) == id).unwrap();
            assert_eq!(hex(&log.trace_id), event.trace().trace_id().as_str());
            assert_eq!(log.time_unix_nano, nanos(event.time() + event.duration()));
            assert_eq!(log.event_name, "tower_tagging.request");
            let (span, _) = received.spans.iter().find(|(span, _)| hex(&span.span_id) == id).unwrap();
            assert_eq!(labels(&log.attributes), labels(&span.attributes), "log and span have the same attributes");
            let severity = match event.path() {
                "/broken" | "/panic" => 17,
                "/endless" => 13,
                _ => 9,
            };
            assert_eq!(log.severity_number, severity, "{}", event.path());
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a collector: run by tests/run.sh"]
async fn passes_through_a_real_collector() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run.sh"));
    let agent = variable("ROTEL_AGENT");
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        let receiver = Receiver::start();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (grpc, http) = (free(), free());
        let mut collector = std::process::Command::new(&agent)
            .args(["start", "--exporter", "otlp", "--batch-timeout", "200ms", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-compression", "none"])
            .args(["--otlp-exporter-endpoint", &receiver.url()])
            .args(["--otlp-grpc-endpoint", &grpc.to_string(), "--otlp-http-endpoint", &http.to_string()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while std::net::TcpStream::connect(grpc).is_err() || std::net::TcpStream::connect(http).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the collector is not listening");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let endpoint = if protocol == OtlpProtocol::Grpc { grpc } else { http };
        let exporter = exporter(&receiver).endpoint(format!("http://{endpoint}")).protocol(protocol).logs(true);
        let otel = shop().otlp(exporter).build().unwrap();
        let running = Running::start(&otel).await;
        let events = running.send_all().await;
        let delivery = running.layer.delivery();
        let report = delivery.shutdown(Duration::from_secs(20)).await;
        assert!(report.is_complete(), "{protocol:?}: {report}");
        receiver.wait_for(|received| {
            received.spans.len() >= 11 && received.logs.len() >= 11 && !received.metrics.is_empty()
        });
        receiver
            .wait_for(|received| received.metrics.iter().any(|metric| metric.name == "http.server.request.duration"));
        receiver.with(|received| assert_spans_equal(received, &events));
        let total: f64 = receiver.points("http.server.request.duration").values().sum();
        assert!((total - 11.0).abs() < 0.1);
        assert!(receiver.points("http.server.active_requests").values().all(|count| *count == 0.0));
        let chat = receiver.with(chat_attributes);
        assert_eq!(chat["tower_tagging.cost.usd"], "0.005615");
        collector.kill().unwrap();
        collector.wait().unwrap();
    }
}

#[tokio::test]
async fn names_attributes_by_conventions_and_tag_mapping() {
    for (conventions, names) in [
        (GenAiConventions::System, &["gen_ai.system"][..]),
        (GenAiConventions::Both, &["gen_ai.system", "gen_ai.provider.name"]),
        (GenAiConventions::ProviderName, &["gen_ai.provider.name"]),
    ] {
        let receiver = Receiver::start();
        let tags = TagAttributes::new().allow(["team", "_user", "_hidden"]).rename("team", "app._team").deny(["_user"]);
        let otel = shop().otlp(exporter(&receiver)).gen_ai_conventions(conventions).tag_attributes(tags);
        let otel = otel.build().unwrap();
        let running = Running::start(&otel).await;
        let headers = [
            ("content-type", "application/json"),
            ("x-portkey-metadata", r#"{"team":"growth","_user":"ada","_hidden":"y","other":"z"}"#),
        ];
        running.send("POST", "/v1/chat/completions", &headers, r#"{"model":"gpt-4o"}"#).await;
        let delivery = running.layer.delivery();
        assert!(delivery.shutdown(Duration::from_secs(20)).await.is_complete());
        let chat = receiver.with(chat_attributes);
        for name in ["gen_ai.system", "gen_ai.provider.name"] {
            assert_eq!(chat.contains_key(name), names.contains(&name), "{conventions:?} {name}");
        }
        assert_eq!(chat["app.team"], "growth");
        assert_eq!(chat["metadata.hidden"], "y");
        assert!(!chat.values().any(|value| value == "ada" || value == "z"), "{chat:?}");
    }
    for version in ["1.26", "1.99", "2.0", "", "one", "1.36.1"] {
        let error = version.parse::<GenAiConventions>().unwrap_err();
        assert!(error.to_string().contains(&format!("{version:?}")), "{error}");
    }
}

proptest! {
    #[test]
    fn no_part_of_an_attribute_name_starts_with_an_underscore(key in "[a-z_.]{0,12}|\\PC{0,8}", prefix in "metadata\\.|_?[a-z]{0,3}\\.?") {
        let tags = TagAttributes::new().prefix(prefix);
        if let Some(name) = tags.name_of(&key) {
            prop_assert!(!name.is_empty());
            prop_assert!(!name.starts_with('_') && !name.contains("._"), "{:?}", name);
        }
    }
}

#[tokio::test]
async fn the_sampler_decides_the_sampled_flag() {
    for (sampler, traceparent, expected) in [
        (Sampler::AlwaysOff, None, false),
        (Sampler::AlwaysOff, Some("-01"), false),
        (Sampler::AlwaysOn, Some("-00"), true),
        (Sampler::ParentBased(Box::new(Sampler::AlwaysOff)), Some("-01"), true),
        (Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), Some("-00"), false),
        (Sampler::ParentBased(Box::new(Sampler::AlwaysOff)), None, false),
        (Sampler::TraceIdRatioBased(0.0), None, false),
        (Sampler::TraceIdRatioBased(1.0), None, true),
    ] {
        let exporter = InMemorySpanExporter::default();
        let otel = Otel::builder().span_exporter(exporter.clone()).sampler(sampler.clone()).build().unwrap();
        let recorder = Recorder::new();
        let layer = TaggingLayer::builder().sink(recorder.clone()).otel(&otel).build().unwrap();
        let service = layer.clone().layer(service_fn(|request: Request<_>| async move {
            let onward = request.headers()["traceparent"].to_str().unwrap().to_owned();
            let _: &tower_tagging::tagging::RequestBody<String> = request.body();
            Ok::<_, Infallible>(http::Response::new(onward))
        }));
        let mut request = Request::get("/");
        if let Some(flags) = traceparent {
            request = request.header("traceparent", PARENT.replace("-01", flags));
        }
        let response = service.oneshot(request.body(String::new()).unwrap()).await.unwrap();
        let onward = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        let onward = String::from_utf8(onward.to_vec()).unwrap();
        let case = format!("{sampler:?} {traceparent:?}");
        assert!(onward.ends_with(if expected { "1" } else { "0" }), "{case}: {onward}");
        assert_eq!(recorder.single().trace().sampled(), expected, "{case}: unsampled requests have events too");
        let delivery = layer.delivery();
        assert!(delivery.shutdown(Duration::from_secs(10)).await.is_complete());
        assert_eq!(exporter.get_finished_spans().unwrap().len(), usize::from(expected), "{case}");
    }
}

#[tokio::test]
async fn samples_the_configured_ratio_of_new_traces() {
    let exporter = InMemorySpanExporter::default();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
    let otel = Otel::builder().span_exporter(exporter.clone()).sampler(sampler).build().unwrap();
    let by_builder = TaggingLayer::builder().otel(&otel).build().unwrap().without_request_body();
    // An event layer on its own also generates IDs, with the same sampler.
    let alone = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
    let handler = service_fn(|_: Request<String>| async { Ok::<_, Infallible>(http::Response::new(String::new())) });
    for _ in 0..2000 {
        by_builder.clone().layer(handler).oneshot(Request::get("/").body(String::new()).unwrap()).await.unwrap();
        alone.clone().layer(handler).oneshot(Request::get("/").body(String::new()).unwrap()).await.unwrap();
    }
    let delivery = layer_delivery(&otel);
    assert!(delivery.shutdown(Duration::from_secs(10)).await.is_complete());
    let sampled = exporter.get_finished_spans().unwrap().len();
    assert!((300..500).contains(&sampled), "{sampled} of 4000");
}

/// Spans that the app creates itself.
#[derive(Clone)]
struct AppSpans {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
}

impl AppSpans {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        Self { exporter, provider }
    }

    fn start_and_end(&self, name: &'static str) {
        self.provider.tracer("app").start(name).end();
    }
}

async fn nests(uses_tracing: bool) {
    use tracing_subscriber::prelude::*;

    let app = AppSpans::new();
    // A subscriber per thread, because tests run in parallel.
    let subscriber = tracing_subscriber::registry().with(
        tracing_opentelemetry::layer()
            .with_tracer(app.provider.tracer("tracing"))
            .with_filter(tracing_subscriber::filter::filter_fn(|metadata| metadata.target().starts_with("otel"))),
    );
    let dispatch = tracing::Dispatch::new(subscriber);
    let ours = InMemorySpanExporter::default();
    let otel = Otel::builder().span_exporter(ours.clone()).build().unwrap();
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().sink(recorder.clone()).otel(&otel).build().unwrap().without_request_body();
    let (spans, with) = (app.clone(), dispatch.clone());
    let service = layer.layer(service_fn(move |_: Request<String>| {
        let (spans, dispatch) = (spans.clone(), with.clone());
        async move {
            let begin = move |name: &'static str| {
                if uses_tracing {
                    tracing::dispatcher::with_default(&dispatch, || {
                        tracing::info_span!(target: "otel", "step", otel.name = name).in_scope(|| {});
                    });
                } else {
                    spans.start_and_end(name);
                }
            };
            begin("before");
            tokio::task::yield_now().await;
            begin("after an await");
            let in_task = begin.clone();
            // A spawned task needs the context explicitly.
            tokio::spawn(async move { in_task("in a task") }.with_context(Context::current())).await.unwrap();
            let chunks = futures_util::stream::iter(0..3).then(move |chunk| {
                begin("within the body");
                async move {
                    tokio::task::yield_now().await;
                    Ok::<_, Infallible>(http_body::Frame::data(bytes::Bytes::from(vec![b'x'; chunk + 1])))
                }
            });
            Ok::<_, Infallible>(http::Response::new(http_body_util::StreamBody::new(Box::pin(chunks))))
        }
    }));
    let outer = Context::current();
    let requests = (0..20).map(|_| {
        let service = service.clone();
        tokio::spawn(async move {
            let request = Request::get("/").body(String::new()).unwrap();
            let response = service.oneshot(request).await.unwrap();
            http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
            assert!(!Context::current().has_active_span(), "the context is detached after the request");
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    drop(outer);
    let events = recorder.wait_for(20).await;
    let delivery = layer_delivery(&otel);
    assert!(delivery.shutdown(Duration::from_secs(10)).await.is_complete());
    let parents = ours.get_finished_spans().unwrap();
    let children = app.exporter.get_finished_spans().unwrap();
    assert_eq!((parents.len(), children.len()), (20, 20 * 6));
    for event in events {
        let id = event.trace().span_id().as_str();
        assert!(parents.iter().any(|parent| parent.span_context.span_id().to_string() == id));
        let of_request: Vec<_> = children.iter().filter(|child| child.parent_span_id.to_string() == id).collect();
        assert_eq!(of_request.len(), 6, "each child belongs to its own request");
        for child in of_request {
            assert_eq!(child.span_context.trace_id().to_string(), event.trace().trace_id().as_str());
        }
    }
}

#[tokio::test]
async fn nests_the_tracing_span_between_the_request_and_the_app() {
    use tracing_subscriber::prelude::*;

    let app = AppSpans::new();
    let subscriber = tracing_subscriber::registry().with(
        tracing_opentelemetry::layer()
            .with_tracer(app.provider.tracer("tracing"))
            .with_filter(tracing_subscriber::filter::filter_fn(|span| span.target() == "tower_tagging::request")),
    );
    let _default = tracing::subscriber::set_default(subscriber);
    let ours = InMemorySpanExporter::default();
    let otel = Otel::builder().span_exporter(ours.clone()).build().unwrap();
    let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel).span(tracing::Level::INFO);
    let spans = app.clone();
    let service = layer.layer(service_fn(move |_: Request<String>| {
        let spans = spans.clone();
        async move {
            tokio::task::yield_now().await;
            spans.start_and_end("manual");
            Ok::<_, Infallible>(http::Response::new(String::new()))
        }
    }));
    drop(service.oneshot(Request::get("/").body(String::new()).unwrap()).await.unwrap());
    let delivery = layer_delivery(&otel);
    let report = delivery.shutdown(Duration::from_secs(10)).await;
    assert!(report.is_complete(), "{report}");
    let ours = ours.get_finished_spans().unwrap();
    let children = app.exporter.get_finished_spans().unwrap();
    let child = |name: &str| children.iter().find(|span| span.name == name).unwrap();
    let (request, manual) = (child("request"), child("manual"));
    assert_eq!(request.parent_span_id, ours[0].span_context.span_id());
    assert_eq!(manual.parent_span_id, request.span_context.span_id());
}

fn layer_delivery(otel: &Otel) -> sink::Delivery {
    tower_tagging::Sink::delivery(otel)
}

#[tokio::test(flavor = "current_thread")]
async fn nests_api_spans_on_one_thread() {
    nests(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nests_api_spans_on_many_threads() {
    nests(false).await;
}

#[tokio::test(flavor = "current_thread")]
async fn nests_tracing_spans_on_one_thread() {
    nests(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nests_tracing_spans_on_many_threads() {
    nests(true).await;
}

#[tokio::test]
async fn describes_outgoing_requests_of_a_client() {
    let ours = InMemorySpanExporter::default();
    let otel = Otel::builder().client().span_exporter(ours.clone()).build().unwrap();
    let layer = TaggingLayer::builder().otel(&otel).build().unwrap();
    let service = layer.layer(service_fn(|_: Request<tower_tagging::tagging::RequestBody<String>>| async {
        let response = http::Response::builder().status(404).body(String::new());
        Ok::<_, Infallible>(response.unwrap())
    }));
    let request = Request::post("http://api.example.com:8443/v1/things").header("traceparent", PARENT);
    drop(service.oneshot(request.body(String::new()).unwrap()).await.unwrap());
    let delivery = layer_delivery(&otel);
    assert!(delivery.shutdown(Duration::from_secs(10)).await.is_complete());
    let spans = ours.get_finished_spans().unwrap();
    let span = &spans[0];
    assert_eq!(format!("{:?} {}", span.span_kind, span.name), "Client POST");
    assert!(matches!(span.status, Status::Error { .. }), "a 404 is an error for a client");
    let has = |name: &str, value: &str| {
        span.attributes.iter().any(|attribute| attribute.key.as_str() == name && attribute.value.as_str() == value)
    };
    assert!(
        has("server.address", "api.example.com") && has("server.port", "8443") && has("error.type", "404"),
        "{span:?}"
    );
}

/// Requests succeed, losses are counted, and the shutdown meets its deadline, all without a Tokio runtime.
#[test]
fn works_without_a_collector_and_without_a_runtime() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        let exporter = OtlpExporter::from_env().endpoint(format!("http://{free}")).protocol(protocol);
        let otel = Otel::builder().otlp(exporter).build().unwrap();
        let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
        let service = layer
            .layer(service_fn(|_: Request<String>| async { Ok::<_, Infallible>(http::Response::new(String::new())) }));
        for _ in 0..50 {
            let request = Request::get("/").body(String::new()).unwrap();
            service.clone().oneshot(request).now_or_never().unwrap().unwrap();
        }
        let start = Instant::now();
        let report = layer.delivery().shutdown_blocking(Duration::from_millis(700));
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let spans = report.sink("otel spans").unwrap();
        assert_eq!((spans.accepted, spans.delivered), (50, 0), "{protocol:?}: {report}");
        assert_eq!(spans.dropped() + spans.in_flight(), 50, "{protocol:?}: {report}");
    }
    // With a collector, from the same thread.
    let receiver = Receiver::start();
    let otel = shop().otlp(exporter(&receiver)).build().unwrap();
    let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
    send_one(&layer);
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
    assert!(report.is_complete(), "{report}");
    assert_eq!(receiver.with(|received| received.spans.len()), 1);
}

#[test]
fn bounds_label_values_and_their_memory() {
    // Runs in a separate process, so that other tests do not affect the memory.
    if !is_alone() {
        let output = run_alone("bounds_label_values_and_their_memory", &[]);
        assert!(output.contains("1 passed"), "{output}");
        return;
    }
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).with_interval(Duration::from_secs(3600)).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let otel = Otel::builder().meter_provider(&provider).metric_labels(["_user"]).max_label_values(50).build().unwrap();
    let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
    let service = layer.layer(service_fn(|request: Request<u32>| {
        request.extensions().get::<Tags>().unwrap().insert("_user", request.body().to_string());
        std::future::ready(Ok::<_, Infallible>(http::Response::new(String::new())))
    }));
    let emit = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            let request = Request::get("/").body(number).unwrap();
            service.clone().oneshot(request).now_or_never().unwrap().unwrap();
            // The queue is bounded, but this test must not drop events.
            if number % 1024 == 0 {
                while layer_delivery(&otel).report().sinks[0].in_flight() > 2048 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    };
    emit(0..50_000);
    let before = resident_kib();
    emit(50_000..300_000);
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(60));
    assert!(report.is_complete(), "{report}");
    assert!(resident_kib().saturating_sub(before) < 16 * 1024, "{} KiB more", resident_kib().saturating_sub(before));
    provider.force_flush().unwrap();
    let metrics = exporter.get_finished_metrics().unwrap();
    let text = format!("{metrics:?}");
    let users = (0..300_000).step_by(300).filter(|number| text.contains(&format!("\"{number}\""))).count();
    assert!(users <= 50, "{users} of a thousand users have their own series");
    assert!(text.contains("__other__"));
    let metrics: Vec<_> =
        metrics.iter().flat_map(ResourceMetrics::scope_metrics).flat_map(ScopeMetrics::metrics).collect();
    let overflow = metrics.iter().rfind(|metric| metric.name() == "tower_tagging.label.overflows").unwrap();
    assert!(format!("{:?}", overflow.data()).contains("299950"), "{overflow:?}");
}

/// Returns the resident memory, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The environment variable that is set in the processes of [`run_alone`].
const ALONE: &str = "TOWER_TAGGING_TEST_ALONE";

/// Runs one test in a separate process, because environment variables belong to the process, and returns its output.
fn run_alone(test: &str, variables: &[(&str, &str)]) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env(ALONE, "1").envs(variables.iter().copied());
    let output = child.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Exports one request in a separate process with these environment variables, and returns its output.
fn exported_with(variables: &[(&str, &str)]) -> String {
    run_alone("from_env_reads_the_environment", variables)
}

/// Sends one request through a layer without a runtime.
fn send_one(layer: &EventLayer) {
    let service =
        layer.layer(service_fn(|_: Request<String>| async { Ok::<_, Infallible>(http::Response::new(String::new())) }));
    service.oneshot(Request::get("/").body(String::new()).unwrap()).now_or_never().unwrap().unwrap();
}

#[test]
fn from_env_reads_the_environment() {
    if is_alone() {
        let otel = match Otel::from_env() {
            Ok(otel) => otel,
            Err(error) => return println!("refused: {error}"),
        };
        let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
        send_one(&layer);
        let report = layer.delivery().shutdown_blocking(Duration::from_secs(5));
        return println!("complete: {}; {report}", report.is_complete());
    }
    let receiver = Receiver::start();
    let url = receiver.url();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str());
    let output = exported_with(&[endpoint, ("OTEL_SERVICE_NAME", "cart"), ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3")]);
    assert!(output.contains("complete: true"), "{output}");
    receiver.with(|received| {
        assert_eq!((received.spans.len(), received.compressed, received.logs.len()), (1, 0, 0));
        let (span, resource) = &received.spans[0];
        assert_eq!((resource["service.name"].as_str(), span.attributes.len()), ("cart", 3));
    });
    for (name, value) in
        [("OTEL_TRACES_SAMPLER", "always_off"), ("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")]
    {
        let output = exported_with(&[endpoint, (name, value)]);
        assert!(output.contains("complete: true"), "{name}: {output}");
        assert_eq!(receiver.with(|received| received.spans.len()), 1, "{name}");
    }
}

#[test]
fn ignores_the_environment_by_default() {
    if is_alone() {
        let exporter = InMemorySpanExporter::default();
        let otel = Otel::builder().span_exporter(exporter.clone()).build().unwrap();
        let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
        send_one(&layer);
        assert!(layer.delivery().shutdown_blocking(Duration::from_secs(5)).is_complete());
        return println!("exported {}", exporter.get_finished_spans().unwrap().len());
    }
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
    ] {
        let output = run_alone("ignores_the_environment_by_default", &[(name, value)]);
        assert!(output.contains("exported 1"), "{name}: {output}");
    }
}

/// The collector's certificate is issued by a private authority, and the collector requires a client certificate.
#[test]
fn exports_over_tls_with_custom_certificates() {
    use rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    };

    let folder = common::TempFolder::new("tls");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = |name: &str| format!("{}/tests/certificates/{name}", env!("CARGO_MANIFEST_DIR"));
    let [authority, chain, key] = ["authority.pem", "client.pem", "client.key"].map(certificate);
    let server = CertificateDer::from_pem_file(certificate("server.pem")).unwrap();
    let server_key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&authority).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(verifier);
    let mut config = config.with_single_cert(vec![server], server_key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let receiver = Receiver::start_tls(config);

    let endpoint = format!("https://{}", receiver.address);
    for (protocol, spans) in [("http/protobuf", 1), ("grpc", 2)] {
        let all = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &chain),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
        ];
        let output = exported_with(&all);
        assert!(output.contains("complete: true"), "{protocol}: {output}");
        // The exporter needs the authority to trust the collector, which in turn requires the client certificate.
        let (untrusted, unidentified) = std::thread::scope(|scope| {
            let untrusted = scope.spawn(|| exported_with(&all[..3]));
            let unidentified = exported_with(&all[..4]);
            (untrusted.join().unwrap(), unidentified)
        });
        assert!(untrusted.contains("complete: false"), "{protocol}: {untrusted}");
        assert!(unidentified.contains("complete: false"), "{protocol}: {unidentified}");
        receiver.with(|received| {
            assert_eq!(received.spans.len(), spans, "{protocol}");
            assert!(received.compressed >= spans, "{protocol}");
        });
    }

    let nothing = file("nothing.pem", "");
    for (variables, expected) in [
        (
            vec![("CERTIFICATE", "/nowhere.pem")],
            "invalid OTEL_EXPORTER_OTLP_CERTIFICATE \"/nowhere.pem\": cannot read the file (No such file",
        ),
        (vec![("TRACES_CERTIFICATE", &*nothing)], "nothing.pem\": expected at least one certificate in PEM format"),
        (vec![("CLIENT_KEY", &*key)], "a client key requires CLIENT_CERTIFICATE as well"),
        (vec![("CLIENT_CERTIFICATE", &*chain)], "a client certificate requires CLIENT_KEY as well"),
        (
            vec![("CLIENT_CERTIFICATE", &*chain), ("CLIENT_KEY", &*chain)],
            "client.pem\": expected a private key in PEM format",
        ),
        (
            vec![("COMPRESSION", "zstd")],
            "invalid OTEL_EXPORTER_OTLP_COMPRESSION \"zstd\": expected \"gzip\" or \"none\"",
        ),
    ] {
        let names: Vec<_> = variables.iter().map(|(name, _)| format!("OTEL_EXPORTER_OTLP_{name}")).collect();
        let variables: Vec<_> =
            names.iter().zip(&variables).map(|(name, (_, value))| (name.as_str(), *value)).collect();
        let output = exported_with(&variables);
        assert!(output.contains("refused: ") && output.contains(expected), "{variables:?}: {output}");
    }
}

#[test]
fn rejects_invalid_environment_variables() {
    if is_alone() {
        return match Otel::from_env() {
            Ok(_) => println!("accepted"),
            Err(error) => println!("refused {} times: {error}", error.problems().len()),
        };
    }
    for (variables, expected) in [
        (
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")][..],
            "refused 1 times: invalid OTEL_EXPORTER_OTLP_PROTOCOL \"carrier-pigeon\": expected \"grpc\" or",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")],
            "refused 1 times: invalid OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ),
        (
            &[("OTEL_TRACES_EXPORTER", "zipkin")],
            "refused 1 times: invalid OTEL_TRACES_EXPORTER \"zipkin\": expected \"otlp\" or \"none\"",
        ),
        (
            &[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")],
            "refused 1 times: invalid OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT \"many\": expected a number",
        ),
        (
            &[
                ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
                ("OTEL_TRACES_EXPORTER", "zipkin"),
                ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "carrier-pigeon"),
            ],
            "refused 3 times: ",
        ),
        (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "accepted"),
        (&[("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "zipkin")], "accepted"),
        (&[("OTEL_TRACES_EXPORTER", "none")], "accepted"),
    ] {
        let output = run_alone("rejects_invalid_environment_variables", variables);
        assert!(output.lines().any(|line| line.starts_with(expected)), "{variables:?}: {output}");
    }
}

/// The fate of a span or log record that the collector refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Dropped, after the rest of the batch was exported.
    Rejected,
    /// Dropped with its batch.
    Failed,
    /// Exported later.
    Retried,
}

/// The exporters report the collector's response only as text. This test fails if their wording changes.
#[test]
fn the_response_of_the_collector_decides_the_fate_of_a_batch() {
    let http = [
        (400, Fate::Rejected),
        (401, Fate::Failed),
        (403, Fate::Failed),
        (404, Fate::Failed),
        (408, Fate::Retried),
        (413, Fate::Rejected),
        (422, Fate::Rejected),
        (429, Fate::Retried),
        (500, Fate::Failed),
        (501, Fate::Failed),
        (502, Fate::Retried),
        (503, Fate::Retried),
        (504, Fate::Retried),
    ];
    let grpc = [
        (1, "CANCELLED", Fate::Retried),
        (2, "UNKNOWN", Fate::Retried),
        (3, "INVALID_ARGUMENT", Fate::Rejected),
        (4, "DEADLINE_EXCEEDED", Fate::Retried),
        (5, "NOT_FOUND", Fate::Failed),
        (6, "ALREADY_EXISTS", Fate::Failed),
        (7, "PERMISSION_DENIED", Fate::Failed),
        (8, "RESOURCE_EXHAUSTED", Fate::Rejected),
        (9, "FAILED_PRECONDITION", Fate::Failed),
        (10, "ABORTED", Fate::Retried),
        (11, "OUT_OF_RANGE", Fate::Rejected),
        (12, "UNIMPLEMENTED", Fate::Failed),
        (13, "INTERNAL", Fate::Retried),
        (14, "UNAVAILABLE", Fate::Retried),
        (15, "DATA_LOSS", Fate::Retried),
        (16, "UNAUTHENTICATED", Fate::Failed),
    ];
    let http = http.map(|(status, fate)| (Refusal::Http(status), "", fate));
    let grpc = grpc.map(|(code, name, fate)| (Refusal::Grpc(code), name, fate));
    std::thread::scope(|scope| {
        for (refusal, name, expected) in http.into_iter().chain(grpc) {
            scope.spawn(move || assert_eq!(fate_of(refusal), [expected; 2], "{refusal:?} {name}"));
        }
    });
}

/// Returns the fates of a span and a log record that the collector refuses until they are retried.
fn fate_of(refusal: Refusal) -> [Fate; 2] {
    let receiver = Receiver::start();
    receiver.refuse(Some(refusal));
    let protocol = match refusal {
        Refusal::Http(_) => OtlpProtocol::HttpProtobuf,
        Refusal::Grpc(_) => OtlpProtocol::Grpc,
    };
    let otel = shop().otlp(exporter(&receiver).protocol(protocol).metrics(false).logs(true)).build().unwrap();
    let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
    send_one(&layer);
    let delivery = layer.delivery();
    let deadline = Instant::now() + Duration::from_secs(60);
    let fates = ["otel spans", "otel logs"].map(|name| {
        loop {
            let report = delivery.report();
            let sink = report.sink(name).unwrap();
            if sink.dropped_for(DropReason::Rejected) > 0 {
                return Fate::Rejected;
            }
            if sink.dropped_for(DropReason::WriteFailed) > 0 {
                return Fate::Failed;
            }
            if sink.retried > 0 {
                return Fate::Retried;
            }
            assert!(Instant::now() < deadline, "{refusal:?}: {report}");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    receiver.refuse(None);
    let report = delivery.shutdown_blocking(Duration::from_secs(60));
    assert_eq!(report.is_complete(), !fates.iter().any(|fate| *fate != Fate::Retried), "{refusal:?}: {report}");
    fates
}

/// Spans over gRPC have an exporter of our own, which reads the same variables.
#[test]
fn spans_over_grpc_obey_the_environment() {
    if is_alone() {
        return match Otel::from_env() {
            Ok(otel) => {
                let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
                send_one(&layer);
                let report = layer.delivery().shutdown_blocking(Duration::from_secs(2));
                println!("complete: {}, {report}", report.is_complete());
            }
            Err(error) => println!("refused: {error}"),
        };
    }
    let run = |variables: &[(&str, &str)]| {
        let protocol = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
        ];
        run_alone("spans_over_grpc_obey_the_environment", &[&protocol, variables].concat())
    };
    let receiver = Receiver::start();
    let (url, address) = (receiver.url(), receiver.address.to_string());
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret, x-scope = shop ,,broken,bad name=1");
    let output = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), headers]);
    assert!(output.contains("complete: true"), "{output}");
    receiver.with(|received| {
        assert_eq!((received.spans.len(), received.logs.len(), received.compressed), (1, 1, 0));
        assert_eq!(received.headers["authorization"], "Bearer secret");
        assert_eq!(received.headers["x-scope"], "shop");
        assert!(received.headers["user-agent"].to_str().unwrap().starts_with("tower-tagging/"));
        assert_eq!(received.spans[0].1["telemetry.sdk.language"], "rust", "the resource is exported");
    });
    // The variable of the signal wins. Without a scheme, a flag decides on TLS.
    let unscheme =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &address)];
    let insecure = [unscheme[0], unscheme[1], ("OTEL_EXPORTER_OTLP_INSECURE", "True"), ("OTEL_LOGS_EXPORTER", "none")];
    let output = run(&insecure);
    assert!(output.contains("complete: true"), "{output}");
    let output = run(&[unscheme[0], unscheme[1], ("OTEL_LOGS_EXPORTER", "none")]);
    assert!(output.contains("complete: false"), "a plain server does not speak TLS: {output}");
    // Problems have the name of the variable.
    for (name, value, expected) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[", "invalid OTEL_EXPORTER_OTLP_ENDPOINT \"http://[\": expected a URL"),
        (
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
            "soon",
            "invalid OTEL_EXPORTER_OTLP_LOGS_TIMEOUT \"soon\": expected a number",
        ),
    ] {
        let output = run(&[(name, value)]);
        assert!(output.contains("refused: ") && output.contains(expected), "{name}: {output}");
    }
    // The error has the code, and the reason.
    let output = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    assert!(output.contains("export failed with gRPC code: Unavailable: "), "{output}");
    assert!(output.contains("Connection refused"), "{output}");
}
