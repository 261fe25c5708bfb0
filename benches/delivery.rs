//! Measures what an outage of the destination costs:
//!
//! ```text
//! cargo bench -p tower-tagging-benches --bench delivery
//! ```
//!
//! - the latency of requests through a real hyper server and client, in turn without a store, with a store, and with an
//!   unreachable store
//! - the memory that five million events use while the store is unreachable, which the size of the spool limits

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

use std::{
    convert::Infallible,
    env, fs,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, Sink, Tags,
    sink::{self, BatchWriter, Queued, Spool, SpoolMode, WriteError},
    store::SqliteStore,
};

/// A store that is never reachable.
struct Unreachable;

impl BatchWriter for Unreachable {
    fn write(&mut self, _: &[Arc<Event>]) -> Result<(), WriteError> {
        Err(WriteError::retryable("connection refused"))
    }
}

fn main() {
    let is_smoke = env::args().any(|arg| arg == "--smoke");
    let folder = env::temp_dir().join(format!("tower-tagging-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(latency(&folder, if is_smoke { 3 } else { 120 }));
    drop(runtime);
    memory(&folder, if is_smoke { 20_000 } else { 5_000_000 });
    fs::remove_dir_all(folder).unwrap();
}

async fn latency(folder: &std::path::Path, rounds: usize) {
    let store = SqliteStore::open(folder.join("events.db")).unwrap();
    store.migrate().unwrap();
    let spool = |name: &str| Spool::open(folder.join(name)).unwrap();
    let names = ["without a store", "SQLite", "an unreachable store, with a spool", "an unreachable store"];
    let layers = [
        EventLayer::new(sink::from_fn(|_| {})),
        EventLayer::new(store.sink()),
        EventLayer::new(Queued::builder("unreachable", Unreachable).spool(spool("latency")).build()),
        EventLayer::new(Queued::builder("unreachable", Unreachable).on_queue_full(|_| {}).build()),
    ];
    let mut addresses = Vec::new();
    for layer in &layers {
        addresses.push(serve(layer).await);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); layers.len()];
    let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); layers.len()];
    for round in 0..rounds {
        let mut of_round = vec![0.0; addresses.len()];
        // Each round starts with a different server.
        for at in 0..addresses.len() {
            let at = (at + round) % addresses.len();
            let address = addresses[at];
            // The previous sink finishes its work first.
            tokio::time::sleep(Duration::from_millis(60)).await;
            let mut taken = Vec::new();
            for _ in 0..1_000 {
                let request = Request::get(format!("http://{address}/")).body(Full::default()).unwrap();
                let start = Instant::now();
                client.request(request).await.unwrap().into_body().collect().await.unwrap();
                taken.push(start.elapsed().as_secs_f64() * 1e6);
            }
            of_round[at] = median(&mut taken);
        }
        // The first round is a warm-up.
        if round > 0 {
            for (at, time) in of_round.iter().enumerate() {
                times[at].push(*time);
                ratios[at].push(time / of_round[0]);
            }
        }
    }
    println!("| a request through hyper | median, µs | × without a store |");
    println!("|---|--:|--:|");
    for (at, name) in names.iter().enumerate() {
        println!("| {name} | {:.1} | {:.3} |", median(&mut times[at]), median(&mut ratios[at]));
    }
}

async fn serve(layer: &EventLayer) -> SocketAddr {
    let service = layer.layer(service_fn(|request: Request<Incoming>| async move {
        request.extensions().get::<Tags>().unwrap().extend([
            ("user", "ada"),
            ("team", "growth"),
            ("feature", "search"),
        ]);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                // The client closes the connection when it is done.
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn memory(folder: &std::path::Path, events: usize) {
    println!(
        "\n| {events} events while the store is unreachable | events/s | memory added, MiB | on disk, MiB | report |"
    );
    println!("|---|--:|--:|--:|---|");
    for mode in [SpoolMode::OnOverflow, SpoolMode::Always] {
        let folder = folder.join(mode.to_string());
        let spool = Spool::builder(&folder).mode(mode).max_bytes(256 << 20).open().unwrap();
        let sink =
            Queued::builder("unreachable", Unreachable).capacity(10_000).on_queue_full(|_| {}).spool(spool).build();
        let layer = EventLayer::new(sink.clone());
        let service = layer.layer(service_fn(|request: Request<()>| {
            let tags = request.extensions().get::<Tags>().unwrap();
            tags.extend([("user", "ada"), ("team", "growth"), ("feature", "search")]);
            std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
        }));
        let emit = |count: usize| {
            for _ in 0..count {
                let request = Request::get("/v1/things").body(()).unwrap();
                service.clone().oneshot(request).now_or_never().unwrap().unwrap();
            }
        };
        // Fills the pools.
        emit(events / 50);
        let before = resident_kib();
        let start = Instant::now();
        emit(events - events / 50);
        let rate = (events - events / 50) as f64 / start.elapsed().as_secs_f64();
        let more = resident_kib().saturating_sub(before);
        let report = sink.delivery().report().sinks[0].clone();
        assert_eq!(report.accepted, report.delivered + report.dropped() + report.in_flight());
        let disk = report.spool.bytes >> 20;
        println!("| spool {mode} | {rate:.0} | {:.1} | {disk} | {report} |", more as f64 / 1024.0);
    }
}

/// Returns the resident memory in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
