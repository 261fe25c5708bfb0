//! Limits on the cost of a request: allocations per request and chunk, and exactly one event for each of a million
//! requests.

mod common;
#[path = "../benches/harness/headers.rs"]
mod headers;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use headers::HEADERS;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Frame};
use tower::{Layer, Service, service_fn};
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer,
    event::Outcome,
    metadata::{Scope, Scopes},
    sink::{BatchWriter, Queued, WriteError},
    sources::TagSources,
    tags,
};

/// Counts events by outcome.
#[derive(Clone, Default)]
struct Tally(Arc<[AtomicU64; Outcome::ALL.len()]>);

impl Tally {
    fn of(&self, outcome: Outcome) -> u64 {
        self.0[Outcome::ALL.iter().position(|other| *other == outcome).unwrap()].load(Ordering::Relaxed)
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl BatchWriter for Tally {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        for event in events {
            let at = Outcome::ALL.iter().position(|other| *other == event.outcome()).unwrap();
            self.0[at].fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Creates a request like those from hyper and axum: header values are slices of one buffer, and there is an extension.
fn request(headers: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    let mut buffer = Bytes::from(headers.iter().map(|(_, value)| *value).collect::<String>());
    let mut request = Request::get("/").body(Full::default()).unwrap();
    request.headers_mut().reserve(headers.len());
    for (name, value) in headers {
        let value = HeaderValue::from_maybe_shared(buffer.split_to(value.len())).unwrap();
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    request.extensions_mut().insert(());
    request
}

async fn answer<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder().header("content-type", "text/plain").header("content-length", "5");
    Ok(response.body(Full::from("hello")).unwrap())
}

/// Returns the number of allocations that a service makes for a request, after a warm-up.
fn allocations<S, B>(mut service: S) -> u64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: hyper::body::Body + Unpin,
{
    let mut serve = || {
        let request = request(&HEADERS);
        allocation_counter::measure(|| {
            let mut body = service.call(request).now_or_never().unwrap().unwrap().into_body();
            while body.frame().now_or_never().unwrap().is_some() {}
        })
        .count_total
    };
    for _ in 0..50 {
        serve();
        // Waits for the delivery thread to recycle the event.
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(100));
    // Takes the minimum, because another thread may hold the recycled event during some of the requests.
    (0..20).map(|_| serve()).min().unwrap()
}

fn queued() -> Queued {
    Queued::builder("tally", Tally::default()).max_delay(Duration::ZERO).build()
}

#[test]
fn a_request_allocates_at_most_a_few_times() {
    let bare = allocations(service_fn(answer));

    let sources = TagSources::new().allow_list("x-user-id, x-tenant, x-feature, x-session-id");
    let layer = TaggingLayer::builder().metadata(MetadataLayer::builder().sources(sources)).sink(queued());
    let layer = layer.build().unwrap().without_request_body();
    let headers_only = allocations(layer.layer(service_fn(answer))) - bare;
    assert!(headers_only <= 3, "{headers_only} allocations, headers only");

    let resolved = Scopes::new()
        .with(Scope::ApiKey, tags! { "team" => "growth" })
        .with(Scope::Workspace, tags! { "tenant" => "acme" });
    let metadata = MetadataLayer::builder()
        .sources(TagSources::portkey())
        .scope(Scope::Fallback, tags! { "region" => "eu" })
        .resolver(move |_| resolved.clone());
    let layer = TaggingLayer::builder().metadata(metadata).sink(queued()).build().unwrap();
    let full = allocations(layer.layer(service_fn(answer))) - bare;
    assert!(full <= 5, "{full} allocations, full");
}

#[test]
fn a_tag_that_a_handler_replaces_allocates_nothing() {
    let tags = tower_tagging::Tags::new();
    let insert = || {
        tags.insert("team", "growth");
        tags.insert("documents", 42);
    };
    insert();
    assert_eq!(allocation_counter::measure(insert).count_total, 0);
}

#[test]
fn a_streamed_chunk_allocates_nothing() {
    const CHUNKS: usize = 1000;
    let mut service = EventLayer::new(queued()).layer(service_fn(async |_: Request<Full<Bytes>>| {
        let frames = (0..CHUNKS).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"data: {}\n\n"))));
        Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(stream::iter(frames))))
    }));
    let mut body = service.call(request(&HEADERS)).now_or_never().unwrap().unwrap().into_body();
    let counted = allocation_counter::measure(|| {
        for _ in 0..CHUNKS - 1 {
            body.frame().now_or_never().unwrap().unwrap().unwrap();
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[cfg(feature = "llm")]
#[test]
fn a_chunk_without_usage_allocates_nothing() {
    const CHUNKS: usize = 1000;
    const CHUNK: &[u8] = b"data: {\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n";
    let layer = EventLayer::new(queued()).usage(tower_tagging::usage::UsageTap::new());
    let mut service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
        let frames = (0..CHUNKS).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(CHUNK))));
        let body = http_body_util::StreamBody::new(stream::iter(frames));
        Ok::<_, Infallible>(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
    }));
    let mut request = request(&HEADERS);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = "/v1/chat/completions".parse().unwrap();
    let mut body = service.call(request).now_or_never().unwrap().unwrap().into_body();
    let mut take = |chunks: usize| {
        for _ in 0..chunks {
            body.frame().now_or_never().unwrap().unwrap().unwrap();
        }
    };
    // The first chunk names the model.
    take(1);
    let counted = allocation_counter::measure(|| take(CHUNKS - 2));
    assert_eq!(counted.count_total, 0);
}

