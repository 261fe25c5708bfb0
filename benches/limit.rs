//! Measures how long limits take in memory, next to `governor` and `tower_governor` in the same run:
//!
//! ```text
//! cargo bench -p tower-tagging-benches --bench limit
//! ```
//!
//! A check takes from 1 or 10 rules, which group by a tag with 1,000 values. `governor` has one limiter per rule, whose key is
//! that tag. A request passes through a whole layer: `LimitLayer` reads the tags, checks the rules, and settles the request with
//! its event, while `tower_governor` only checks one rate. The table shows the median of the rounds.

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

use std::{
    convert::Infallible,
    env,
    hint::black_box,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::body::Body;
use futures_util::FutureExt;
use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::DashMapStateStore};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_governor::{GovernorError, GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor};
use tower_tagging::{
    Metadata, TagSources, TaggingLayer,
    limit::{Amount, LimitDecision, LimitLayer, LimitRule, Limiter, Window},
    sink,
    tagging::{Gate, GateReply, GatedRequest, Passage},
};
use uuid::Uuid;

const ROUNDS: usize = 15;
const USERS: usize = 1_000;
/// More than any benchmark uses.
const MANY: u32 = 1_000_000_000;
const PER: Duration = Duration::from_secs(60);

fn main() {
    // Only checks that the benchmark runs. The figures are meaningless.
    let (rounds, requests) = if env::args().any(|arg| arg == "--smoke") { (1, 50) } else { (ROUNDS, 20_000) };
    println!("| one check in memory | ns | allocations |");
    println!("|---|--:|--:|");
    for rules in [1, 10] {
        let (time, allocations) = limiter(rules, rate, rounds, requests);
        println!("| tower-tagging, {rules} rates | {time:.0} | {allocations:.1} |");
        let (time, allocations) = limiter(rules, budget, rounds, requests);
        println!("| tower-tagging, {rules} budgets | {time:.0} | {allocations:.1} |");
        let (time, allocations) = governor(rules, rounds, requests);
        println!("| governor, {rules} limiters | {time:.0} | {allocations:.1} |");
    }
    println!("\n| one request through a layer | ns |");
    println!("|---|--:|");
    println!("| no layer | {:.0} |", service(service_fn(answer), rounds, requests));
    println!("| TaggingLayer | {:.0} |", service(tagging().layer(service_fn(answer)), rounds, requests));
    for rules in [1, 10] {
        let limiter = Limiter::builder().rules((0..rules).map(rate)).build().unwrap();
        let limited = LimitLayer::new(limiter, tagging()).layer(service_fn(answer));
        println!("| LimitLayer, {rules} rates | {:.0} |", service(limited, rounds, requests));
    }
    let config =
        GovernorConfigBuilder::default().key_extractor(User).period(PER / MANY).burst_size(MANY).finish().unwrap();
    let governed = GovernorLayer::new(Arc::new(config)).layer(service_fn(answer));
    println!("| tower_governor, 1 rate | {:.0} |", service(governed, rounds, requests));
}

fn rate(at: usize) -> LimitRule {
    let rule = LimitRule::rate(format!("rate-{at}"), Amount::requests(MANY.into()), PER);
    rule.group_by("metadata._user").on_store_error(LimitDecision::Allow).build().unwrap()
}

fn budget(at: usize) -> LimitRule {
    let window = Window::month("Europe/Berlin").unwrap();
    let rule = LimitRule::budget(format!("budget-{at}"), Amount::requests(MANY.into()), window);
    rule.group_by("metadata._user").on_store_error(LimitDecision::Allow).build().unwrap()
}

fn user(at: usize) -> String {
    format!("user-{}", at * 7 % USERS)
}

/// Returns the nanoseconds and allocations of a check.
fn limiter(rules: usize, rule: fn(usize) -> LimitRule, rounds: usize, requests: usize) -> (f64, f64) {
    let limiter = Limiter::builder().rules((0..rules).map(rule)).build().unwrap();
    let now = SystemTime::now();
    let request = |at: usize| {
        let metadata: Metadata = [("_user", user(at))].into_iter().collect();
        GatedRequest::new(Uuid::now_v7(), now, metadata)
    };
    let check = |request: GatedRequest| {
        assert!(matches!(limiter.enter(request), GateReply::Now(Passage::Admit { .. })));
    };
    measure((0..rounds).map(|_| (0..requests).map(request).collect()), check)
}

fn governor(limiters: usize, rounds: usize, requests: usize) -> (f64, f64) {
    type Limiter = RateLimiter<String, DashMapStateStore<String>, DefaultClock>;
    let many = NonZeroU32::new(MANY).unwrap();
    let limiters: Vec<Limiter> = (0..limiters).map(|_| RateLimiter::keyed(Quota::per_minute(many))).collect();
    measure((0..rounds).map(|_| (0..requests).map(user).collect()), |user: String| {
        assert!(limiters.iter().all(|limiter| limiter.check_key(&user).is_ok()));
    })
}

/// Returns the median nanoseconds and the allocations of a call, which takes one of the prepared inputs.
fn measure<T>(rounds: impl Iterator<Item = Vec<T>>, mut call: impl FnMut(T)) -> (f64, f64) {
    let (mut times, mut allocations) = (Vec::new(), Vec::new());
    for inputs in rounds {
        let number = inputs.len() as f64;
        let start = Instant::now();
        let counted = allocation_counter::measure(|| inputs.into_iter().for_each(|input| call(black_box(input))));
        times.push(start.elapsed().as_nanos() as f64 / number);
        allocations.push(counted.count_total as f64 / number);
    }
    (median(&mut times), median(&mut allocations))
}

fn tagging() -> TaggingLayer {
    let sources = TagSources::portkey();
    TaggingLayer::builder().sources(sources).sink(sink::from_fn(|_| {})).build().unwrap()
}

async fn answer<B>(_: Request<B>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// Returns the nanoseconds of a request.
fn service<S, B>(mut service: S, rounds: usize, requests: usize) -> f64
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
{
    let mut times = Vec::new();
    for _ in 0..rounds {
        let inputs: Vec<_> = (0..requests.min(5_000)).map(request).collect();
        let number = inputs.len() as f64;
        let start = Instant::now();
        for input in inputs {
            let ready = service.ready().now_or_never();
            assert!(matches!(ready, Some(Ok(_))));
            drop(black_box(service.call(input).now_or_never()));
        }
        times.push(start.elapsed().as_nanos() as f64 / number);
        // The sinks catch up.
        std::thread::sleep(Duration::from_millis(20));
    }
    median(&mut times)
}

fn request(at: usize) -> Request<Full<Bytes>> {
    let user = user(at);
    let metadata = format!(r#"{{"_user":"{user}"}}"#);
    Request::get("/").header("x-portkey-metadata", metadata).header("x-user", user).body(Full::default()).unwrap()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The key of `tower_governor`.
#[derive(Clone, Debug)]
struct User;

impl KeyExtractor for User {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        let user = request.headers().get("x-user").and_then(|user| user.to_str().ok());
        user.map(str::to_owned).ok_or(GovernorError::UnableToExtractKey)
    }
}
