//! Measures the cost of reading LLM usage:
//!
//! ```text
//! cargo bench -p tower-tagging-benches --bench usage
//! ```
//!
//! - a chunk without usage, with and without the tap
//! - a stream of line ends only, as degenerate keep-alives are, next to as many bytes of chunks
//! - reading and pricing a JSON response of 4 KiB, which happens on the first access to the event's LLM call, usually
//!   on the sink's thread
//! - a stream of 2,000 chunks through a real hyper server and client

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

use std::{
    convert::Infallible,
    env,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tower::{Layer, Service};
use tower_tagging::{EventLayer, sink, usage::UsageTap};

const CHUNKS: usize = 2000;

fn main() {
    let rounds = if env::args().any(|arg| arg == "--smoke") { 2 } else { 400 };
    let [without, with, allocations] = chunks(rounds);
    println!("| | without the tap | with the tap | |");
    println!("|---|--:|--:|--:|");
    println!(
        "| a chunk without usage | {without:.0} ns | {with:.0} ns | {:.0} ns and {allocations:.4} allocations added |",
        with - without
    );
    for (name, line_ends) in [("LF", "\n"), ("CR", "\r"), ("CRLF", "\r\n"), ("mixed", "\n\r\r\n")] {
        let [normal, degenerate] = degenerate(rounds, line_ends);
        println!(
            "| 1 MiB of chunks, and of line ends ({name}) | {:.0} µs | {:.0} µs | × {:.2} |",
            normal / 1000.0,
            degenerate / 1000.0,
            degenerate / normal
        );
    }
    let [read, again] = unary(rounds * 10, UsageTap::new().without_prices());
    println!(
        "| reading a JSON response of 4 KiB, off the request path | | {:.1} µs | {again:.0} ns when read again |",
        read / 1000.0
    );
    let [priced, _] = unary(rounds * 10, UsageTap::new());
    println!(
        "| reading it and pricing it by the catalog | | {:.1} µs | {:.1} µs for the price |",
        priced / 1000.0,
        (priced - read) / 1000.0
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let [without, with] = runtime.block_on(stream(rounds / 4 + 1));
    println!(
        "| a stream of {CHUNKS} chunks through hyper | {without:.2} ms | {with:.2} ms | × {:.3} |",
        with / without
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn chunk(at: usize) -> Bytes {
    // The shape and size of a chunk from OpenAI.
    let text = format!(
        "data: {{\"id\":\"chatcmpl-9x8y7z\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\
         \"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_5f20662549\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\
         \" word{at}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
    );
    text.into()
}

fn all_chunks() -> Arc<[Bytes]> {
    let mut chunks: Vec<Bytes> = (0..CHUNKS - 2).map(chunk).collect();
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":1998,\"total_tokens\":2017}}\n\n";
    chunks.extend([Bytes::from(usage), Bytes::from("data: [DONE]\n\n")]);
    chunks.into()
}

type Answer = Response<StreamBody<futures_util::stream::Iter<Frames>>>;

/// The frames of a stream. Creating them does not allocate.
struct Frames {
    chunks: Arc<[Bytes]>,
    next: usize,
}

impl Iterator for Frames {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.chunks.get(self.next)?.clone();
        self.next += 1;
        Some(Ok(Frame::data(chunk)))
    }
}

fn answer(chunks: &Arc<[Bytes]>) -> Answer {
    let frames = Frames { chunks: Arc::clone(chunks), next: 0 };
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(StreamBody::new(futures_util::stream::iter(frames))).unwrap()
}

fn layer(with_tap: bool) -> EventLayer {
    let layer = EventLayer::new(sink::from_fn(drop));
    if with_tap { layer.usage(UsageTap::new()) } else { layer }
}

fn request() -> Request<Full<Bytes>> {
    Request::post("/v1/chat/completions").body(Full::default()).unwrap()
}

/// Returns nanoseconds per chunk without and with the tap, and the allocations that the tap adds.
fn chunks(rounds: usize) -> [f64; 3] {
    let chunks = all_chunks();
    let mut times = [Vec::new(), Vec::new()];
    let mut allocations = [0; 2];
    let mut services = [false, true].map(|with_tap| {
        let chunks = Arc::clone(&chunks);
        layer(with_tap).layer(tower::service_fn(move |_: Request<Full<Bytes>>| {
            std::future::ready(Ok::<_, Infallible>(answer(&chunks)))
        }))
    });
    for _ in 0..rounds {
        for (at, service) in services.iter_mut().enumerate() {
            let response = service.call(request()).now_or_never().unwrap().unwrap();
            let mut body = response.into_body();
            // Skips the first chunks, which carry the model, and the last ones, which carry the usage.
            for _ in 0..10 {
                body.frame().now_or_never().unwrap().unwrap().unwrap();
            }
            let start = Instant::now();
            let counted = allocation_counter::measure(|| {
                for _ in 0..CHUNKS - 20 {
                    let _ = body.frame().now_or_never().unwrap().unwrap().unwrap();
                }
            });
            times[at].push(start.elapsed().as_nanos() as f64 / (CHUNKS - 20) as f64);
            allocations[at] += counted.count_total;
            body.collect().now_or_never().unwrap().unwrap();
        }
    }
    let [mut without, mut with] = times;
    let more = (allocations[1] - allocations[0]) as f64 / (rounds * (CHUNKS - 20)) as f64;
    [median(&mut without), median(&mut with), more]
}

/// Returns nanoseconds for 1 MiB of normal chunks, and of line ends in chunks of the same size.
fn degenerate(rounds: usize, line_ends: &str) -> [f64; 2] {
    const BYTES: usize = 1024 * 1024;
    let count = BYTES / chunk(1000).len();
    let normal: Vec<Bytes> = (0..count).map(chunk).collect();
    let fill = |chunk: &Bytes| Bytes::from(line_ends.repeat(chunk.len() / line_ends.len() + 1)).slice(..chunk.len());
    let streams: [Arc<[Bytes]>; 2] = [normal.clone().into(), normal.iter().map(fill).collect()];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..=rounds / 10 {
        for (times, chunks) in times.iter_mut().zip(&streams) {
            let mut service = layer(true).layer(tower::service_fn(|_: Request<Full<Bytes>>| {
                std::future::ready(Ok::<_, Infallible>(answer(chunks)))
            }));
            let body = service.call(request()).now_or_never().unwrap().unwrap().into_body();
            let start = Instant::now();
            body.collect().now_or_never().unwrap().unwrap();
            times.push(start.elapsed().as_nanos() as f64);
        }
    }
    times.map(|mut times| median(&mut times))
}

/// Returns nanoseconds for the first and the second read of the usage in a JSON response of 4 KiB.
fn unary(rounds: usize, tap: UsageTap) -> [f64; 2] {
    let text = "word ".repeat(720);
    let body = format!(
        "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1767225600,\"model\":\"gpt-4o-2024-08-06\",\"choices\":\
         [{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}],\"usage\":\
         {{\"prompt_tokens\":19,\"completion_tokens\":720,\"total_tokens\":739,\"prompt_tokens_details\":{{\"cached_tokens\":4,\
         \"audio_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0}}}}}}"
    );
    let body = Bytes::from(body);
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let layer = EventLayer::new(sink::from_fn(move |event| *keep.lock().unwrap() = Some(event))).usage(tap);
    let mut service = layer.layer(tower::service_fn(move |_: Request<Full<Bytes>>| {
        let response = Response::builder().header("content-type", "application/json");
        std::future::ready(Ok::<_, Infallible>(response.body(Full::new(body.clone())).unwrap()))
    }));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let response = service.call(request()).now_or_never().unwrap().unwrap();
        response.into_body().collect().now_or_never().unwrap().unwrap();
        let event = seen.lock().unwrap().take().unwrap();
        for times in &mut times {
            let start = Instant::now();
            assert_eq!(event.llm().unwrap().usage().unwrap().output_tokens(), Some(720));
            times.push(start.elapsed().as_nanos() as f64);
        }
    }
    times.map(|mut times| median(&mut times))
}

/// Returns milliseconds per stream through a hyper server and client, without and with the tap.
async fn stream(rounds: usize) -> [f64; 2] {
    async fn serve<S, B>(service: S) -> std::net::SocketAddr
    where
        S: Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // The client closes the connection when it is done.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        address
    }

    let chunks = all_chunks();
    let mut addresses = Vec::new();
    for with_tap in [false, true] {
        let chunks = Arc::clone(&chunks);
        let service = tower::service_fn(move |_: Request<hyper::body::Incoming>| {
            let frames = Frames { chunks: Arc::clone(&chunks), next: 0 };
            // A model produces one word at a time, so each chunk is written on its own.
            let frames = futures_util::StreamExt::then(futures_util::stream::iter(frames), async |frame| {
                tokio::task::yield_now().await;
                frame
            });
            let response = Response::builder().header("content-type", "text/event-stream");
            std::future::ready(Ok::<_, Infallible>(response.body(StreamBody::new(Box::pin(frames))).unwrap()))
        });
        addresses.push(serve(layer(with_tap).layer(service)).await);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (times, address) in times.iter_mut().zip(&addresses) {
            let request = Request::post(format!("http://{address}/v1/chat/completions")).body(Full::default()).unwrap();
            let start = Instant::now();
            let mut body = client.request(request).await.unwrap().into_body();
            while let Some(frame) = body.frame().await {
                frame.unwrap();
            }
            times.push(start.elapsed().as_secs_f64() * 1000.0);
        }
    }
    times.map(|mut times| median(&mut times))
}
