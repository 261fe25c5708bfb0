//! Measures what a layer adds to a request, for this crate and its peers, in one run:
//!
//! ```text
//! cargo bench -p tower-tagging-benches --bench layer
//! ```
//!
//! - Each row runs in its own processes, because subscribers and providers are global to a process. The rows take turns
//!   for several rounds. The table shows medians, and next to them the ratio of the fastest rounds.
//! - A request has 12 headers, and its peer address in the extensions, like a request in axum. A row covers the call,
//!   the response, its whole body, and freeing all of it. Building the request is not timed.
//! - Every span or event is delivered on another thread while the row runs. A row that drops one fails. Exporters of
//!   spans discard them, and so does the sink of the headers-only rows after reading the tags. The sinks of the other
//!   rows of this crate write JSON.
//! - Ratios are relative to opentelemetry-instrumentation-tower, once with spans only, once with spans and metrics.
//! - Instructions are those of the request's thread, counted by `valgrind --tool=callgrind` if it is installed.

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

mod harness;

use std::{
    convert::Infallible,
    env,
    hint::black_box,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Request, Response};
use http_body_util::Full;

use hyper::body::{Body, Bytes};
use tower::{Layer, Service, ServiceBuilder};
use tower_http::{
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};
use tower_tagging::{
    EventLayer, MetadataLayer, Sink, TaggingLayer,
    metadata::{Scope, Scopes},
    registry::{
        Contract, ContractMode, Names, RegisteredKey, Registry, RegistryBuilder, RegistryLayer, Screening,
        ScreeningAction, ScreeningKind, SecretDigest, Workspace,
    },
    sink::{BatchWriter, JsonLinesWriter, Queued, WriteError},
    sources::TagSources,
    tags,
};
use tracing_subscriber::layer::SubscriberExt;

use harness::{
    Answer, QUEUE, fastest, instructions, measure, measure_exported, median, meter_provider, provider, request,
    run_child, serve,
};

const ROWS: &[(&str, &str)] = &[
    ("bare", "no layer"),
    ("trace-layer", "tower-http TraceLayer, no subscriber"),
    ("request-id", "tower-http request id, set and propagated"),
    ("ours-headers", "ours, headers only (4 allow-listed of 12), tags read and discarded"),
    ("ours-headers-no-pool", "the same, without recycled events"),
    ("ours-headers-json", "ours, headers only, written as JSON"),
    ("ours-full", "ours, full (JSON header, traceparent, 3 scopes), written as JSON"),
    ("ours-full-no-pool", "the same, without recycled events"),
    ("ours-governed", "ours, full, and a registry: key, aliases, screening, a contract of 5 tags, all checked"),
    ("otel-tower", "opentelemetry-instrumentation-tower, spans"),
    ("otel-tower-metrics", "opentelemetry-instrumentation-tower, spans and metrics"),
    ("tower-otel", "tower-otel"),
    ("axum-otel", "axum-tracing-opentelemetry"),
    ("trace-layer-json", "tower-http TraceLayer, JSON to a null writer"),
];

const ROUNDS: usize = 7;

fn main() {
    let args: Vec<String> = env::args().collect();
    match args.iter().position(|arg| arg == "--row") {
        Some(at) => run_row(&args[at + 1], args[at + 2].parse().unwrap()),
        // Only checks that every row runs. The figures are meaningless.
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
    let mut allocations = vec![Vec::new(); ROWS.len()];
    for _ in 0..ROUNDS {
        for (row, (name, _)) in ROWS.iter().enumerate() {
            let figures = run_child(&mut Command::new(env::current_exe().unwrap()), name, 400);
            nanos[row].push(figures[0]);
            allocations[row].push(figures[1]);
        }
    }
    let instructions: Vec<Option<f64>> = ROWS.iter().map(|(name, _)| instructions(name)).collect();
    let best: Vec<f64> = nanos.iter().map(|row| fastest(row)).collect();
    let medians: Vec<f64> = nanos.iter_mut().map(|row| median(row)).collect();
    let allocations: Vec<f64> = allocations.iter_mut().map(|row| median(row)).collect();
    let bare = medians[0];
    let added_instructions = |row: usize| Some(instructions[row]? - instructions[0]?);
    let place = |name| ROWS.iter().position(|row| row.0 == name).unwrap();
    let (spans, both) = (place("otel-tower"), place("otel-tower-metrics"));
    println!(
        "| layer | ns | added ns | × spans only | × spans and metrics | × in the fastest rounds | allocations added | \
         instructions added | × instructions |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (row, (_, label)) in ROWS.iter().enumerate() {
        println!(
            "| {label} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} | {} |",
            medians[row],
            medians[row] - bare,
            medians[row] / medians[spans],
            medians[row] / medians[both],
            best[row] / best[both],
            allocations[row] - allocations[0],
            match (added_instructions(row), added_instructions(both)) {
                (Some(added), Some(peer)) => format!("{added:.0} | {:.2}", added / peer),
                _ => "(needs valgrind) |".to_owned(),
            },
        );
    }
    let chunk = run_child(&mut Command::new(env::current_exe().unwrap()), "chunk", 200);
    println!("\nThe layer adds {:.0} ns and {:.1} allocations to a streamed chunk.", chunk[0], chunk[1]);
}

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
        "ours-headers" | "ours-headers-json" | "ours-headers-no-pool" => {
            let sink = if row == "ours-headers-json" { json() } else { discarding() };
            let sources = TagSources::new().allow_list("x-user-id, x-tenant, x-feature, x-session-id");
            ours(
                sink,
                |sink| {
                    TaggingLayer::builder()
                        .metadata(MetadataLayer::builder().sources(sources))
                        .events(events(sink, row))
                        .build()
                        .unwrap()
                        .without_request_body()
                        .layer(service)
                },
                bursts,
            );
        }
        "ours-full" | "ours-full-no-pool" => {
            let resolved = Scopes::new()
                .with(Scope::ApiKey, tags! { "team" => "growth", "key" => "key-7" })
                .with(Scope::Workspace, tags! { "tenant" => "acme", "env" => "prod" });
            ours(
                json(),
                |sink| {
                    TaggingLayer::builder()
                        .metadata(
                            MetadataLayer::builder()
                                .sources(TagSources::portkey())
                                .scope(Scope::Fallback, tags! { "region" => "eu" })
                                .resolver(move |_| resolved.clone()),
                        )
                        .events(events(sink, row))
                        .build()
                        .unwrap()
                        .layer(service)
                },
                bursts,
            );
        }
        "ours-governed" => measure_governed(service, bursts),
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
        _ => panic!("unknown row {row:?}"),
    }
}

