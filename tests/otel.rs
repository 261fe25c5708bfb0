//! Spans, metrics and logs, decoded from OTLP and compared with the events of the same requests; and spans of the app, which nest
//! under ours.

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
use otlp::{Received, Receiver, attributes, hex, labels};
use proptest::prelude::*;
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer, Tags,
    otel::{
        GenAiConventions, Otel, OtelBuilder, OtlpProtocol, TagAttributes,
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
    sink,
    sources::TagSources,
    usage::UsageTap,
};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn to(receiver: &Receiver) -> OtelBuilder {
    let resource = Resource::builder().with_service_name("shop").build();
    Otel::builder().resource(resource).endpoint(receiver.url()).protocol(OtlpProtocol::HttpProtobuf)
}

/// An app with every way to end.
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
                assert!(std::hint::black_box(false), "a bug");
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

    /// One request of each kind; the last three are given up in the middle of the body.
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

/// Every event has its span, equal in all that both say; and nothing else was received.
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
        assert_eq!(span.kind, 2, "a server");
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
        // Where there was no response, its size is not known.
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
            "/endless" => Some("cancelled"),
            _ => None,
        };
        assert_eq!(attribute("error.type"), kind, "{name}");
    }
}

fn of_chat(received: &Received) -> BTreeMap<String, String> {
    let (span, _) = received.spans.iter().find(|(span, _)| span.name == "POST /v1/chat/completions").unwrap();
    attributes(&span.attributes)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_metrics_and_logs_equal_the_events() {
    let receiver = Receiver::start();
    let otel =
        to(&receiver).metric_labels(["tenant_id", "missing"]).otlp().unwrap().otlp_logs().unwrap().build().unwrap();
    let running = Running::start(&otel).await;
    // What is observed already is counted once all the same.
    otel.observe_delivery(&running.layer.delivery());
    let events = running.send_all().await;
    let delivery = running.layer.delivery();
    let report = delivery.shutdown(Duration::from_secs(20)).await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.sink("otel spans").unwrap().delivered, 11);
    assert_eq!(report.sink("otel logs").unwrap().delivered, 11);

    receiver.with(|received| assert_spans_equal(received, &events));
    let chat = receiver.with(of_chat);
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
    assert!(active.len() >= 9 && active.values().all(|count| *count == 0.0), "{active:?}");
    let tokens = receiver.sums("gen_ai.client.token.usage");
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    for (kind, count) in [("input", 2006.0), ("output", 300.0)] {
        let of_kind = tokens.iter().find(|(labels, _)| labels.contains(&format!("gen_ai.token.type={kind}")));
        assert_eq!(of_kind.map(|(_, sum)| *sum), Some(count), "{tokens:?}");
    }
    // What the histograms add up to is what the events say.
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
        assert!(expected > 0.0 && (sum - expected).abs() < 1e-9 * expected, "{name}: {sum}, not {expected}");
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
            assert_eq!(labels(&log.attributes), labels(&span.attributes), "a log says what the span says");
            let severity = match event.path() {
                "/broken" | "/panic" => 17,
                "/endless" => 13,
                _ => 9,
            };
            assert_eq!(log.severity_number, severity, "{}", event.path());
        }
    });
}

/// Through a real collector, over gRPC and over HTTP: run by `tests/run.sh`, which starts it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a collector: run by tests/run.sh"]
async fn through_a_collector() {
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
            assert!(start.elapsed() < Duration::from_secs(20), "the collector does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let endpoint = if protocol == OtlpProtocol::Grpc { grpc } else { http };
        let otel = to(&receiver).endpoint(format!("http://{endpoint}")).protocol(protocol);
        let otel = otel.otlp().unwrap().otlp_logs().unwrap().build().unwrap();
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
        let chat = receiver.with(of_chat);
        assert_eq!(chat["tower_tagging.cost.usd"], "0.005615");
        collector.kill().unwrap();
        collector.wait().unwrap();
    }
}

