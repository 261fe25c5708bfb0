//! What a layer costs a request, beside its peers, in one run:
//!
//! ```text
//! cargo bench --bench layer --features full
//! ```
//!
//! Every row runs in processes of its own (subscribers and providers are global to a process), the rows take turns for
//! several rounds, and the median of each is printed. A request has 12 headers, as axum hands it on: with its matched
//! path and peer address in the extensions. A row's time covers the call, the response, its body to the end, and
//! freeing all of it; making the request is not timed. Every span or event is delivered on another thread while the row
//! runs; a row that dropped one fails. The ratios are to opentelemetry-instrumentation-tower, with a tracer provider alone
//! and with a meter provider beside it. Instructions are those of the request's own thread, counted by
//! `valgrind --tool=callgrind` where it is installed.

#![allow(clippy::cast_precision_loss, reason = "figures are for people")]

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
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{PeriodicReader, SdkMeterProvider, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData},
};
use tower::{Layer, Service, ServiceBuilder};
use tower_http::{
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};
use tower_tagging::{
    EventLayer, MetadataLayer, Sink, TaggingLayer, metadata,
    metadata::{Intake, Scope, Scopes},
    sink::{BatchWriter, JsonLinesWriter, Queued, WriteError},
};
use tracing_subscriber::layer::SubscriberExt;

const ROWS: &[(&str, &str)] = &[
    ("bare", "no layer"),
    ("trace-layer", "tower-http TraceLayer, no subscriber"),
    ("request-id", "tower-http request id, set and propagated"),
    ("ours-headers", "ours, headers only (4 allow-listed of 12)"),
    ("ours-full", "ours, full (JSON header, traceparent, 3 scopes)"),
    ("otel-tower", "opentelemetry-instrumentation-tower, spans"),
    ("otel-tower-metrics", "opentelemetry-instrumentation-tower, spans and metrics"),
    ("tower-otel", "tower-otel"),
    ("axum-otel", "axum-tracing-opentelemetry"),
    ("trace-layer-json", "tower-http TraceLayer, JSON to a null writer"),
];

/// Requests that are made, then timed together: few enough to stay in the cache, and for a consumer to keep up.
const BURST: usize = 128;
const ROUNDS: usize = 7;
/// Room for all requests of a row, so that a consumer that falls behind drops nothing.
const QUEUE: usize = 65_536;

fn main() {
    let args: Vec<String> = env::args().collect();
    match args.iter().position(|arg| arg == "--row") {
        Some(at) => run_row(&args[at + 1], args[at + 2].parse().unwrap()),
        // A short run of every row, to see that they run; its figures mean nothing.
        None if args.iter().any(|arg| arg == "--smoke") => smoke(),
        None => print_table(),
    }
}

fn smoke() {
    for (row, _) in ROWS {
        let figures = run_child(&mut Command::new(env::current_exe().unwrap()), row, 2);
        println!("{row}: {:.1} allocations", figures[1]);
    }
}