#[cfg(feature = "llm")]
#[test]
fn the_tap_does_not_allocate_for_requests_that_are_not_llm_calls() {
    let layer = |tap: bool| {
        let events = EventLayer::new(queued());
        if tap { events.usage(tower_tagging::usage::UsageTap::new()) } else { events }
    };
    let without = allocations(layer(false).layer(service_fn(answer)));
    assert_eq!(allocations(layer(true).layer(service_fn(answer))), without);
}

/// Requests that are dropped at random moments still emit one event each.
#[test]
fn a_million_requests_emit_a_million_events() {
    const REQUESTS: u64 = 1_000_000;
    const THREADS: u64 = 2;
    let tally = Tally::default();
    // The queue must not overflow, so the workers wait for the writer.
    let sink = Queued::builder("tally", tally.clone()).capacity(65_536).build();
    let layer = EventLayer::new(sink);
    let delivery = layer.delivery();
    let endings: Vec<[u64; 4]> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let (layer, delivery) = (&layer, &delivery);
                    move || hang_up_at_random(layer, delivery, thread + 1, REQUESTS / THREADS)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let report = delivery.shutdown_blocking(Duration::from_secs(60));
    let sum = |at: usize| endings.iter().map(|ending| ending[at]).sum::<u64>();
    assert_eq!(report.sinks[0].accepted, REQUESTS, "{report}");
    assert!(report.is_complete(), "{report}");
    assert_eq!(tally.total(), REQUESTS);
    assert_eq!(tally.of(Outcome::Completed), sum(0));
    assert_eq!(tally.of(Outcome::Cancelled), sum(1));
    assert_eq!(tally.of(Outcome::Failed), sum(2));
    assert_eq!(tally.of(Outcome::Panicked), sum(3));
    assert!((0..4).all(|at| sum(at) > REQUESTS / 100), "{endings:?}");
}

/// Serves requests, drops each at a random moment, and returns how many completed, were cancelled, failed, and
/// panicked.
fn hang_up_at_random(
    layer: &EventLayer,
    delivery: &tower_tagging::sink::Delivery,
    seed: u64,
    requests: u64,
) -> [u64; 4] {
    common::expect_panics("at random");
    let mut random = seed;
    let mut next = move |below: u64| {
        // xorshift is random enough, and the same in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut endings = [0; 4];
    let mut context = Context::from_waker(Waker::noop());
    for number in 0..requests {
        if number % 1024 == 0 {
            while delivery.report().sinks[0].in_flight() > 30_000 {
                std::thread::yield_now();
            }
        }
        let (frames, kind, stop) = (next(4), next(40), next(6));
        let mut service = layer.layer(service_fn(move |_: Request<()>| async move {
            // Returns `Pending` once, so that the future can be dropped between two polls.
            tokio::task::yield_now().await;
            match kind {
                0 => return Err("at random"),
                1 => panic!("at random"),
                _ => {}
            }
            let frames = stream::iter(0..frames).map(|_| Ok::<_, &str>(Frame::data(Bytes::from_static(b"chunk"))));
            let end = stream::iter(match kind {
                2 => vec![Err("at random")],
                _ => vec![],
            });
            Ok(Response::new(http_body_util::StreamBody::new(frames.chain(end))))
        }));
        let mut future = Box::pin(service.call(Request::new(())));
        if stop == 0 {
            // Disconnects before the response head. The future may have been polled once.
            if next(2) == 0 {
                let _ = future.as_mut().poll(&mut context);
            }
            endings[1] += 1;
            continue;
        }
        assert!(future.as_mut().poll(&mut context).is_pending());
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        let body = match polled {
            Err(_) => {
                endings[3] += 1;
                continue;
            }
            Ok(Poll::Ready(Err(_))) => {
                endings[2] += 1;
                continue;
            }
            Ok(Poll::Ready(Ok(response))) => response.into_body(),
            Ok(Poll::Pending) => unreachable!(),
        };
        let mut body = Box::pin(body);
        let mut ending = 1;
        // Reads some frames and disconnects, or reads to the end.
        for _ in 0..if stop > 3 { u64::MAX } else { stop - 1 } {
            match body.as_mut().poll_frame(&mut context) {
                Poll::Ready(None) => ending = 0,
                Poll::Ready(Some(Err(_))) => ending = 2,
                _ => continue,
            }
            break;
        }
        endings[ending] += 1;
    }
    endings
}