#[tokio::test]
async fn older_names_and_other_names_for_tags() {
    for (conventions, names) in [
        (GenAiConventions::System, &["gen_ai.system"][..]),
        (GenAiConventions::Both, &["gen_ai.system", "gen_ai.provider.name"]),
        (GenAiConventions::ProviderName, &["gen_ai.provider.name"]),
    ] {
        let receiver = Receiver::start();
        let tags = TagAttributes::new().allow(["team", "_user", "_hidden"]).rename("team", "app._team").deny(["_user"]);
        let otel = to(&receiver).gen_ai_conventions(conventions).tag_attributes(tags).otlp().unwrap().build().unwrap();
        let running = Running::start(&otel).await;
        let headers = [
            ("content-type", "application/json"),
            ("x-portkey-metadata", r#"{"team":"growth","_user":"ada","_hidden":"y","other":"z"}"#),
        ];
        running.send("POST", "/v1/chat/completions", &headers, r#"{"model":"gpt-4o"}"#).await;
        let delivery = running.layer.delivery();
        assert!(delivery.shutdown(Duration::from_secs(20)).await.is_complete());
        let chat = receiver.with(of_chat);
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
    /// The naming rules: no part begins with an underscore, and none is empty at the beginning.
    #[test]
    fn names_of_attributes(key in "[a-z_.]{0,12}|\\PC{0,8}", prefix in "metadata\\.|_?[a-z]{0,3}\\.?") {
        let tags = TagAttributes::new().prefix(prefix);
        if let Some(name) = tags.name_of(&key) {
            prop_assert!(!name.is_empty());
            prop_assert!(!name.starts_with('_') && !name.contains("._"), "{:?}", name);
        }
    }
}

#[tokio::test]
async fn the_sampler_decides() {
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
        assert_eq!(recorder.single().trace().sampled(), expected, "{case}: the event is there all the same");
        let delivery = layer.delivery();
        assert!(delivery.shutdown(Duration::from_secs(10)).await.is_complete());
        assert_eq!(exporter.get_finished_spans().unwrap().len(), usize::from(expected), "{case}");
    }
}

/// A part of the traces that begin here is recorded, not all of them or none.
#[tokio::test]
async fn a_ratio_samples_its_part() {
    let exporter = InMemorySpanExporter::default();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
    let otel = Otel::builder().span_exporter(exporter.clone()).sampler(sampler).build().unwrap();
    let by_builder = TaggingLayer::builder().otel(&otel).build().unwrap().without_request_body();
    // An event layer alone makes ids too, and asks the same sampler.
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

/// The app's own spans: through the OTel API, and through `tracing`.
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

    fn begin(&self, name: &'static str) {
        self.provider.tracer("app").start(name).end();
    }
}

async fn nests(uses_tracing: bool) {
    use tracing_subscriber::prelude::*;

    let app = AppSpans::new();
    // Of the thread, not of the process: each test has its own.
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
                    spans.begin(name);
                }
            };
            begin("before");
            tokio::task::yield_now().await;
            begin("after an await");
            let in_task = begin.clone();
            // A task is handed the context, as everywhere in OpenTelemetry.
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
            assert!(!Context::current().has_active_span(), "nothing stays behind");
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
        assert_eq!(of_request.len(), 6, "each child is under its own request");
        for child in of_request {
            assert_eq!(child.span_context.trace_id().to_string(), event.trace().trace_id().as_str());
        }
    }
}

/// With a span of `tracing` for the request, that one is a child of ours, and what the handler begins is a child of it.
#[tokio::test]
async fn a_span_of_tracing_lies_between_ours_and_the_apps() {
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
            spans.begin("by hand");
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
    let (request, by_hand) = (child("request"), child("by hand"));
    assert_eq!(request.parent_span_id, ours[0].span_context.span_id());
    assert_eq!(by_hand.parent_span_id, request.span_context.span_id());
}

fn layer_delivery(otel: &Otel) -> sink::Delivery {
    tower_tagging::Sink::delivery(otel)
}

