//! Helpers for the benchmarks of layers: rows that run in separate processes in turn, requests like those from a
//! server, and exporters that discard their input.

#![allow(dead_code, reason = "each benchmark uses only some of it")]

mod headers;

use std::{
    convert::Infallible,
    env,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::extract::ConnectInfo;
use futures_util::FutureExt;
use headers::HEADERS;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{PeriodicReader, SdkMeterProvider, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData},
};
use tower::Service;

/// The number of requests that are built first and then timed together. Few enough to stay in the cache, and for a
/// consumer to keep up.
pub(crate) const BURST: usize = 128;
/// Room for all requests of a row, so that a slow consumer drops nothing.
pub(crate) const QUEUE: usize = 65_536;

/// Returns the median.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the smallest value. Disturbances only slow a round down, so the fastest one is closest to the cost of the
/// code.
pub(crate) fn fastest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Runs a row in its own process and returns the figures that it prints.
pub(crate) fn run_child(command: &mut Command, row: &str, bursts: usize) -> Vec<f64> {
    let output = command.args(["--row", row, &bursts.to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{row}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.split_whitespace().map(|figure| figure.parse().unwrap()).collect()
}

/// Returns the instructions of one request on its thread, computed from the difference between a long and a short run.
pub(crate) fn instructions(row: &str) -> Option<f64> {
    Command::new("valgrind").arg("--version").output().ok()?;
    let count = |bursts: usize| {
        let folder = env::temp_dir().join(format!("tower-tagging-{row}-{bursts}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let out = format!("--callgrind-out-file={}", folder.join("out").display());
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--separate-threads=yes", &out]).env("PAUSE_MILLIS", "100");
        run_child(command.arg(env::current_exe().unwrap()), row, bursts);
        let text = std::fs::read_to_string(folder.join("out-01")).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
        totals.trim().parse::<f64>().unwrap()
    };
    let (few, many) = (4, 12);
    Some((count(many) - count(few)) / ((many - few) * BURST) as f64)
}

/// Measures a row and checks that every span is exported.
pub(crate) fn measure_exported<S, B>(service: S, bursts: usize, provider: &SdkTracerProvider, exported: &AtomicU64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let requests = print_figures(service, bursts, request);
    provider.shutdown().unwrap();
    assert_eq!(exported.load(Ordering::Relaxed), requests, "spans were dropped");
}

/// Measures a row that exports nothing.
pub(crate) fn measure<S, B>(service: S, bursts: usize)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    print_figures(service, bursts, request);
}

/// Prints nanoseconds and allocations per request. Returns the number of requests.
pub(crate) fn print_figures<S, B>(mut service: S, bursts: usize, request: fn() -> Request<Full<Bytes>>) -> u64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let mut times = Vec::new();
    let mut allocations = 0;
    let warm_up = 4;
    // Callgrind runs one thread at a time, so the other threads need pauses.
    let pause =
        env::var_os("PAUSE_MILLIS").map(|millis| Duration::from_millis(millis.to_str().unwrap().parse().unwrap()));
    for burst in 0..bursts + warm_up {
        let requests: Vec<_> = (0..BURST).map(|_| request()).collect();
        let start = Instant::now();
        let counted =
            allocation_counter::measure(|| requests.into_iter().for_each(|request| serve(&mut service, request)));
        let elapsed = start.elapsed();
        if burst >= warm_up {
            times.push(elapsed.as_nanos() as f64 / BURST as f64);
            allocations += counted.count_total;
        }
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
    }
    println!("{} {}", median(&mut times), allocations as f64 / (bursts * BURST) as f64);
    ((bursts + warm_up) * BURST) as u64
}

/// Serves a request until the end of its response body.
pub(crate) fn serve<S, B>(service: &mut S, request: Request<Full<Bytes>>)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let response = service.call(request).now_or_never().expect("the service answers immediately").unwrap();
    let mut body = response.into_body();
    while body.frame().now_or_never().expect("the body is available immediately").is_some() {}
}

/// Builds a request as hyper and axum pass it on: header values are slices of the buffer that was read from the
/// connection.
pub(crate) fn request() -> Request<Full<Bytes>> {
    let mut buffer = Bytes::from(HEADERS.map(|(_, value)| value).concat());
    let mut request = Request::post("/v1/chat/completions?stream=false").body(Full::from("{}")).unwrap();
    request.headers_mut().reserve(HEADERS.len());
    for (name, value) in HEADERS {
        let value = HeaderValue::from_maybe_shared(buffer.split_to(value.len())).unwrap();
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
    request
}

/// Builds a request with only four headers.
pub(crate) fn small_request() -> Request<Full<Bytes>> {
    let request = Request::post("http://api.example.com/v1/things?x=1")
        .header("host", "api.example.com")
        .header("user-agent", "bench/1.0")
        .header("content-type", "application/json")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    request.body(Full::from("{}")).unwrap()
}

/// The innermost service. Drops the request and returns 200 with a small JSON body.
#[derive(Clone, Copy)]
pub(crate) struct Answer;

impl<B> Service<Request<B>> for Answer {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("content-length", "15")
            .body(Full::from(r#"{"answer":"yes"}"#));
        std::future::ready(Ok(response.unwrap()))
    }
}

/// Counts spans and discards them.
#[derive(Debug)]
pub(crate) struct DiscardSpans(pub(crate) Arc<AtomicU64>);

impl opentelemetry_sdk::trace::SpanExporter for DiscardSpans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Creates a tracer provider whose batch exporter counts spans on another thread and discards them.
pub(crate) fn provider() -> (SdkTracerProvider, Arc<AtomicU64>) {
    let exported = Arc::new(AtomicU64::new(0));
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_scheduled_delay(Duration::from_millis(50))
        .build();
    let processor = BatchSpanProcessor::builder(DiscardSpans(Arc::clone(&exported))).with_batch_config(config).build();
    (SdkTracerProvider::builder().with_span_processor(processor).build(), exported)
}

/// Creates a meter provider that exports every second and discards the metrics.
pub(crate) fn meter_provider() -> SdkMeterProvider {
    struct Discard;

    impl PushMetricExporter for Discard {
        async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
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

    let reader = PeriodicReader::builder(Discard).with_interval(Duration::from_secs(1)).build();
    SdkMeterProvider::builder().with_reader(reader).build()
}
