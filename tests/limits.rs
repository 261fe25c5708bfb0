//! What limits do to requests, through `LimitLayer` and real layers, with a virtual clock.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use common::Recorder;
use futures_util::StreamExt;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_tagging::{
    EventLayer, TagSources, TaggingLayer, Tags,
    event::{ManualClock, Outcome},
    limit::{Amount, Ledger, LimitDecision, LimitLayer, LimitMode, LimitRule, LimitRuleBuilder, Limiter, Window},
    registry::{ErrorStyle, Registry, RegistryLayer},
    sink::Delivery,
    usage::{ExtraCost, Money, UsageTap},
};

/// 2026-11-15T12:00:00Z, the middle of a month and an hour.
const NOON: Duration = Duration::from_secs(1_794_744_000);
const HOUR: Duration = Duration::from_secs(3600);
const CHAT: &str = "/v1/chat/completions";

/// A service with limits.
struct Limited {
    app: Router,
    limiter: Limiter,
    recorder: Recorder,
    delivery: Delivery,
    clock: ManualClock,
}

/// The answer to a request.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Responds like a provider: 1,000 input and 100 output tokens of gpt-4o cost 0.0035 USD.
async fn chat(body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = json!({
        "object": "chat.completion", "model": request["model"], "choices": [{"message": {"content": "Hello"}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

/// The cost of a call, in nano-dollars.
const CALL: i64 = 3_500_000;

fn routes() -> Router {
    Router::new()
        .route(CHAT, post(chat))
        .route("/plain", get(|| async { "plain" }).post(|| async { "plain" }))
        .route("/error", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/health", get(|| async { "ok" }))
        .route(
            "/report",
            get(|tags: Tags| async move {
                tags.record_cost(ExtraCost::new(Money::from_nano_usd(7)).of("rows", 2.5));
                "report"
            }),
        )
}

impl Limited {
    fn new(rules: impl IntoIterator<Item = LimitRuleBuilder>) -> Self {
        Self::with(rules, routes(), None, ErrorStyle::Problem)
    }

    fn with(
        rules: impl IntoIterator<Item = LimitRuleBuilder>,
        app: Router,
        registry: Option<Registry>,
        style: ErrorStyle,
    ) -> Self {
        let clock = ManualClock::at(UNIX_EPOCH + NOON);
        let rules = rules.into_iter().map(|rule| rule.build().unwrap());
        let limiter = Limiter::builder()
            .rules(rules)
            .ledger(Ledger::memory_with_clock(clock.clone()))
            .clock(clock.clone())
            .errors(style)
            .headers_on_success()
            .build()
            .unwrap();
        let recorder = Recorder::new();
        let tagging = TaggingLayer::builder()
            .sources(TagSources::portkey())
            .usage(UsageTap::new())
            .events(EventLayer::new(recorder.0.clone()).clock(clock.clone()))
            .exclude(|head| head.uri.path() == "/health")
            .build()
            .unwrap();
        let layer = match registry {
            Some(registry) => LimitLayer::new(limiter.clone(), RegistryLayer::new(registry, tagging)),
            None => LimitLayer::new(limiter.clone(), tagging),
        };
        let delivery = layer.delivery();
        Self { app: app.layer(layer), limiter, recorder, delivery, clock }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        self.settle().await;
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Waits until the requests that ended are settled.
    async fn settle(&self) {
        while self.delivery.report().sinks.iter().any(|sink| sink.in_flight() > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn get(&self, path: &str, tags: &str) -> Answer {
        self.send(Request::get(path).header("x-portkey-metadata", tags).body(Body::empty()).unwrap()).await
    }

    async fn chat(&self, tags: &str, body: Value) -> Answer {
        let request = Request::post(CHAT).header("x-portkey-metadata", tags);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Sends requests with the same tags, and returns their statuses.
    async fn statuses(&self, path: &str, tags: &str, number: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..number {
            statuses.push(self.get(path, tags).await.status);
        }
        statuses
    }

    /// Returns the groups with what is settled and reserved.
    async fn used(&self) -> Vec<(Vec<Option<String>>, i64, i64)> {
        let usage = self.limiter.usage().await.unwrap();
        let groups = usage.into_iter().map(|usage| {
            let values = usage.group.into_iter().map(|(_, value)| value).collect();
            (values, usage.settled.count(), usage.reserved.count())
        });
        groups.collect()
    }
}

fn gpt(max_tokens: Option<u64>) -> Value {
    json!({"model": "gpt-4o", "messages": [], "max_tokens": max_tokens})
}

fn requests(name: &str, number: u64) -> LimitRuleBuilder {
    let window = Window::hour("UTC").unwrap();
    LimitRule::budget(name, Amount::requests(number), window).on_store_error(LimitDecision::Deny)
}

fn cost(name: &str, amount: &str) -> LimitRuleBuilder {
    let window = Window::month("UTC").unwrap();
    LimitRule::budget(name, amount.parse().unwrap(), window)
        .on_store_error(LimitDecision::Deny)
        .on_unpriced(LimitDecision::Allow)
}

fn per_minute(name: &str, number: u64) -> LimitRuleBuilder {
    LimitRule::rate(name, Amount::requests(number), Duration::from_secs(60)).on_store_error(LimitDecision::Allow)
}

#[tokio::test]
async fn rejects_requests_beyond_a_budget_until_the_window_ends() {
    let limited = Limited::new([requests("hourly", 2).group_by("metadata.team")]);
    limited.clock.advance(Duration::from_secs(60));
    assert_eq!(limited.statuses("/plain", r#"{"team":"red"}"#, 3).await, [200, 200, 429]);
    assert_eq!(limited.statuses("/plain", r#"{"team":"blue"}"#, 1).await, [200]);

    let answer = limited.get("/plain", r#"{"team":"red"}"#).await;
    assert_eq!(answer.header("retry-after"), Some("3540"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let body = answer.json();
    assert_eq!((&body["status"], &body["code"]), (&json!(429), &json!("budget")));
    assert_eq!(body["violated-policies"], json!(["hourly"]));
    assert!(!body.to_string().contains("red"), "{body}");

    let events = limited.recorder.events();
    let last = events.last().unwrap();
    assert_eq!(
        (last.outcome(), last.rejection(), last.limit_rule()),
        (Outcome::Rejected, Some("budget"), Some("hourly"))
    );
    assert_eq!(events[0].limit_rule(), None);

    limited.clock.advance(Duration::from_secs(3540));
    assert_eq!(limited.statuses("/plain", r#"{"team":"red"}"#, 3).await, [200, 200, 429]);
}

#[tokio::test]
async fn names_every_violated_rule_and_the_longest_wait() {
    let day = LimitRule::budget("daily", Amount::requests(1), Window::day("UTC").unwrap());
    let limited = Limited::new([requests("hourly", 1), day.on_store_error(LimitDecision::Deny)]);
    assert_eq!(limited.get("/plain", "{}").await.status, 200);
    let answer = limited.get("/plain", "{}").await;
    assert_eq!(answer.json()["violated-policies"], json!(["hourly", "daily"]));
    assert_eq!(answer.header("retry-after"), Some("43200"));
    assert_eq!(limited.recorder.events()[1].limit_rule(), Some("daily"));
}

#[tokio::test]
async fn takes_from_all_rules_or_from_none() {
    let limited = Limited::new([requests("wide", 10), requests("narrow", 1)]);
    assert_eq!(limited.statuses("/plain", "{}", 4).await, [200, 429, 429, 429]);
    assert_eq!(limited.used().await, [(vec![], 1, 0), (vec![], 1, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lets_exactly_the_budget_pass_under_concurrency() {
    const TASKS: usize = 256;
    let limited = Arc::new(Limited::new([requests("exact", 1_000)]));
    let passed = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (app, passed) = (limited.app.clone(), Arc::clone(&passed));
            tokio::spawn(async move {
                for _ in 0..8 {
                    let request = Request::get("/plain").body(Body::empty()).unwrap();
                    let response = app.clone().oneshot(request).await.unwrap();
                    if response.status() == StatusCode::OK {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                    response.into_body().collect().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    limited.settle().await;
    assert_eq!(passed.load(Ordering::Relaxed), 1_000);
    assert_eq!(limited.used().await, [(vec![], 1_000, 0)]);
}

#[tokio::test]
async fn settles_the_cost_to_the_nano_dollar() {
    let limited = Limited::new([cost("monthly", "0.01 USD").group_by("metadata.team")]);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(limited.chat(r#"{"team":"red"}"#, gpt(Some(10))).await.status);
    }
    // The third call is expected to cost less than is left, and the fourth finds the budget exhausted.
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(limited.used().await, [(vec![Some("red".to_owned())], 3 * CALL, 0)]);
    let answer = limited.chat(r#"{"team":"red"}"#, gpt(None)).await;
    assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), (None, None));
    assert!(!String::from_utf8(answer.body).unwrap().contains("0.01"));
}

#[tokio::test]
async fn reserves_what_a_call_declares() {
    // 1,000 output tokens cost 0.01 USD.
    let limited = Limited::new([cost("monthly", "0.01 USD")]);
    assert_eq!(limited.chat("{}", gpt(Some(10_000))).await.status, 429);
    assert_eq!(limited.chat("{}", json!({"model": "gpt-4o", "max_tokens": 600, "n": 2})).await.status, 429);
    assert_eq!(limited.chat("{}", gpt(Some(900))).await.status, 200);
}

#[tokio::test]
async fn reserves_the_95th_percentile_of_earlier_calls() {
    let limited = Limited::new([cost("monthly", "0.0395 USD").estimate("0.02 USD".parse().unwrap())]);
    // The first five reserve the estimate of the rule. After them, 0.022 USD are left.
    for _ in 0..5 {
        assert_eq!(limited.chat("{}", gpt(None)).await.status, 200);
    }
    // Those after them reserve about 0.0035 USD.
    for _ in 0..6 {
        assert_eq!(limited.chat("{}", gpt(None)).await.status, 200);
    }
    assert_eq!(limited.chat("{}", gpt(None)).await.status, 429);
    assert_eq!(limited.used().await, [(vec![], 11 * CALL, 0)]);
}

#[tokio::test]
async fn counts_recorded_costs_and_quantities_on_any_route() {
    let rows = LimitRule::budget("rows", "5 rows".parse().unwrap(), Window::day("UTC").unwrap());
    let limited = Limited::new([cost("money", "1 USD"), rows.on_store_error(LimitDecision::Allow)]);
    assert_eq!(limited.statuses("/report", "{}", 3).await, [200, 200, 429]);
    assert_eq!(limited.used().await, [(vec![], 14, 0), (vec![], 5_000_000, 0)]);
}

#[tokio::test]
async fn counts_requests_whatever_their_outcome() {
    let app = routes().route("/panic", get(|| async { panic!("on purpose") as &str }));
    let limited = Limited::with([requests("all", 10)], app, None, ErrorStyle::Problem);
    assert_eq!(limited.get("/error", "{}").await.status, 500);
    assert_eq!(limited.get("/missing", "{}").await.status, 404);
    let panicking = limited.app.clone();
    let request = Request::get("/panic").body(Body::empty()).unwrap();
    assert!(tokio::spawn(async move { panicking.oneshot(request).await.map(drop) }).await.is_err());
    // A client that disconnects.
    let request = Request::get("/plain").body(Body::empty()).unwrap();
    drop(limited.app.clone().oneshot(request).await.unwrap());
    limited.settle().await;
    assert_eq!(limited.used().await, [(vec![], 4, 0)]);
    // Without an event, nothing is counted.
    assert_eq!(limited.get("/health", "{}").await.status, 200);
    assert_eq!(limited.used().await, [(vec![], 4, 0)]);
}

#[tokio::test]
async fn limits_rates_with_a_burst() {
    let limited = Limited::new([per_minute("rate", 6).burst(Amount::requests(2))]);
    assert_eq!(limited.statuses("/plain", "{}", 3).await, [200, 200, 429]);
    let answer = limited.get("/plain", "{}").await;
    assert_eq!(answer.header("retry-after"), Some("10"));
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""rate";q=6;w=60"#));
    assert_eq!(answer.header("ratelimit"), Some(r#""rate";r=0;t=10"#));
    assert_eq!(answer.json()["code"], "rate_limit");
    assert_eq!(limited.recorder.events().last().unwrap().rejection(), Some("rate_limit"));
    limited.clock.advance(Duration::from_secs(10));
    assert_eq!(limited.statuses("/plain", "{}", 2).await, [200, 429]);
    limited.clock.advance(HOUR);
    let answer = limited.get("/plain", "{}").await;
    assert_eq!((answer.status, answer.header("ratelimit")), (200, Some(r#""rate";r=1;t=0"#)));
}

#[tokio::test]
async fn names_groups_by_a_hash() {
    let limited = Limited::new([per_minute("rate", 6).group_by("metadata._user")]);
    let answer = limited.get("/plain", r#"{"_user":"ada@example.com"}"#).await;
    let policy = answer.header("ratelimit-policy").unwrap();
    let (start, partition) = policy.split_once(";pk=:").unwrap();
    assert_eq!(start, r#""rate";q=6;w=60"#);
    let other = limited.get("/plain", r#"{"_user":"bob@example.com"}"#).await;
    assert!(!other.header("ratelimit-policy").unwrap().contains(partition));
}

#[tokio::test]
async fn corrects_rates_of_tokens_by_what_was_used() {
    // A call reserves 10 tokens and what its body has, and uses 1,100.
    let rate = LimitRule::rate("tokens", Amount::tokens(2_000), Duration::from_secs(60));
    let limited = Limited::new([rate.on_store_error(LimitDecision::Allow)]);
    assert_eq!(limited.chat("{}", gpt(Some(10))).await.status, 200);
    assert_eq!(limited.chat("{}", gpt(Some(10))).await.status, 200);
    let answer = limited.chat("{}", gpt(Some(10))).await;
    assert_eq!(answer.status, 429);
    // 200 tokens too many, and about 26 more, take at most 7 seconds.
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(wait, 7);
    limited.clock.advance(Duration::from_secs(wait));
    assert_eq!(limited.chat("{}", gpt(Some(10))).await.status, 200);
}

#[tokio::test]
async fn limits_requests_that_run_at_the_same_time() {
    let gate = Arc::new(Notify::new());
    let waiting = Arc::clone(&gate);
    let app = routes().route("/slow", get(move || async move { waiting.notified().await }));
    let rule = LimitRule::concurrency("two", 2).on_store_error(LimitDecision::Allow);
    let limited = Arc::new(Limited::with([rule], app, None, ErrorStyle::Problem));
    let running: Vec<_> = (0..2)
        .map(|_| {
            let limited = Arc::clone(&limited);
            tokio::spawn(async move { limited.get("/slow", "{}").await.status })
        })
        .collect();
    tokio::task::yield_now().await;
    let rejected = limited.get("/plain", "{}").await;
    assert_eq!((rejected.status, rejected.header("retry-after")), (429, Some("1")));
    gate.notify_one();
    gate.notify_one();
    for request in running {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(limited.get("/plain", "{}").await.status, 200);
}

#[tokio::test]
async fn applies_to_requests_that_meet_all_conditions() {
    let rule = requests("conditional", 1)
        .when("metadata.environment", ["production", "staging"])
        .when("route", ["/pl*"])
        .exclude("metadata.team", ["internal"]);
    let limited = Limited::new([rule]);
    for tags in [r#"{"environment":"test"}"#, "{}", r#"{"environment":"production","team":"internal"}"#] {
        assert_eq!(limited.statuses("/plain", tags, 2).await, [200, 200], "{tags}");
    }
    assert_eq!(limited.statuses("/report", r#"{"environment":"production"}"#, 2).await, [200, 200]);
    assert_eq!(limited.statuses("/plain", r#"{"environment":"staging"}"#, 2).await, [200, 429]);
    assert_eq!(limited.get("/plain", r#"{"environment":"production"}"#).await.status, 429);
}

#[tokio::test]
async fn treats_missing_groups_as_configured() {
    use tower_tagging::limit::OnMissing;
    for (on_missing, expected) in
        [(OnMissing::Skip, [200, 200, 200]), (OnMissing::Deny, [400, 400, 400]), (OnMissing::Bucket, [200, 429, 429])]
    {
        let limited = Limited::new([requests("by-team", 1).group_by("metadata.team").on_missing(on_missing)]);
        let mut statuses = limited.statuses("/plain", "{}", 2).await;
        // An empty value is missing as well.
        statuses.push(limited.get("/plain", r#"{"team":""}"#).await.status);
        assert_eq!(statuses, expected, "{on_missing:?}");
        assert_eq!(limited.get("/plain", r#"{"team":"red"}"#).await.status, 200);
    }
}

#[tokio::test]
async fn keeps_groups_apart_whatever_their_values() {
    let limited = Limited::new([requests("pairs", 1).group_by("metadata.a").group_by("metadata.b")]);
    for tags in [
        r#"{"a":"x\",\"y","b":"z"}"#,
        r#"{"a":"x","b":"y\",\"z"}"#,
        r#"{"a":"x-b:y","b":"z"}"#,
        r#"{"a":"x","b":"y-b:z"}"#,
        r#"{"a":"null","b":"z"}"#,
        r#"{"a":"\\","b":"\\\\"}"#,
        r#"{"a":"\\\\","b":"\\"}"#,
    ] {
        assert_eq!(limited.statuses("/plain", tags, 2).await, [200, 429], "{tags}");
    }
    assert_eq!(limited.used().await.len(), 7);
}

#[tokio::test]
async fn reports_what_shadow_rules_would_reject() {
    let limited =
        Limited::new([requests("shadow", 1).mode(LimitMode::Shadow), requests("off", 1).mode(LimitMode::Off)]);
    assert_eq!(limited.statuses("/plain", "{}", 3).await, [200; 3]);
    let events = limited.recorder.events();
    let notes = |at: usize| events[at].diagnostics().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(notes(0), Vec::<String>::new());
    assert_eq!(notes(1), [r#"limit_shadow "shadow""#]);
    let counts = limited.limiter.counts();
    assert_eq!((counts[0].passed, counts[0].shadowed, counts[0].rejected), (3, 2, 0));
    assert_eq!((counts[1].passed, counts[1].shadowed), (0, 0));
}

#[tokio::test]
async fn raises_a_budget_until_a_time() {
    let until = UNIX_EPOCH + NOON + Duration::from_secs(600);
    let limited = Limited::new([requests("raised", 1).raise(Amount::requests(2), until)]);
    assert_eq!(limited.statuses("/plain", "{}", 3).await, [200; 3]);
    assert_eq!(limited.get("/plain", "{}").await.status, 429);
    limited.clock.advance(Duration::from_secs(600));
    assert_eq!(limited.limiter.usage().await.unwrap()[0].limit, Amount::requests(1));
    limited.clock.advance(HOUR);
    assert_eq!(limited.statuses("/plain", "{}", 2).await, [200, 429]);
}

#[tokio::test]
async fn keeps_the_count_when_a_rule_changes_within_its_window() {
    let limited = Limited::new([requests("changing", 2)]);
    assert_eq!(limited.statuses("/plain", "{}", 3).await, [200, 200, 429]);
    limited.limiter.replace_rules(vec![requests("changing", 3).build().unwrap()]).unwrap();
    assert_eq!(limited.statuses("/plain", "{}", 2).await, [200, 429]);
    limited.limiter.replace_rules(vec![requests("changing", 1).build().unwrap()]).unwrap();
    assert_eq!(limited.get("/plain", "{}").await.status, 429);
    assert_eq!(limited.used().await, [(vec![], 3, 0)]);
    assert_eq!(limited.limiter.counts()[0].rejected, 3);
    limited.limiter.replace_rules(Vec::new()).unwrap();
    assert_eq!(limited.get("/plain", "{}").await.status, 200);
    let twice = ["same", "same"].map(|name| requests(name, 1).build().unwrap());
    assert!(limited.limiter.replace_rules(twice.into()).is_err());
}

#[tokio::test]
async fn reads_model_and_user_from_the_body() {
    let rules = [requests("model", 1).when("model", ["gpt-4*"]), requests("user", 2).group_by("metadata._user")];
    let limited = Limited::new(rules);
    let call = |model: &str, user: &str| json!({"messages": ["x".repeat(20_000)], "user": user, "model": model});
    assert_eq!(limited.chat("{}", call("gpt-4o", "ada")).await.status, 200);
    assert_eq!(limited.chat("{}", call("gpt-4o-mini", "bob")).await.status, 429);
    assert_eq!(limited.chat("{}", call("o3", "ada")).await.status, 200);
    let answer = limited.chat("{}", call("o3", "ada")).await;
    assert_eq!(answer.json()["violated-policies"], json!(["user"]));
    assert_eq!(limited.chat("{}", call("o3", "bob")).await.status, 200);
    // The service received each body unchanged.
    let events = limited.recorder.events();
    let models: Vec<_> = events.iter().filter_map(|event| event.llm()?.response_model()).collect();
    assert_eq!(models, ["gpt-4o", "o3", "o3"]);
}

#[tokio::test]
async fn decides_about_models_without_a_price() {
    for (decision, expected) in [(LimitDecision::Allow, 200), (LimitDecision::Deny, 403)] {
        let limited = Limited::new([cost("money", "1 USD").on_unpriced(decision)]);
        let answer = limited.chat("{}", json!({"model": "in-house-7b"})).await;
        assert_eq!(answer.status, expected);
        assert_eq!(limited.chat("{}", gpt(Some(1))).await.status, 200);
        assert_eq!(limited.get("/plain", "{}").await.status, 200);
        assert!(limited.limiter.counts()[0].unpriced > 0);
        assert_eq!(limited.recorder.events()[0].rejection().is_some(), expected == 403);
    }
}

#[tokio::test]
async fn knows_the_fields_at_the_start_of_a_long_body() {
    let limited = Limited::new([requests("model", 1).when("model", ["gpt-4*"]), cost("money", "0.5 USD")]);
    let long = |fields: &str| format!(r#"{{{fields},"messages":["{}"]}}"#, "x".repeat(300_000));
    let send = |body: String| {
        let request = Request::post(CHAT).header(header::CONTENT_TYPE, "application/json");
        let chunks: Vec<_> =
            body.as_bytes().chunks(16_384).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        limited.send(request.body(Body::from_stream(futures_util::stream::iter(chunks))).unwrap())
    };
    assert_eq!(send(long(r#""model":"gpt-4o","max_tokens":10"#)).await.status, 200);
    assert_eq!(send(long(r#""model":"gpt-4o""#)).await.status, 429);
    // 75,000 tokens of input cost 0.1875 USD, and 40,000 tokens of output 0.4 USD.
    assert_eq!(send(long(r#""model":"gpt-3.5-turbo","max_tokens":10"#)).await.status, 200);
    let events = limited.recorder.events();
    assert!(events[0].diagnostics().iter().any(|note| note.to_string().contains("too_large")));
    assert_eq!(events[1].llm().unwrap().request_model(), Some("gpt-4o"));
}

#[tokio::test]
async fn a_declared_maximum_cannot_overflow_a_count() {
    let limited = Limited::new([
        cost("shadow", "1 USD").mode(LimitMode::Shadow),
        LimitRule::budget("tokens", Amount::tokens(1_000_000), Window::month("UTC").unwrap())
            .on_store_error(LimitDecision::Deny)
            .mode(LimitMode::Shadow),
    ]);
    for max in [u64::MAX, u64::MAX / 2, 1 << 60] {
        let held: Vec<_> = (0..3)
            .map(|_| {
                let body = json!({"model": "gpt-4o", "max_tokens": max, "n": 3}).to_string();
                let request = Request::post(CHAT).header(header::CONTENT_TYPE, "application/json");
                limited.app.clone().oneshot(request.body(Body::from(body)).unwrap())
            })
            .collect();
        for response in held {
            assert_eq!(response.await.unwrap().status(), 200);
        }
        limited.settle().await;
        assert!(limited.used().await.iter().all(|(_, settled, reserved)| *settled >= 0 && *reserved == 0));
    }
    let limited = Limited::new([cost("enforced", "1 USD")]);
    assert_eq!(limited.chat("{}", gpt(Some(u64::MAX))).await.status, 429);
    assert_eq!(limited.chat("{}", gpt(Some(10))).await.status, 200);
}

#[tokio::test]
async fn retrieving_a_result_is_not_a_call_without_a_price() {
    let app = routes().route("/v1/responses/{id}", get(|| async { "{}" }));
    let rule = cost("money", "1 USD").on_unpriced(LimitDecision::Deny);
    let limited = Limited::with([rule], app, None, ErrorStyle::Problem);
    assert_eq!(limited.get("/v1/responses/resp_1", "{}").await.status, 200);
}

#[tokio::test]
async fn reserves_the_known_input_of_a_call_without_a_maximum() {
    // 400,000 bytes are 100,000 tokens, which cost 0.25 USD.
    let limited = Limited::new([cost("monthly", "0.2 USD")]);
    let body = json!({"model": "gpt-4o", "messages": ["x".repeat(200_000)]});
    assert_eq!(limited.chat("{}", body).await.status, 200);
    let limited = Limited::new([cost("monthly", "0.1 USD")]);
    let body = json!({"model": "gpt-4o", "messages": ["x".repeat(200_000)]});
    assert_eq!(limited.chat("{}", body).await.status, 429);
}

#[tokio::test]
async fn only_streams_are_cut() {
    let chunked = || async {
        let parts = futures_util::stream::iter(0..100).map(|_| Ok::<_, std::io::Error>("x".repeat(1_000)));
        ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(parts))
    };
    let app = Router::new().route(CHAT, post(chunked));
    let rule = LimitRule::budget("tokens", Amount::tokens(10_000), Window::day("UTC").unwrap());
    let rule = rule.on_store_error(LimitDecision::Allow).cut_streams(1.0);
    let limited = Limited::with([rule], app, None, ErrorStyle::Problem);
    assert_eq!(limited.chat("{}", json!({"model": "gpt-4o", "max_tokens": 5})).await.body.len(), 100_000);
}

#[tokio::test]
async fn a_rate_with_a_limit_on_concurrency_counts_once() {
    let limited = Limited::new([per_minute("both", 2).concurrent(5)]);
    let answer = limited.get("/plain", "{}").await;
    let policy = answer.header("ratelimit-policy").unwrap();
    assert_eq!(policy, r#""both";q=2;w=60, "both concurrent";q=5;qu="concurrent-requests""#);
    limited.statuses("/plain", "{}", 2).await;
    let counts = &limited.limiter.counts()[0];
    assert_eq!((counts.passed, counts.rejected), (2, 1));
}

#[tokio::test]
async fn a_shadow_rate_recovers_as_an_enforced_one_does() {
    let limited = Limited::new([per_minute("shadow", 2).mode(LimitMode::Shadow)]);
    limited.statuses("/plain", "{}", 50).await;
    limited.clock.advance(Duration::from_secs(60));
    limited.statuses("/plain", "{}", 2).await;
    assert_eq!(limited.limiter.counts()[0].shadowed, 48);
}

#[tokio::test]
async fn counts_calls_whose_usage_is_not_known() {
    let silent = || async { ([(header::CONTENT_TYPE, "application/json")], r#"{"object":"chat.completion"}"#) };
    let limited =
        Limited::with([cost("money", "1 USD")], Router::new().route(CHAT, post(silent)), None, ErrorStyle::Problem);
    assert_eq!(limited.chat("{}", gpt(Some(10))).await.status, 200);
    assert_eq!(limited.used().await, [(vec![], 0, 0)]);
    assert_eq!(limited.limiter.counts()[0].unknown, 1);
}

/// Responds as the field `user` asks: without usage, with a part of it, with an error, or with an endless stream.
async fn unreliable(body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let frame = |data: Value| Ok::<_, std::io::Error>(format!("data: {data}\n\n"));
    let stream = |parts: Vec<_>| {
        let body = Body::from_stream(futures_util::stream::iter(parts).chain(futures_util::stream::pending()));
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    };
    let delta = json!({"choices": [{"delta": {"content": "Hello"}}]});
    match request["user"].as_str().unwrap() {
        "silent" => ([(header::CONTENT_TYPE, "application/json")], "{\"object\":\"chat.completion\"}").into_response(),
        "garbled" => ([(header::CONTENT_TYPE, "application/json")], "{\"object\":").into_response(),
        "refused" => (StatusCode::BAD_REQUEST, "{\"error\":{\"message\":\"no\"}}").into_response(),
        "down" => (StatusCode::BAD_GATEWAY, "no route").into_response(),
        "left" => stream(vec![frame(delta)]),
        "much" => stream((0..1_000).map(|_| frame(delta.clone())).collect()),
        "never" => std::future::pending().await,
        _ => chat(body).await,
    }
}

#[tokio::test]
async fn charges_what_a_call_reserved_if_its_usage_remains_unknown() {
    let tokens = || {
        let rule = LimitRule::budget("tokens", Amount::tokens(100_000), Window::day("UTC").unwrap());
        rule.on_store_error(LimitDecision::Deny).cut_streams(1.0)
    };
    let rules = [cost("money", "1 USD").charge_unknown(true), tokens().charge_unknown(true)];
    // An answer, the status of the usage, and whether the reservation counts.
    let cases = [
        ("silent", true),
        ("garbled", true),
        ("left", true),
        ("much", true),
        ("never", true),
        ("refused", false),
        ("down", false),
        ("served", false),
    ];
    for (user, is_charged) in cases {
        let limited =
            Limited::with(rules.clone(), Router::new().route(CHAT, post(unreliable)), None, ErrorStyle::Problem);
        let body = json!({"model": "gpt-4o", "max_tokens": 20, "user": user, "stream": true}).to_string();
        // 0.0000025 USD per input token, and 0.00001 USD per output token.
        let input = i64::try_from(body.len().div_ceil(4)).unwrap();
        let reserved = [(vec![], input * 2_500 + 200_000, 0), (vec![], input + 20, 0)];
        let request = Request::post(CHAT).header(header::CONTENT_TYPE, "application/json").body(Body::from(body));
        let call = limited.app.clone().oneshot(request.unwrap());
        match user {
            "never" => assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err()),
            "left" => {
                let mut body = call.await.unwrap().into_body().into_data_stream();
                assert!(body.next().await.is_some());
            }
            _ => _ = call.await.unwrap().into_body().collect().await,
        }
        limited.settle().await;
        let event = &limited.recorder.events()[0];
        let notes: Vec<_> = event.diagnostics().iter().filter(|note| note.code_str() == "limit_reserved").collect();
        assert_eq!(notes.len(), if is_charged { 2 } else { 0 }, "{user}: {event:?}");
        let used = limited.used().await;
        match (user, is_charged) {
            (_, true) => assert_eq!(used, reserved, "{user}"),
            ("served", _) => assert_eq!(used, [(vec![], CALL, 0), (vec![], 1_100, 0)], "{user}"),
            _ => assert_eq!(used, [(vec![], 0, 0), (vec![], 0, 0)], "{user}"),
        }
        // The cost itself stays unknown.
        assert_eq!(event.llm().unwrap().cost().is_some(), user == "served", "{user}");
    }
}

#[tokio::test]
async fn reservations_of_unknown_calls_do_not_raise_estimates() {
    let rule = cost("money", "5 USD").charge_unknown(true);
    let limited = Limited::with([rule], Router::new().route(CHAT, post(unreliable)), None, ErrorStyle::Problem);
    let silent = json!({"model": "gpt-4o", "max_tokens": 5_000, "user": "silent"});
    for _ in 0..10 {
        limited.chat("{}", silent.clone()).await;
    }
    let charged = limited.used().await[0].1;
    assert!(charged > 10 * 50_000_000, "{charged}");
    // The estimate of a call without a maximum is still the default, one cent.
    let body = json!({"model": "gpt-4o", "user": "left"}).to_string();
    let request = Request::post(CHAT).header(header::CONTENT_TYPE, "application/json").body(Body::from(body));
    let response = limited.app.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(limited.used().await, [(vec![], charged, 10_000_000)]);
    drop(response);
}

#[tokio::test]
async fn groups_from_before_a_change_of_the_rule_do_not_count() {
    let limited = Limited::new([requests("calls", 5)]);
    limited.statuses("/plain", r#"{"team":"red"}"#, 3).await;
    let replace = |rule: LimitRuleBuilder| limited.limiter.replace_rules(vec![rule.build().unwrap()]).unwrap();
    replace(requests("calls", 2).group_by("metadata.team"));
    assert_eq!(limited.used().await, []);
    assert_eq!(limited.statuses("/plain", r#"{"team":"red"}"#, 3).await, [200, 200, 429]);
    assert_eq!(limited.used().await, [(vec![Some("red".to_owned())], 2, 0)]);
    // The name of a team and that of a user can be the same text.
    replace(requests("calls", 2).group_by("metadata._user"));
    assert_eq!(limited.statuses("/plain", r#"{"_user":"red"}"#, 3).await, [200, 200, 429]);
    replace(requests("calls", 5));
    assert_eq!(limited.used().await, [(vec![], 3, 0)]);
}

#[tokio::test]
async fn answers_as_portkey_does() {
    let rules = [requests("budget", 1).when("route", ["/plain"]), per_minute("rate", 1).when("route", ["/report"])];
    let limited = Limited::with(rules, routes(), None, ErrorStyle::Portkey);
    limited.get("/plain", "{}").await;
    let answer = limited.get("/plain", "{}").await;
    assert_eq!(answer.status, 412);
    let error = &answer.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("usage_limits_policy_exhaust_error"), &json!("06")));
    limited.get("/report", "{}").await;
    let answer = limited.get("/report", "{}").await;
    assert_eq!(answer.status, 429);
    let error = &answer.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("rate_limits_policy_exhaust_error"), &Value::Null));
    assert!(answer.header("retry-after").is_some());

    let limited = Limited::new([requests("payment", 0x1).status(StatusCode::PAYMENT_REQUIRED)]);
    assert_eq!(limited.statuses("/plain", "{}", 2).await, [200, 402]);
}

#[tokio::test]
async fn limits_keys_workspaces_and_virtual_keys_of_a_registry() {
    let registry = Registry::from_toml(&format!(
        r#"
        [workspaces.acme]
        [api_keys.web]
        workspace = "acme"
        secrets = [{{ sha256 = "{}" }}]
        [virtual_keys.openai]
        provider = "openai"
        base_url = "https://api.openai.example"
        secret_env = "PATH"
        workspaces = ["acme"]
        "#,
        tower_tagging::registry::SecretDigest::of("sesame")
    ))
    .unwrap();
    let rules = [
        requests("key", 3).group_by("api_key"),
        requests("workspace", 2).when("workspace", ["acme"]),
        requests("virtual", 1).group_by("virtual_key"),
    ];
    let limited = Limited::with(rules, routes(), Some(registry), ErrorStyle::Problem);
    let send = |virtual_key: Option<&'static str>| {
        let mut request = Request::get("/plain").header("x-portkey-api-key", "sesame");
        if let Some(name) = virtual_key {
            request = request.header("x-portkey-virtual-key", name);
        }
        limited.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(send(Some("openai")).await.status, 200);
    assert_eq!(send(Some("openai")).await.json()["violated-policies"], json!(["virtual"]));
    assert_eq!(send(None).await.status, 200);
    assert_eq!(send(None).await.json()["violated-policies"], json!(["workspace"]));
    assert_eq!(limited.statuses("/plain", "{}", 4).await, [200; 4]);
}

#[tokio::test]
async fn cuts_streams_that_use_more_than_they_reserved() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&sent);
    let stream = move || {
        let sent = Arc::clone(&counting);
        async move {
            let events = futures_util::stream::iter(0..1_000).map(move |_| {
                sent.fetch_add(1, Ordering::Relaxed);
                Ok::<_, std::io::Error>("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")
            });
            ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events))
        }
    };
    for (factor, expected) in [(Some(2.0), 2 * 50), (None, 1_000)] {
        let app = Router::new().route(CHAT, post(stream.clone()));
        let rule = LimitRule::budget("tokens", Amount::tokens(10_000), Window::day("UTC").unwrap());
        let rule = rule.on_store_error(LimitDecision::Allow);
        let rule = match factor {
            Some(factor) => rule.cut_streams(factor),
            None => rule,
        };
        sent.store(0, Ordering::Relaxed);
        let limited = Limited::with([rule], app, None, ErrorStyle::Problem);
        let body = json!({"model": "gpt-4o", "max_tokens": 38, "stream": true});
        let answer = limited.chat("{}", body.clone()).await;
        let input = body.to_string().len().div_ceil(4);
        assert_eq!((answer.status, 38 + input), (200, 50));
        let received = String::from_utf8(answer.body).unwrap().matches("data:").count();
        assert_eq!(received, expected);
        let event = &limited.recorder.events()[0];
        let is_cut = factor.is_some();
        assert_eq!(event.outcome() == Outcome::Failed, is_cut);
        assert_eq!(event.error() == Some("budget_cut"), is_cut);
        assert!(sent.load(Ordering::Relaxed) <= expected + 1);
    }
}

#[test]
fn rules_need_decisions_and_fitting_amounts() {
    let month = || Window::month("UTC").unwrap();
    let problems = |builder: LimitRuleBuilder| builder.build().unwrap_err().to_string();
    let cost = LimitRule::budget("cost", "5 USD".parse().unwrap(), month());
    let message = problems(cost.clone());
    assert!(message.contains("on_store_error") && message.contains("on_unpriced"), "{message}");
    let cost = cost.on_store_error(LimitDecision::Deny).on_unpriced(LimitDecision::Deny);
    assert!(cost.clone().build().is_ok());
    assert!(problems(cost.clone().group_by("team")).contains("unknown property \"team\""));
    assert!(problems(cost.clone().group_by("status")).contains("unknown property \"status\""));
    assert!(problems(cost.clone().estimate(Amount::tokens(5))).contains("estimate: expected an amount in USD"));
    assert!(problems(cost.clone().burst("1 USD".parse().unwrap())).contains("burst"));
    assert!(problems(cost.clone().status(StatusCode::OK)).contains("status"));
    assert!(problems(cost.clone().cut_streams(0.5)).contains("cut_streams"));
    assert!(problems(requests("calls", 1).charge_unknown(true)).contains("charge_unknown"));
    assert!(problems(cost.clone().when("model", Vec::<String>::new())).contains("at least one pattern"));
    assert!(problems(requests("", 1)).contains("name"));
    assert!(problems(requests("none", 0)).contains("more than zero"));
    for text in [
        "5",
        "USD",
        "-1 USD",
        "1.5 tokens",
        "x requests",
        "5  ",
        "1e30 rows",
        "NaN rows",
        "5 \"x\"",
        "0.0000000001 USD",
    ] {
        assert!(text.parse::<Amount>().is_err(), "{text}");
    }
    for (text, meant) in [("5 requsts", "requests"), ("5 Tokens", "tokens"), ("1 EUR", "USD"), ("1 usd", "USD")] {
        let message = text.parse::<Amount>().unwrap_err().to_string();
        assert!(message.ends_with(&format!("did you mean {meant:?}?")), "{message}");
    }
    for text in ["500 USD", "0.01 USD", "1000000 tokens", "1000 requests", "2.5 rows"] {
        assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
    }
}