#[tokio::test(flavor = "current_thread")]
async fn spans_of_the_api_nest_on_one_thread() {
    nests(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spans_of_the_api_nest_on_many_threads() {
    nests(false).await;
}

#[tokio::test(flavor = "current_thread")]
async fn spans_of_tracing_nest_on_one_thread() {
    nests(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spans_of_tracing_nest_on_many_threads() {
    nests(true).await;
}

/// A layer around a client: its span is a child of the span that calls.
#[tokio::test]
async fn around_a_client() {
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
    assert!(matches!(span.status, Status::Error { .. }), "a 404 is the client's error");
    let has = |name: &str, value: &str| {
        span.attributes.iter().any(|attribute| attribute.key.as_str() == name && attribute.value.as_str() == value)
    };
    assert!(
        has("server.address", "api.example.com") && has("server.port", "8443") && has("error.type", "404"),
        "{span:?}"
    );
}

/// The collector is away: requests go on, the loss is counted, and the shutdown keeps its deadline. No Tokio runtime is near.
#[test]
fn without_a_collector_and_without_a_runtime() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        let otel =
            Otel::builder().endpoint(format!("http://{free}")).protocol(protocol).otlp().unwrap().build().unwrap();
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
    // And with one that is there, from the same plain thread.
    let receiver = Receiver::start();
    let otel = to(&receiver).otlp().unwrap().build().unwrap();
    let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
    let service =
        layer.layer(service_fn(|_: Request<String>| async { Ok::<_, Infallible>(http::Response::new(String::new())) }));
    service.oneshot(Request::get("/").body(String::new()).unwrap()).now_or_never().unwrap().unwrap();
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
    assert!(report.is_complete(), "{report}");
    assert_eq!(receiver.with(|received| received.spans.len()), 1);
}

/// A million users are no million series.
#[test]
fn labels_are_bounded() {
    // In a process of its own, whose memory no other test uses.
    const CHILD: &str = "TOWER_TAGGING_TEST_LABELS";
    if std::env::var_os(CHILD).is_none() {
        let program = std::env::current_exe().unwrap();
        let arguments = ["--exact", "labels_are_bounded", "--nocapture"];
        let output = std::process::Command::new(program).args(arguments).env(CHILD, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
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
            // The queue is bounded, and nothing is to be dropped here.
            if number % 1024 == 0 {
                while layer_delivery(&otel).report().sinks[0].in_flight() > 2048 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    };
    emit(0..100_000);
    let before = resident_kib();
    emit(100_000..1_000_000);
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(60));
    assert!(report.is_complete(), "{report}");
    assert!(resident_kib().saturating_sub(before) < 32 * 1024, "{} KiB more", resident_kib().saturating_sub(before));
    provider.force_flush().unwrap();
    let metrics = exporter.get_finished_metrics().unwrap();
    let text = format!("{metrics:?}");
    let users = (0..1_000_000).step_by(1000).filter(|number| text.contains(&format!("\"{number}\""))).count();
    assert!(users <= 50, "{users} of a thousand that were looked for are there");
    assert!(text.contains("__other__"));
    let metrics: Vec<_> =
        metrics.iter().flat_map(ResourceMetrics::scope_metrics).flat_map(ScopeMetrics::metrics).collect();
    let overflow = metrics.iter().rfind(|metric| metric.name() == "tower_tagging.label.overflows").unwrap();
    assert!(format!("{:?}", overflow.data()).contains("999950"), "{overflow:?}");
}

/// Resident memory, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What a process of its own says that exports one request with these variables: they are the process's.
fn exported_with(variables: &[(&str, &str)]) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "one_request_is_exported", "--nocapture"]).env(EXPORTS, "1").envs(variables.iter().copied());
    let output = child.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Set in the processes of [`exported_with`].
const EXPORTS: &str = "TOWER_TAGGING_TEST_EXPORTS";

#[test]
fn one_request_is_exported() {
    if std::env::var_os(EXPORTS).is_none() {
        let receiver = Receiver::start();
        let said = exported_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url())]);
        assert!(said.contains("complete: true"), "{said}");
        assert_eq!(receiver.with(|received| (received.spans.len(), received.compressed)), (1, 0));
        return;
    }
    let otel = match Otel::from_env() {
        Ok(otel) => otel,
        Err(error) => return println!("refused: {error}"),
    };
    let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
    let service =
        layer.layer(service_fn(|_: Request<String>| async { Ok::<_, Infallible>(http::Response::new(String::new())) }));
    service.oneshot(Request::get("/").body(String::new()).unwrap()).now_or_never().unwrap().unwrap();
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(5));
    println!("complete: {}; {report}", report.is_complete());
}

