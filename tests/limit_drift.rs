//! After many mixed requests, the ledger has exactly what the stored requests add up to.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    Router,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_tagging::{
    EventLayer, TagSources, TaggingLayer, Tags,
    analytics::Analytics,
    event::ManualClock,
    limit::{
        Amount, Ledger, LimitDecision, LimitLayer, LimitRule, Limiter, OnMissing, Window,
        check::{CheckStatus, LedgerChecker},
    },
    store::SqliteStore,
    usage::{ExtraCost, Money, UsageTap},
};

/// 2026-11-15T12:00:00Z.
const NOON: Duration = Duration::from_secs(1_794_744_000);
const CHAT: &str = "/v1/chat/completions";
const REQUESTS: u64 = 100_000;
const TASKS: u64 = 16;

/// Answers as the request asks: with usage from a cache, without usage, with an error, or as a stream that breaks off.
async fn chat(body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let tokens = request["seed"].as_u64().unwrap_or(0) % 900;
    let usage = json!({
        "prompt_tokens": 1000, "completion_tokens": tokens, "total_tokens": 1000 + tokens,
        "prompt_tokens_details": {"cached_tokens": tokens},
    });
    match request["metadata"]["kind"].as_str() {
        Some("failed") => (StatusCode::INTERNAL_SERVER_ERROR, "{\"error\":{\"message\":\"down\"}}").into_response(),
        Some("broken") => {
            let frames = [Ok(format!("data: {}\n\n", json!({"usage": usage}))), Err(std::io::Error::other("reset"))];
            let body = Body::from_stream(futures_util::stream::iter(frames));
            ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
        Some("silent") => {
            ([(header::CONTENT_TYPE, "application/json")], "{\"object\":\"chat.completion\"}").into_response()
        }
        _ => {
            let answer = json!({"object": "chat.completion", "model": request["model"], "choices": [], "usage": usage});
            ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
        }
    }
}

async fn report(tags: Tags) -> &'static str {
    tags.insert("team", "changed-by-handler");
    tags.record_cost(ExtraCost::new(Money::from_nano_usd(3)).of("rows", 0.1));
    "report"
}

fn rules() -> Vec<LimitRule> {
    let month = || Window::month("Europe/Berlin").unwrap();
    let cost =
        LimitRule::budget("cost", "80 USD".parse().unwrap(), month()).group_by("metadata.team").charge_unknown(true);
    let tokens =
        LimitRule::budget("tokens", Amount::tokens(40_000_000), Window::week("UTC").unwrap()).group_by("model");
    let tokens = tokens.on_missing(OnMissing::Bucket);
    let requests = LimitRule::budget("requests", Amount::requests(90_000), Window::day("UTC").unwrap());
    let rows =
        LimitRule::budget("rows", "700 rows".parse().unwrap(), Window::rolling(Duration::from_secs(86_400)).unwrap());
    let rules = [cost.on_unpriced(LimitDecision::Allow), tokens, requests.exclude("metadata.team", ["free"]), rows];
    rules.into_iter().map(|rule| rule.on_store_error(LimitDecision::Deny).build().unwrap()).collect()
}

/// Sends one of the kinds of requests, as its number decides.
async fn send(app: Router, number: u64) -> StatusCode {
    let kinds = ["ok", "failed", "broken", "silent", "ok", "cancelled", "ok", "report"];
    let kind = kinds[usize::try_from(number % 8).unwrap()];
    let team = ["red", "blue", "green", "free", ""][usize::try_from(number / 8 % 5).unwrap()];
    let tags = json!({"team": team}).to_string();
    let request = if kind == "report" {
        Request::get("/report").header("x-portkey-metadata", tags).body(Body::empty())
    } else {
        let model = ["gpt-4o", "gpt-4o-mini", "in-house-7b"][usize::try_from(number / 40 % 3).unwrap()];
        // Every other call declares its maximum.
        let max = (number / 120).is_multiple_of(2).then_some(900);
        let body =
            json!({"model": model, "seed": number, "max_tokens": max, "metadata": {"kind": kind}, "user": "ada"});
        let request = Request::post(CHAT).header(header::CONTENT_TYPE, "application/json");
        request.header("x-portkey-metadata", tags).body(Body::from(body.to_string()))
    };
    let response = app.oneshot(request.unwrap()).await.unwrap();
    let status = response.status();
    if kind != "cancelled" {
        // A broken body is an error, and a part of the test.
        let _ = response.into_body().collect().await;
    }
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_equals_the_rows_after_many_mixed_requests() {
    let folder = std::env::temp_dir().join(format!("tower-tagging-drift-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let store = SqliteStore::open(folder.join("events.db")).unwrap().without_rollups();
    store.migrate().unwrap();
    let clock = ManualClock::at(UNIX_EPOCH + NOON);
    let ledger = Ledger::memory_with_clock(clock.clone());
    let limiter = Limiter::builder().rules(rules()).ledger(ledger).clock(clock.clone()).build().unwrap();
    let writer =
        tower_tagging::sink::Queued::builder("sqlite", store.writer()).capacity(200_000).max_batch(2_048).build();
    let tagging = TaggingLayer::builder()
        .sources(TagSources::all())
        .usage(UsageTap::new())
        .events(EventLayer::new(writer).clock(clock.clone()));
    let layer = LimitLayer::new(limiter.clone(), tagging.build().unwrap());
    let delivery = layer.delivery();
    let app = Router::new().route(CHAT, post(chat)).route("/report", get(report)).layer(layer);

    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (app, clock, delivery) = (app.clone(), clock.clone(), delivery.clone());
            tokio::spawn(async move {
                let mut rejected = 0_u64;
                for number in (task..REQUESTS).step_by(usize::try_from(TASKS).unwrap()) {
                    if send(app.clone(), number).await == StatusCode::TOO_MANY_REQUESTS {
                        rejected += 1;
                    }
                    // Time passes: the whole run takes some hours.
                    clock.advance(Duration::from_millis(150));
                    // Bounds the queues, as slow clients would.
                    while delivery.report().sinks.iter().any(|sink| sink.in_flight() > 20_000) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                rejected
            })
        })
        .collect();
    let mut rejected = 0;
    for task in tasks {
        rejected += task.await.unwrap();
    }
    drop(app);
    let report = delivery.shutdown(Duration::from_secs(300)).await;
    assert!(report.is_complete(), "{report}");
    assert!(rejected > 100, "some limits were reached: {rejected}");

    clock.advance(Duration::from_secs(600));
    let checker = LedgerChecker::new(limiter.clone(), Analytics::new(store)).clock(clock.clone()).pause(Duration::ZERO);
    let check = checker.check().await.unwrap();
    assert_eq!(check.rules.iter().filter(|rule| matches!(rule.status, CheckStatus::Checked)).count(), 4, "{check:?}");
    assert_eq!(check.drifts().count(), 0, "{:?}", check.drifts().next());
    let usage = limiter.usage().await.unwrap();
    assert!(usage.iter().all(|group| group.reserved.count() == 0), "everything was released");
    assert!(usage.iter().any(|group| group.settled.count() > 0));
    // The requests that were counted are those that were stored without a rejection.
    let requests = usage.iter().find(|group| group.rule.name() == "requests").unwrap();
    assert!(requests.settled.count() <= requests.limit.count(), "{requests:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