/// Measures a layer with a registry.
fn measure_governed(service: Answer, bursts: usize) {
    let metadata =
        MetadataLayer::builder().sources(TagSources::portkey()).scope(Scope::Fallback, tags! { "region" => "eu" });
    let wrap = |sink| {
        let tagging = TaggingLayer::builder().metadata(metadata).events(EventLayer::new(sink)).build().unwrap();
        RegistryLayer::new(registry(), tagging).layer(service)
    };
    ours(json(), wrap, bursts);
}

/// Creates a registry with 1,000 keys. The key of a request is in `x-session-id`, so that all rows have the same headers.
fn registry() -> Registry {
    let schema = serde_json::json!({
        "type": "object", "additionalProperties": true, "required": ["_user", "environment", "tenant"],
        "properties": {
            "_user": {"type": "string", "minLength": 1},
            "environment": {"type": "string", "enum": ["production", "staging", "development"]},
            "feature": {"type": "string", "maxLength": 32},
            "team": {"type": "string"},
            "tenant": {"type": "string"}
        }
    });
    let names = Names::builder().alias("user_id", "_user").alias("userId", "_user").alias("x-user-id", "_user");
    let screening = Screening::builder()
        .kind(ScreeningKind::Secrets, ScreeningAction::Mask)
        .kind(ScreeningKind::Emails, ScreeningAction::Mask)
        .kind(ScreeningKind::Cards, ScreeningAction::Mask);
    let registry = Registry::builder()
        .key_headers(["x-session-id"])
        .names(names.build().unwrap())
        .screening(screening.build().unwrap())
        .contract(Contract::new(ContractMode::Reject, &schema).unwrap())
        .workspace(Workspace::new("acme").metadata(tags! { "tenant" => "acme", "env" => "prod" }));
    let key = |at: usize| {
        let secret = if at == 500 { "sess-0192837465".to_owned() } else { format!("sk-{at}") };
        RegisteredKey::new(format!("key-{at}"))
            .workspace("acme")
            .secret(SecretDigest::of(secret))
            .metadata(tags! { "team" => "growth", "key" => "key-7" })
    };
    (0..1000).map(key).fold(registry, RegistryBuilder::api_key).build().unwrap()
}

/// Creates the event layer of a row. Rows whose names end in `-no-pool` allocate every event.
fn events(sink: Queued, row: &str) -> EventLayer {
    let layer = EventLayer::new(sink);
    if row.ends_with("-no-pool") { layer.without_event_pool() } else { layer }
}

/// Reads the tags of each event on the sink's thread and discards the event, just as the peers' exporters discard
/// spans.
struct Discard;

impl BatchWriter for Discard {
    fn write(&mut self, events: &[Arc<tower_tagging::Event>]) -> Result<(), WriteError> {
        for event in events {
            black_box(event.metadata());
        }
        Ok(())
    }
}

fn discarding() -> Queued {
    Queued::builder("discard", Discard).capacity(QUEUE).build()
}

/// Serializes events on the sink's thread.
fn json() -> Queued {
    JsonLinesWriter::new(std::io::sink()).queued().capacity(QUEUE).build()
}

/// Measures a row of this crate and checks that every event is delivered.
fn ours<S, B>(sink: Queued, wrap: impl FnOnce(Queued) -> S, bursts: usize)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body + Unpin,
{
    let delivery = sink.delivery();
    measure(wrap(sink), bursts);
    let report = delivery.shutdown_blocking(Duration::from_secs(60));
    assert!(report.is_complete(), "{report}");
}

/// Prints what the layer adds to a chunk of a streamed body.
fn measure_chunks(bursts: usize) {
    const CHUNKS: usize = 1000;

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
    let layer = EventLayer::new(discarding());
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
    assert!(delivery.shutdown_blocking(Duration::from_secs(60)).is_complete());
    let [mut without, mut with] = costs;
    let more = (allocations[1] - allocations[0]) as f64 / (bursts * CHUNKS) as f64;
    println!("{} {more}", median(&mut with) - median(&mut without));
}