/// A collector with a certificate of a private authority, which asks for one of the client.
#[test]
fn over_tls_with_certificates_of_ones_own() {
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
        let said = exported_with(&all);
        assert!(said.contains("complete: true"), "{protocol}: {said}");
        // Neither is anything sent to a stranger, nor does the collector take what a stranger sends.
        let (to_a_stranger, by_a_stranger) = std::thread::scope(|scope| {
            let to_a_stranger = scope.spawn(|| exported_with(&all[..3]));
            let by_a_stranger = exported_with(&all[..4]);
            (to_a_stranger.join().unwrap(), by_a_stranger)
        });
        assert!(to_a_stranger.contains("complete: false"), "{protocol}: {to_a_stranger}");
        assert!(by_a_stranger.contains("complete: false"), "{protocol}: {by_a_stranger}");
        receiver.with(|received| {
            assert_eq!(received.spans.len(), spans, "{protocol}");
            assert!(received.compressed >= spans, "{protocol}");
        });
    }

    let nothing = file("nothing.pem", "");
    for (variables, expected) in [
        (vec![("CERTIFICATE", "/nowhere.pem")], "OTEL_EXPORTER_OTLP_CERTIFICATE: \"/nowhere.pem\": No such file"),
        (vec![("TRACES_CERTIFICATE", &*nothing)], "nothing.pem\": no certificate in PEM"),
        (vec![("CLIENT_KEY", &*key)], "a key of a client needs its CLIENT_CERTIFICATE too"),
        (vec![("CLIENT_CERTIFICATE", &*chain)], "a certificate of a client needs its CLIENT_KEY too"),
        (vec![("CLIENT_CERTIFICATE", &*chain), ("CLIENT_KEY", &*chain)], "client.pem\": no items found"),
        (vec![("COMPRESSION", "zstd")], "OTEL_EXPORTER_OTLP_COMPRESSION: \"zstd\": neither \"gzip\" nor \"none\""),
    ] {
        let names: Vec<_> = variables.iter().map(|(name, _)| format!("OTEL_EXPORTER_OTLP_{name}")).collect();
        let variables: Vec<_> =
            names.iter().zip(&variables).map(|(name, (_, value))| (name.as_str(), *value)).collect();
        let said = exported_with(&variables);
        assert!(said.contains("refused: ") && said.contains(expected), "{variables:?}: {said}");
    }
}

#[test]
fn silly_settings_are_refused() {
    // Each in a process of its own: variables are the process's.
    const CHILD: &str = "TOWER_TAGGING_TEST_OTEL_ENV";
    if std::env::var_os(CHILD).is_some() {
        match Otel::from_env() {
            Ok(_) => println!("accepted"),
            Err(error) => println!("refused: {error}"),
        }
        return;
    }
    for (name, value, expected) in [
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "dialect-pigeon",
            "refused: OTEL_EXPORTER_OTLP_PROTOCOL: \"dialect-pigeon\": neither",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "refused: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "refused: OTEL_TRACES_EXPORTER: \"zipkin\": neither \"otlp\" nor \"none\""),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "refused: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: \"many\" is no number"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "accepted"),
        ("OTEL_SDK_DISABLED", "true", "accepted"),
        ("OTEL_TRACES_EXPORTER", "none", "accepted"),
    ] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "silly_settings_are_refused", "--nocapture"])
            .env(CHILD, "1")
            .env(name, value)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(expected), "{name}={value}: {text}");
    }
}
