//! The ledger of budgets is compared with stored requests, and restored from them.

use std::{
    future::{Future, poll_fn},
    path::PathBuf,
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_tagging::{
    EventLayer, TagSources, TaggingLayer, Tags,
    analytics::{Analytics, Grant, Retention, TimeRange},
    event::{Clock, ManualClock},
    limit::{
        Amount, Ledger, LimitDecision, LimitLayer, LimitRule, Limiter, Window,
        check::{CheckStatus, LedgerChecker, UncheckedReason},
        rehearse::rehearse,
    },
    sink::{BatchWriter, Delivery, Sink, WriteError},
    store::{MemoryStore, SqliteStore},
    usage::{ExtraCost, Money, UsageTap},
};

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

/// 2026-11-15T12:00:00Z, the middle of a month.
const NOON: Duration = Duration::from_secs(1_794_744_000);
const MINUTE: Duration = Duration::from_secs(60);

/// Responds like a provider: a call of gpt-4o has a price, and one of another model has none.
async fn chat(body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = json!({
        "object": "chat.completion", "model": request["model"], "choices": [{"message": {"content": "Hello"}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

fn routes() -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/error", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/never", get(|| async { std::future::pending::<&str>().await }))
        .route(
            "/report",
            get(|tags: Tags| async move {
                tags.record_cost(ExtraCost::new(Money::from_nano_usd(7)).of("rows", 2.5));
                "report"
            }),
        )
}

struct Service {
    app: Router,
    limiter: Limiter,
    analytics: Analytics,
    delivery: Delivery,
    clock: ManualClock,
}

fn rules() -> Vec<LimitRule> {
    let deny = LimitDecision::Deny;
    let month = || Window::month("Europe/Berlin").unwrap();
    let cost = LimitRule::budget("cost", Amount::cost(Money::from_nano_usd(40_000_000)), month())
        .group_by("metadata.team")
        .on_unpriced(LimitDecision::Allow);
    let tokens = LimitRule::budget("tokens", Amount::tokens(1_000_000), Window::rolling(30 * 60 * MINUTE).unwrap())
        .exclude("metadata.team", ["internal"])
        .group_by("model");
    let requests = LimitRule::budget("requests", Amount::requests(1_000), Window::day("UTC").unwrap());
    let rows = LimitRule::budget("rows", Amount::quantity("rows", 1_000.0), month()).group_by("metadata.team");
    [cost, tokens, requests, rows].into_iter().map(|rule| rule.on_store_error(deny).build().unwrap()).collect()
}

fn limiter(clock: &ManualClock) -> Limiter {
    let ledger = Ledger::memory_with_clock(clock.clone());
    Limiter::builder().rules(rules()).ledger(ledger).clock(clock.clone()).build().unwrap()
}

impl Service {
    fn new(analytics: Analytics, store: impl Sink, clock: &ManualClock) -> Self {
        let limiter = limiter(clock);
        let tagging = TaggingLayer::builder()
            .sources(TagSources::portkey())
            .usage(UsageTap::new())
            .events(EventLayer::new(store).clock(clock.clone()))
            .build()
            .unwrap();
        let layer = LimitLayer::new(limiter.clone(), tagging);
        let delivery = layer.delivery();
        Self { app: routes().layer(layer), limiter, analytics, delivery, clock: clock.clone() }
    }

    async fn settle(&self) {
        while self.delivery.report().sinks.iter().any(|sink| sink.in_flight() > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn send(&self, request: Request<Body>) -> StatusCode {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        response.into_body().collect().await.unwrap();
        self.settle().await;
        status
    }

    async fn get(&self, path: &str, team: &str) -> StatusCode {
        self.send(request(Request::get(path), team).body(Body::empty()).unwrap()).await
    }

    async fn chat(&self, model: &str, team: &str) -> StatusCode {
        let request = request(Request::post("/v1/chat/completions"), team);
        let body = json!({"model": model, "messages": []}).to_string();
        self.send(request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap()).await
    }

    /// Starts a request, and drops it once the clock has moved.
    async fn cancelled(&self, path: &str, team: &str, after: Duration) {
        let call = self.app.clone().oneshot(request(Request::get(path), team).body(Body::empty()).unwrap());
        let mut call = Box::pin(call);
        poll_fn(|context| {
            assert!(call.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        self.clock.advance(after);
        drop(call);
        self.settle().await;
    }

    /// Sends requests of all kinds, at different times.
    async fn mixed_calls(&self) {
        for round in 0..3 {
            for team in ["search", "growth", "internal", ""] {
                assert_eq!(self.chat("gpt-4o", team).await, StatusCode::OK);
                assert_eq!(self.chat("no-such-model", team).await, StatusCode::OK);
                self.get("/report", team).await;
                self.get("/error", team).await;
                self.clock.advance(Duration::from_millis(1_234_567));
            }
            self.cancelled("/never", "search", round * MINUTE).await;
        }
        // The budget of this team ends.
        let mut statuses = Vec::new();
        for _ in 0..15 {
            statuses.push(self.chat("gpt-4o", "search").await);
        }
        assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
        // Late: it ends 40 minutes after its start.
        self.cancelled("/never", "growth", 40 * MINUTE).await;
        self.clock.advance(10 * MINUTE);
    }

    fn clock_now(&self) -> SystemTime {
        self.clock.now()
    }

    fn checker(&self) -> LedgerChecker {
        checker(&self.limiter, &self.analytics, &self.clock)
    }
}

fn checker(limiter: &Limiter, analytics: &Analytics, clock: &ManualClock) -> LedgerChecker {
    LedgerChecker::new(limiter.clone(), analytics.clone()).clock(clock.clone()).pause(Duration::ZERO)
}

fn request(builder: http::request::Builder, team: &str) -> http::request::Builder {
    let tags = if team.is_empty() { json!({}) } else { json!({ "team": team }) };
    builder.header("x-portkey-metadata", tags.to_string())
}

/// A database that is removed at the end of a test.
struct Database(PathBuf);

impl Database {
    fn new(name: &str) -> (Self, SqliteStore) {
        let path = std::env::temp_dir().join(format!("tower-tagging-{name}-{}.db", std::process::id()));
        let store = SqliteStore::open(&path).unwrap();
        store.migrate().unwrap();
        (Self(path), store)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", self.0.display()));
        }
    }
}

fn memory(clock: &ManualClock) -> (Service, MemoryStore) {
    let store = MemoryStore::new();
    (Service::new(Analytics::new(store.clone()), store.sink(), clock), store)
}

fn clock() -> ManualClock {
    ManualClock::at(UNIX_EPOCH + NOON)
}

/// What a limiter has settled, by rule and group.
async fn settled(limiter: &Limiter, at: SystemTime) -> Vec<(String, String, i64)> {
    let usage = limiter.usage_at(at).await.unwrap();
    usage.iter().map(|usage| (usage.rule.name().to_owned(), usage.series.clone(), usage.settled.count())).collect()
}

async fn mixed_calls_have_no_drift(service: &Service) {
    service.mixed_calls().await;
    let check = service.checker().check().await.unwrap();
    assert_eq!(check.drifts().collect::<Vec<_>>(), Vec::<&_>::new());
    assert!(check.is_exact());
    assert_eq!(check.rules.len(), 4);
    let used = settled(&service.limiter, service.clock_now()).await;
    for rule in ["cost", "tokens", "requests", "rows"] {
        assert!(used.iter().any(|(name, _, count)| name == rule && *count > 0), "{rule}: {used:?}");
    }
}

#[tokio::test]
async fn mixed_calls_have_no_drift_in_memory() {
    mixed_calls_have_no_drift(&memory(&clock()).0).await;
}

#[tokio::test]
async fn mixed_calls_have_no_drift_in_sqlite() {
    let (_database, store) = Database::new("check-mixed");
    let service = Service::new(Analytics::new(store.clone()), store.sink(), &clock());
    mixed_calls_have_no_drift(&service).await;
}

#[tokio::test]
async fn recent_requests_are_not_covered_yet() {
    let (service, store) = memory(&clock());
    service.get("/error", "search").await;
    service.clock.advance(10 * MINUTE);
    service.get("/error", "search").await;
    service.clock.advance(MINUTE);
    // The second request is not stored yet.
    let rows = store.latest(10);
    let late = MemoryStore::new();
    let checker = checker(&service.limiter, &Analytics::new(late.clone()), &service.clock);
    let check = checker.check().await.unwrap();
    let drift: Vec<_> = check.drifts().filter(|drift| drift.rule.name() == "requests").collect();
    assert_eq!((drift.len(), drift[0].ledger.count(), drift[0].rows.count()), (1, 1, 0));
    assert_eq!(check.covered_until, service.clock_now() - 5 * MINUTE);
    assert_eq!(rows.len(), 2);
    assert!(service.checker().check().await.unwrap().is_exact());
}

#[tokio::test]
async fn a_lost_settlement_is_found_and_repaired() {
    let (service, store) = memory(&clock());
    service.mixed_calls().await;
    // Another process stored a request, and was killed before it settled it.
    let lost = Service::new(Analytics::new(store.clone()), store.sink(), &service.clock);
    assert_eq!(lost.chat("gpt-4o", "growth").await, StatusCode::OK);
    service.clock.advance(10 * MINUTE);

    let check = service.checker().check().await.unwrap();
    let found: Vec<_> =
        check.drifts().map(|drift| (drift.rule.name(), drift.rows.count() - drift.ledger.count())).collect();
    assert_eq!(found, [("cost", 3_500_000), ("tokens", 1_100), ("requests", 1), ("rows", 0)][..3]);
    let cost = check.drifts().next().unwrap();
    assert_eq!(cost.group[0].1.as_deref(), Some("growth"));
    assert!(!check.is_exact());

    let repaired = service.checker().rebuild().await.unwrap();
    assert_eq!(repaired.drifts().count(), 3);
    assert!(service.checker().check().await.unwrap().is_exact());
    assert_eq!(service.checker().rebuild().await.unwrap().drifts().count(), 0);
}

#[tokio::test]
async fn a_ledger_in_memory_is_restored_after_a_restart() {
    let (_database, store) = Database::new("check-restart");
    let clock = clock();
    let service = Service::new(Analytics::new(store.clone()), store.sink(), &clock);
    service.mixed_calls().await;
    let before = settled(&service.limiter, service.clock_now()).await;
    assert!(!before.is_empty());

    let restarted = Service::new(Analytics::new(store.clone()), store.sink(), &clock);
    assert_eq!(settled(&restarted.limiter, restarted.clock_now()).await, []);
    restarted.checker().restore().await.unwrap();
    let restored = settled(&restarted.limiter, restarted.clock_now()).await;
    // Groups that used nothing need no entry.
    let used =
        |all: &[(String, String, i64)]| all.iter().filter(|(_, _, count)| *count > 0).cloned().collect::<Vec<_>>();
    assert_eq!(used(&restored), used(&before));
    // The exhausted budget stays exhausted, and what follows is counted once.
    assert_eq!(restarted.chat("gpt-4o", "search").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(restarted.chat("gpt-4o", "growth").await, StatusCode::OK);
    clock.advance(10 * MINUTE);
    assert!(restarted.checker().check().await.unwrap().is_exact());
}

#[tokio::test]
async fn a_rebuild_shortly_after_a_restore_changes_nothing() {
    let (service, store) = memory(&clock());
    service.mixed_calls().await;
    // The last requests are younger than the delay of a check.
    service.chat("gpt-4o", "growth").await;
    let before = settled(&service.limiter, service.clock_now()).await;
    let restarted = Service::new(Analytics::new(store.clone()), store.sink(), &service.clock);
    let checker = restarted.checker();
    checker.restore().await.unwrap();
    let restored = settled(&restarted.limiter, restarted.clock_now()).await;
    let sum = |all: &[(String, String, i64)]| all.iter().map(|(_, _, count)| *count).sum::<i64>();
    assert_eq!(sum(&restored), sum(&before));
    for _ in 0..3 {
        assert!(checker.clone().rebuild().await.unwrap().is_exact());
        assert_eq!(settled(&restarted.limiter, restarted.clock_now()).await, restored);
        service.clock.advance(MINUTE);
    }
}

#[tokio::test]
async fn windows_longer_than_the_kept_rows_are_restored_as_far_as_there_are_rows() {
    let (service, store) = memory(&clock());
    service.mixed_calls().await;
    let before = settled(&service.limiter, service.clock_now()).await;
    let restarted = Service::new(Analytics::new(store.clone()), store.sink(), &service.clock);
    let checker = restarted.checker().retention(Retention::forever().rows(7 * 24 * 60 * MINUTE));
    let check = checker.restore().await.unwrap();
    let restored = settled(&restarted.limiter, restarted.clock_now()).await;
    let sum = |all: &[(String, String, i64)]| all.iter().map(|(_, _, count)| *count).sum::<i64>();
    assert!(sum(&before) > 0);
    assert_eq!(sum(&restored), sum(&before));
    assert!(matches!(check.rules[0].status, CheckStatus::Unchecked(_)), "{check:?}");
    // Incomplete rows never lower what was counted.
    store.delete_before(service.clock_now() + MINUTE);
    restarted.checker().restore().await.unwrap();
    assert_eq!(settled(&restarted.limiter, restarted.clock_now()).await, restored);
}

#[tokio::test]
async fn requests_whose_events_wait_are_not_compared() {
    let down = tower_tagging::sink::Queued::builder("store", Down).build();
    let service = Service::new(Analytics::new(MemoryStore::new()), down.clone(), &clock());
    let call = service.app.clone().oneshot(request(Request::get("/report"), "search").body(Body::empty()).unwrap());
    call.await.unwrap().into_body().collect().await.unwrap();
    service.clock.advance(10 * MINUTE);
    while settled(&service.limiter, service.clock_now()).await.iter().all(|(_, _, count)| *count == 0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The event waits until the first attempt to write it.
    while service.delivery.report().sinks.iter().all(|sink| sink.oldest_age.is_none()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Without the delivery, the waiting event looks like a difference.
    assert!(service.checker().check().await.unwrap().drifts().count() > 0);
    // The event is of the virtual time, and so it has been waiting for weeks.
    let check = service.checker().delivery(service.delivery.clone()).check().await.unwrap();
    assert_eq!(check.drifts().count(), 0);
    assert!(
        check
            .rules
            .iter()
            .all(|rule| { matches!(rule.status, CheckStatus::Unchecked(UncheckedReason::Undelivered { .. })) })
    );
    let before = settled(&service.limiter, service.clock_now()).await;
    service.checker().delivery(service.delivery.clone()).rebuild().await.unwrap();
    assert_eq!(settled(&service.limiter, service.clock_now()).await, before);
    assert!(!down.delivery().shutdown_blocking(Duration::ZERO).is_complete());
}

/// A store that is never available.
struct Down;

impl BatchWriter for Down {
    fn write(&mut self, _: &[std::sync::Arc<tower_tagging::Event>]) -> Result<(), WriteError> {
        Err(WriteError::retryable("down"))
    }
}

#[tokio::test]
async fn windows_longer_than_the_kept_rows_are_unchecked() {
    let (service, store) = memory(&clock());
    service.mixed_calls().await;
    let day = 24 * 60 * MINUTE;
    let check = service.checker().retention(Retention::forever().rows(7 * day)).check().await.unwrap();
    let unchecked: Vec<_> = check.rules.iter().map(|rule| matches!(rule.status, CheckStatus::Unchecked(_))).collect();
    // The months are, the rolling 30 hours and the day are not.
    assert_eq!(unchecked, [true, false, false, true]);
    let CheckStatus::Unchecked(reason) = &check.rules[0].status else { panic!("{:?}", check.rules[0]) };
    assert_eq!(reason.to_string(), "rows are kept for 7d, and the window covers up to 31d 1h");

    // A deletion by hand is noticed, too.
    store.delete_before(UNIX_EPOCH + NOON + MINUTE);
    let check = service.checker().check().await.unwrap();
    assert!(check.rules.iter().all(|rule| {
        matches!(rule.status, CheckStatus::Unchecked(UncheckedReason::RowsDeleted { .. })) && rule.drift.is_empty()
    }));
    assert!(!check.is_exact());
    // Nothing is repaired from incomplete rows.
    let before = settled(&service.limiter, service.clock_now()).await;
    service.checker().rebuild().await.unwrap();
    assert_eq!(settled(&service.limiter, service.clock_now()).await, before);
}

#[tokio::test]
async fn deleted_rows_of_sqlite_are_noticed() {
    let (_database, store) = Database::new("check-deleted");
    let service = Service::new(Analytics::new(store.clone()), store.sink(), &clock());
    service.get("/error", "search").await;
    service.clock.advance(10 * MINUTE);
    assert!(service.checker().check().await.unwrap().is_exact());
    store.delete_before(UNIX_EPOCH + NOON + MINUTE).unwrap();
    let check = service.checker().check().await.unwrap();
    assert!(check.rules.iter().all(|rule| matches!(rule.status, CheckStatus::Unchecked(_))));
}

#[tokio::test(start_paused = true)]
async fn a_difference_must_last() {
    let (service, store) = memory(&clock());
    let lost = Service::new(Analytics::new(store.clone()), store.sink(), &service.clock);
    lost.get("/error", "search").await;
    service.clock.advance(10 * MINUTE);
    let checker = service.checker().pause(Duration::from_millis(200));
    let (check, ()) = tokio::join!(checker.check(), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Now the settlement arrives.
        service.checker().rebuild().await.unwrap();
    });
    assert!(check.unwrap().is_exact());
}

#[tokio::test]
async fn a_rehearsal_agrees_with_what_was_stored() {
    let (_database, store) = Database::new("check-rehearsal");
    let service = Service::new(Analytics::new(store.clone()), store.sink(), &clock());
    service.mixed_calls().await;
    let range = TimeRange::parse("2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00", "Europe/Berlin").unwrap();
    let stored = store.latest(10_000).unwrap();
    let served = stored.iter().filter(|row| row.rejection.is_none()).count() as u64;
    let found = rehearse(&service.analytics, rules(), &range, &Grant::everything()).await.unwrap();
    assert_eq!((found.requests, found.already_rejected), (served, stored.len() as u64 - served));
    // The rules rejected what exceeds them when it happened.
    assert_eq!(found.rejected, 0);

    let strict = LimitRule::budget("strict", Amount::requests(5), Window::month("Europe/Berlin").unwrap())
        .group_by("metadata.team")
        .on_store_error(LimitDecision::Deny)
        .build()
        .unwrap();
    let found = rehearse(&service.analytics, [strict], &range, &Grant::everything()).await.unwrap();
    let rule = &found.rules[0];
    assert_eq!(rule.groups.count, 3);
    assert_eq!(rule.rejected, rule.requests - 15);
    assert_eq!(found.saved, rule.saved);
    assert!(rule.saved > Money::from_nano_usd(0) && rule.first_rejection < rule.last_rejection);
}