fn print_table() {
    let mut nanos = vec![Vec::new(); ROWS.len()];
    let mut allocations = vec![0.0; ROWS.len()];
    for _ in 0..ROUNDS {
        for (row, (name, _)) in ROWS.iter().enumerate() {
            let figures = run_child(&mut Command::new(env::current_exe().unwrap()), name, 400);
            nanos[row].push(figures[0]);
            allocations[row] = figures[1];
        }
    }
    let instructions: Vec<Option<f64>> = ROWS.iter().map(|(name, _)| instructions(name)).collect();
    let medians: Vec<f64> = nanos.iter_mut().map(|row| median(row)).collect();
    let bare = medians[0];
    let of = |name| medians[ROWS.iter().position(|row| row.0 == name).unwrap()];
    let (spans, both) = (of("otel-tower"), of("otel-tower-metrics"));
    println!("| layer | ns | added ns | × spans only | × spans and metrics | allocations added | instructions added |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (row, (_, label)) in ROWS.iter().enumerate() {
        println!(
            "| {label} | {:.0} | {:.0} | {:.2} | {:.2} | {:.1} | {} |",
            medians[row],
            medians[row] - bare,
            medians[row] / spans,
            medians[row] / both,
            allocations[row] - allocations[0],
            match (instructions[row], instructions[0]) {
                (Some(all), Some(bare)) => format!("{:.0}", all - bare),
                _ => "(needs valgrind)".to_owned(),
            },
        );
    }
    let chunk = run_child(&mut Command::new(env::current_exe().unwrap()), "chunk", 200);
    println!(
        "\nA streamed chunk costs {:.0} ns and {:.1} allocations more than without the layer.",
        chunk[0], chunk[1]
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a row in a process of its own and reads the two figures it prints.
fn run_child(command: &mut Command, row: &str, bursts: usize) -> Vec<f64> {
    let output = command.args(["--row", row, &bursts.to_string()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{row}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.split_whitespace().map(|figure| figure.parse().unwrap()).collect()
}

/// Instructions of one request on its own thread: what one more burst adds.
fn instructions(row: &str) -> Option<f64> {
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

// A row.

fn run_row(row: &str, bursts: usize) {
    let service = Answer;
    match row {
        "bare" => measure(service, bursts),
        "trace-layer" => measure(TraceLayer::new_for_http().layer(service), bursts),
        "request-id" => {
            let layers = ServiceBuilder::new()
                .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
                .layer(PropagateRequestIdLayer::x_request_id());
            measure(layers.service(service), bursts);
        }
        "ours-headers" => {
            let intake = Intake::new().allow_list("x-user-id, x-tenant, x-feature, x-session-id").unwrap();
            ours(
                |sink| {
                    TaggingLayer::builder()
                        .metadata(MetadataLayer::builder().intake(intake))
                        .sink(sink)
                        .build()
                        .unwrap()
                        .without_request_body()
                        .layer(service)
                },
                bursts,
            );
        }
        "ours-full" => {
            let resolved = Scopes::new()
                .with(Scope::ApiKey, metadata! { "team" => "growth", "key" => "key-7" })
                .with(Scope::Workspace, metadata! { "tenant" => "acme", "env" => "prod" });
            ours(
                |sink| {
                    TaggingLayer::builder()
                        .metadata(
                            MetadataLayer::builder()
                                .intake(Intake::portkey())
                                .scope(Scope::Fallback, metadata! { "region" => "eu" })
                                .resolver(move |_| resolved.clone()),
                        )
                        .sink(sink)
                        .build()
                        .unwrap()
                        .layer(service)
                },
                bursts,
            );
        }
        "otel-tower" | "otel-tower-metrics" => {
            if row == "otel-tower-metrics" {
                opentelemetry::global::set_meter_provider(meter_provider());
            }
            opentelemetry::global::set_text_map_propagator(
                opentelemetry_sdk::propagation::TraceContextPropagator::new(),
            );
            let (provider, exported) = provider();
            opentelemetry::global::set_tracer_provider(provider.clone());
            let layer = opentelemetry_instrumentation_tower::http::server::Layer::new();
            measure_exported(layer.layer(service), bursts, &provider, &exported);
        }
        "tower-otel" | "axum-otel" => {
            let (provider, exported) = provider();
            let tracer = opentelemetry::trace::TracerProvider::tracer(&provider, "bench");
            let otel = tracing_opentelemetry::layer().with_tracer(tracer);
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(otel)).unwrap();
            opentelemetry::global::set_text_map_propagator(
                opentelemetry_sdk::propagation::TraceContextPropagator::new(),
            );
            if row == "tower-otel" {
                let layer = tower_otel::trace::HttpLayer::server(tracing::Level::INFO);
                measure_exported(layer.layer(service), bursts, &provider, &exported);
            } else {
                let layer = axum_tracing_opentelemetry::middleware::OtelAxumLayer::default();
                measure_exported(layer.layer(service), bursts, &provider, &exported);
            }
        }
        "trace-layer-json" => {
            let json =
                tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(std::io::sink);
            tracing::subscriber::set_global_default(json.finish()).unwrap();
            measure(TraceLayer::new_for_http().layer(service), bursts);
        }
        "chunk" => measure_chunks(bursts),
        _ => panic!("no such row: {row}"),
    }
}

/// Our rows: events are serialised to JSON on the sink's thread, and every one is delivered.
fn ours<S, B>(wrap: impl FnOnce(Queued) -> S, bursts: usize)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let sink = JsonLinesWriter::new(std::io::sink()).queued().capacity(QUEUE).build();
    let delivery = sink.delivery();
    measure(wrap(sink), bursts);
    let report = delivery.shutdown(Duration::from_secs(60));
    assert!(report.is_complete(), "{report}");
}

fn measure_exported<S, B>(service: S, bursts: usize, provider: &SdkTracerProvider, exported: &AtomicU64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let requests = print_figures(service, bursts);
    provider.shutdown().unwrap();
    assert_eq!(exported.load(Ordering::Relaxed), requests, "spans were dropped");
}

fn measure<S, B>(service: S, bursts: usize)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    print_figures(service, bursts);
}

/// Prints nanoseconds and allocations of one request; gives the number of requests.
fn print_figures<S, B>(mut service: S, bursts: usize) -> u64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let mut times = Vec::new();
    let mut allocations = 0;
    let warm_up = 4;
    // Under callgrind, which runs one thread at a time, the other thread needs to be given its turn.
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

fn serve<S, B>(service: &mut S, request: Request<Full<Bytes>>)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let response = service.call(request).now_or_never().expect("the service is ready at once").unwrap();
    let mut body = response.into_body();
    while body.frame().now_or_never().expect("the body is there at once").is_some() {}
}

/// A request as hyper and axum hand it on: header values are slices of the buffer that was read from the connection.
fn request() -> Request<Full<Bytes>> {
    const HEADERS: [(&str, &str); 12] = [
        ("host", "api.example.com"),
        ("user-agent", "OpenAI/Python 2.30.0"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("content-type", "application/json"),
        ("content-length", "69"),
        ("x-user-id", "user_8821"),
        ("x-tenant", "acme"),
        ("x-feature", "search"),
        ("x-session-id", "sess-0192837465"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (
            "x-portkey-metadata",
            r#"{"_user": "user_8821", "environment": "production", "feature": "search", "team": "growth"}"#,
        ),
    ];
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

/// The innermost service: drops the request and answers 200 with a small JSON body.
#[derive(Clone, Copy)]
struct Answer;

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

/// A tracer provider that hands spans in batches to an exporter on another thread, which counts and discards them.
fn provider() -> (SdkTracerProvider, Arc<AtomicU64>) {
    #[derive(Debug)]
    struct Discard(Arc<AtomicU64>);

    impl opentelemetry_sdk::trace::SpanExporter for Discard {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
            Ok(())
        }
    }

    let exported = Arc::new(AtomicU64::new(0));
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_scheduled_delay(Duration::from_millis(50))
        .build();
    let processor = BatchSpanProcessor::builder(Discard(Arc::clone(&exported))).with_batch_config(config).build();
    (SdkTracerProvider::builder().with_span_processor(processor).build(), exported)
}

/// A meter provider that hands metrics to an exporter which discards them, every second.
fn meter_provider() -> SdkMeterProvider {
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

/// Prints what a chunk of a streamed body costs more with the layer than without.
fn measure_chunks(bursts: usize) {
    const CHUNKS: usize = 1000;

    struct Discard;

    impl BatchWriter for Discard {
        fn write(&mut self, _: &[Arc<tower_tagging::Event>]) -> Result<(), WriteError> {
            Ok(())
        }
    }

    fn stream() -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let chunk = Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n");
        let frames = (0..CHUNKS).map(move |_| Ok(hyper::body::Frame::data(chunk.clone())));
        http_body_util::StreamBody::new(futures_util::stream::iter(frames))
    }

    async fn answer(
        _: Request<Full<Bytes>>,
    ) -> Result<Response<impl Body<Data = Bytes, Error = Infallible> + Unpin>, Infallible> {
        Ok(Response::new(stream()))
    }

    let mut bare = tower::service_fn(answer);
    let layer = EventLayer::new(Queued::new("discard", Discard));
    let delivery = layer.delivery();
    let mut observed = layer.layer(bare);
    let mut costs = [Vec::new(), Vec::new()];
    let mut allocations = [0, 0];
    for _ in 0..bursts {
        for (at, cost) in costs.iter_mut().enumerate() {
            let request = request();
            let start = Instant::now();
            let counted = allocation_counter::measure(|| match at {
                0 => serve(&mut bare, request),
                _ => serve(&mut observed, request),
            });
            cost.push(start.elapsed().as_nanos() as f64 / CHUNKS as f64);
            allocations[at] += counted.count_total;
        }
    }
    assert!(delivery.shutdown(Duration::from_secs(60)).is_complete());
    let [mut without, mut with] = costs;
    let more = (allocations[1] - allocations[0]) as f64 / (bursts * CHUNKS) as f64;
    println!("{} {more}", median(&mut with) - median(&mut without));
}
