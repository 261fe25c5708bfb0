//! Measures what telemetry adds to a request, for this crate and for layers that report spans and metrics to
//! OpenTelemetry:
//!
//! ```text
//! cargo bench -p tower-tagging-benches --bench otel
//! ```
//!
//! - Each row runs in its own processes, with the same kind of span exporter and metric reader, which discard
//!   everything. The rows take turns. The table shows medians, and next to them the ratios of the fastest rounds.
//! - Requests have either 12 headers and a peer address, like requests in axum, or four headers.
//! - A row covers the request's thread: the call, the response, its whole body, and freeing all of it. Spans are
//!   exported on another thread while the row runs. A row that drops one fails.

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

mod harness;

use std::{
    env,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tower::Layer;
use tower_tagging::{TaggingLayer, TraceIdLayer, otel::Otel};
use tracing_subscriber::prelude::*;

use harness::{
    Answer, DiscardSpans, fastest, median, meter_provider, print_figures, provider, request, run_child, small_request,
};

const ROWS: [(&str, &str); 4] = [
    ("bare", "no layer"),
    ("ours", "ours"),
    ("otel-tower", "opentelemetry-instrumentation-tower"),
    ("tower-otel", "tower-otel"),
];
const REQUESTS: [(&str, &str); 2] = [("axum", "12 headers, peer address"), ("small", "4 headers")];
const ROUNDS: usize = 9;

fn main() {
    let args: Vec<String> = env::args().collect();
    match args.iter().position(|arg| arg == "--row") {
        Some(at) => run_row(&args[at + 1], args[at + 2].parse().unwrap()),
        // Only checks that every row runs. The figures are meaningless.
        None if args.iter().any(|arg| arg == "--smoke") => print_tables(1, 2),
        None => print_tables(ROUNDS, 400),
    }
}

fn print_tables(rounds: usize, bursts: usize) {
    println!(
        "| spans and metrics | request | ns | added ns | × the faster peer, total | × added | both in the fastest rounds | \
         allocations added |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for (kind, request) in REQUESTS {
        let mut nanos = vec![Vec::new(); ROWS.len()];
        let mut allocations = [0.0; ROWS.len()];
        for _ in 0..rounds {
            for (row, (name, _)) in ROWS.iter().enumerate() {
                let mut command = Command::new(env::current_exe().unwrap());
                let figures = run_child(command.env("REQUEST", kind), name, bursts);
                nanos[row].push(figures[0]);
                allocations[row] = figures[1];
            }
        }
        let best: Vec<f64> = nanos.iter().map(|row| fastest(row)).collect();
        let best_peer = best[2].min(best[3]);
        let medians: Vec<f64> = nanos.iter_mut().map(|row| median(row)).collect();
        let (bare, faster) = (medians[0], medians[2].min(medians[3]));
        for (row, (_, label)) in ROWS.iter().enumerate() {
            let added = medians[row] - bare;
            println!(
                "| {label} | {request} | {:.0} | {added:.0} | {:.2} | {:.2} | {:.2}, {:.2} | {:.1} |",
                medians[row],
                medians[row] / faster,
                added / (faster - bare),
                best[row] / best_peer,
                (best[row] - best[0]) / (best_peer - best[0]),
                allocations[row] - allocations[0],
            );
        }
    }
}

fn run_row(row: &str, bursts: usize) {
    let make: fn() -> Request<Full<Bytes>> = match env::var("REQUEST").as_deref() {
        Ok("small") => small_request,
        _ => request,
    };
    let meters = meter_provider();
    match row {
        "bare" => _ = print_figures(Answer, bursts, make),
        "ours" => {
            let exported = Arc::new(AtomicU64::new(0));
            let spans = DiscardSpans(Arc::clone(&exported));
            let otel = Otel::builder().span_exporter(spans).meter_provider(&meters).build().unwrap();
            // The peers do not send a trace ID in the response either.
            let ids = TraceIdLayer::new().without_response_header();
            let layer = TaggingLayer::builder().trace_ids(ids).otel(&otel).build().unwrap().without_request_body();
            let delivery = layer.delivery();
            let requests = print_figures(layer.layer(Answer), bursts, make);
            let report = delivery.shutdown_blocking(Duration::from_secs(60));
            assert!(report.is_complete(), "{report}");
            assert_eq!(exported.load(Ordering::Relaxed), requests, "spans were dropped");
        }
        "otel-tower" => {
            let (tracers, exported) = global_provider();
            global::set_meter_provider(meters);
            let layer = opentelemetry_instrumentation_tower::http::server::Layer::new();
            let requests = print_figures(layer.layer(Answer), bursts, make);
            finish(&tracers, &exported, requests);
        }
        "tower-otel" => {
            let (tracers, exported) = global_provider();
            let subscriber = tracing_subscriber::registry()
                .with(tracing_opentelemetry::layer().with_tracer(tracers.tracer("bench")));
            tracing::subscriber::set_global_default(subscriber).unwrap();
            let meter = opentelemetry::metrics::MeterProvider::meter(&meters, "bench");
            let layer = tower_otel::metrics::HttpLayer::server(&meter).layer(Answer);
            let layer = tower_otel::trace::HttpLayer::server(tracing::Level::INFO).layer(layer);
            let requests = print_figures(layer, bursts, make);
            finish(&tracers, &exported, requests);
        }
        _ => panic!("unknown row {row:?}"),
    }
}

fn global_provider() -> (SdkTracerProvider, Arc<AtomicU64>) {
    let (tracers, exported) = provider();
    global::set_tracer_provider(tracers.clone());
    global::set_text_map_propagator(TraceContextPropagator::new());
    (tracers, exported)
}

fn finish(tracers: &SdkTracerProvider, exported: &AtomicU64, requests: u64) {
    tracers.shutdown().unwrap();
    assert_eq!(exported.load(Ordering::Relaxed), requests, "spans were dropped");
}
