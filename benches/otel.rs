//! What telemetry costs a request, beside other layers that report to OpenTelemetry, all with the same exporter and meter provider:
//!
//! ```text
//! cargo bench --bench otel --features full
//! ```
//!
//! The time of the request's own thread, in rounds of 500 requests, after which queues drain; spans and metrics are on for each.

#![allow(clippy::cast_precision_loss, reason = "figures are for people")]

use std::{convert::Infallible, env, future::Future, time::Instant};

use futures_util::FutureExt;
use http::{Request, Response};
use opentelemetry::global;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider},
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tower::{Layer, Service, ServiceExt};
use tower_tagging::{TaggingLayer, TraceIdLayer, otel::Otel};

type Body = http_body_util::Full<bytes::Bytes>;

/// Takes spans and forgets them.
#[derive(Clone, Debug)]
struct Null;

impl SpanExporter for Null {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        drop(batch);
        std::future::ready(Ok(()))
    }
}

fn request() -> Request<Body> {
    let request = Request::post("http://api.example.com/v1/things?x=1")
        .header("host", "api.example.com")
        .header("user-agent", "bench/1.0")
        .header("content-type", "application/json")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    request.body(Body::default()).unwrap()
}

async fn handler(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("hello")))
}

/// Median nanoseconds of a request to its end, by round.
fn measure<S, B>(service: &S, count: usize) -> f64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let requests: Vec<_> = (0..count).map(|_| request()).collect();
    let start = Instant::now();
    for request in requests {
        let response = service.clone().oneshot(request).now_or_never().unwrap().unwrap();
        let body = std::pin::pin!(response.into_body());
        http_body_util::BodyExt::collect(body).now_or_never().unwrap().unwrap();
    }
    start.elapsed().as_nanos() as f64 / count as f64
}

fn main() {
    let rounds = if env::args().any(|arg| arg == "--smoke") { 2 } else { 121 };
    let tracers = SdkTracerProvider::builder().with_batch_exporter(Null).build();
    let meters = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(InMemoryMetricExporter::default()).build())
        .build();
    global::set_tracer_provider(tracers.clone());
    global::set_meter_provider(meters.clone());
    global::set_text_map_propagator(opentelemetry_sdk::propagation::TraceContextPropagator::new());

    let otel = Otel::builder().span_exporter(Null).meter_provider(&meters).build().unwrap();
    // As the others: no other sink, and no trace id in the response.
    let ids = TraceIdLayer::new().without_response_header();
    let ours = TaggingLayer::builder().trace_ids(ids).otel(&otel).build().unwrap();
    let bare = tower::service_fn(handler);
    let ours = ours.without_request_body().layer(bare);
    let peer = opentelemetry_instrumentation_tower::http::server::Layer::new().layer(bare);
    let tower_otel = tower_otel::trace::HttpLayer::server(tracing::Level::INFO)
        .layer(tower_otel::metrics::HttpLayer::server(&global::meter("bench")).layer(bare));
    use tracing_subscriber::prelude::*;
    let subscriber = tracing_subscriber::registry().with(
        tracing_opentelemetry::layer().with_tracer(opentelemetry::trace::TracerProvider::tracer(&tracers, "bench")),
    );
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let names = ["no layer", "ours", "opentelemetry-instrumentation-tower", "tower-otel"];
    if let Ok(row) = env::var("ROW") {
        let mut t = Vec::new();
        for _ in 0..env::var("LOOPS").map_or(400, |n| n.parse().unwrap()) {
            t.push(match row.as_str() { "ours" => measure(&ours, 500), "peer" => measure(&peer, 500), _ => measure(&bare, 500) });
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        println!("{row} {}", median(&mut t));
        return;
    }
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let count = 500;
        let of_round =
            [measure(&bare, count), measure(&ours, count), measure(&peer, count), measure(&tower_otel, count)];
        // Queues are emptied before the next round.
        std::thread::sleep(std::time::Duration::from_millis(30));
        if round > 0 {
            times.iter_mut().zip(of_round).for_each(|(times, time)| times.push(time));
            ratios.push((of_round[1] - of_round[0]) / (of_round[2].min(of_round[3]) - of_round[0]));
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    println!("| layer, spans and metrics on | ns | added ns | × the faster peer, of the added |");
    println!("|---|--:|--:|--:|");
    let faster = medians[2].min(medians[3]) - medians[0];
    for (name, time) in names.iter().zip(&medians) {
        println!("| {name} | {time:.0} | {:.0} | {:.2} |", time - medians[0], (time - medians[0]) / faster);
    }
    println!("\nOurs is {:.2} of the faster peer, by the median of the rounds' own ratios.", median(&mut ratios));
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
