//! Alerts over real HTTP and about stored requests, in virtual time.

mod common;
#[path = "common/rows.rs"]
mod rows;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::Response,
    routing::{any, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{Recorder, TempFolder};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{net::TcpListener, sync::mpsc};
use tower::ServiceExt;
use tower_tagging::{
    Event, TagSources, TaggingLayer,
    analytics::{Analytics, Grant},
    event::ManualClock,
    limit::{
        Amount, LimitDecision, LimitRule, Limiter, Window,
        alerts::{
            Alert, AlertKind, AlertRule, AlertTarget, AlertTrigger, Alerts, AlertsBuilder, ChannelTarget,
            DeliveryAttempt, Evaluation, WebhookShape, WebhookTarget, WebhookTargetBuilder,
        },
    },
    registry::{Registry, RegistryLayer},
    sink::{Counts, Delivery, DeliverySource, DropReason, SinkReport},
    store::{MemoryStore, SqliteStore},
    usage::Money,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HOUR: Duration = Duration::from_secs(60 * 60);

fn at(time: &str) -> SystemTime {
    humantime::parse_rfc3339(time).unwrap()
}

fn attempt() -> DeliveryAttempt {
    DeliveryAttempt::new(SystemTime::now(), 1)
}

/// An alert as a target receives it.
fn alert() -> Alert {
    serde_json::from_value(json!({
        "id": "5f".repeat(32), "kind": "limit", "subject": "team-monthly",
        "group": [{"property": "metadata.team", "value": "<!channel> & co", "is_hashed": false}],
        "threshold": 0.8, "used": 400.5, "limit": 500.0, "unit": "USD",
        "from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z", "time": "2026-06-20T10:00:00Z",
        "title": "budget team-monthly: 80 % used (team=<!channel> & co)", "text": "400.5 USD of 500 USD are used."
    }))
    .unwrap()
}

/// A request that a receiver got.
#[derive(Clone, Debug)]
struct Received {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    fn id(&self) -> String {
        self.headers["webhook-id"].to_str().unwrap().to_owned()
    }
}

/// An HTTP server on the loopback interface that records requests, and responds with a status.
#[derive(Clone)]
struct Receiver {
    port: u16,
    status: Arc<AtomicU16>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Self { port, status: Arc::new(AtomicU16::new(204)), received: Arc::default() };
        let app = Router::new().route("/hang", post(std::future::pending::<()>)).fallback(any(receive));
        let app = app.with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        receiver
    }

    fn respond_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    fn webhook(&self) -> WebhookTargetBuilder {
        WebhookTarget::builder(self.url("127.0.0.1", "/hook")).secret(SECRET).allow_private_addresses(true)
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn receive(State(receiver): State<Receiver>, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let received = Received { path: head.uri.path().to_owned(), headers: head.headers, body };
    receiver.received.lock().unwrap().push(received);
    let status = StatusCode::from_u16(receiver.status.load(Ordering::Relaxed)).unwrap();
    Response::builder().status(status).header("location", "/elsewhere").body(Body::from("x".repeat(100_000))).unwrap()
}

fn expected_signature(key: &[u8], received: &Received) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    let text = |name: &str| received.headers[name].to_str().unwrap().to_owned();
    mac.update(format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).as_bytes());
    mac.update(&received.body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn webhooks_are_signed_by_the_standard_webhooks_specification() {
    let receiver = Receiver::start().await;
    let target = receiver.webhook().secret("a raw text").build().unwrap();
    let time = at("2026-06-20T10:00:07.9Z");
    target.deliver(&alert(), DeliveryAttempt::new(time, 1)).await.unwrap();
    let received = receiver.received().remove(0);
    assert_eq!(
        (received.path.as_str(), received.headers["content-type"].to_str().unwrap()),
        ("/hook", "application/json")
    );
    assert_eq!(
        (received.id(), received.headers["webhook-timestamp"].to_str().unwrap()),
        ("5f".repeat(32), "1781949607")
    );
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let signatures = received.headers["webhook-signature"].to_str().unwrap();
    let expected = [expected_signature(&key, &received), expected_signature(b"a raw text", &received)];
    assert_eq!(signatures, expected.join(" "));
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!((&body["type"], &body["timestamp"]), (&json!("alert.limit"), &json!("2026-06-20T10:00:00Z")));
    assert_eq!(body["data"], serde_json::to_value(alert()).unwrap());
}

#[tokio::test]
async fn slack_messages_escape_values_of_clients() {
    let receiver = Receiver::start().await;
    let url = receiver.url("127.0.0.1", "/services/T0/B0/sesame");
    let target = WebhookTarget::builder(url).shape(WebhookShape::Slack).allow_private_addresses(true).build().unwrap();
    target.deliver(&alert(), attempt()).await.unwrap();
    let received = receiver.received().remove(0);
    assert!(!received.headers.contains_key("webhook-signature"));
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    let title = "budget team-monthly: 80 % used (team=&lt;!channel&gt; &amp; co)";
    assert_eq!(body["text"], title);
    assert_eq!(body["blocks"][0]["text"]["text"], format!("*{title}*\n400.5 USD of 500 USD are used."));
    assert!(!String::from_utf8(received.body.to_vec()).unwrap().contains("<!channel>"));
}

#[tokio::test]
async fn statuses_other_than_success_are_failures_and_redirects_are_not_followed() {
    let receiver = Receiver::start().await;
    let target = receiver.webhook().build().unwrap();
    for status in [301, 302, 307, 308, 400, 404, 410, 500, 503] {
        receiver.respond_with(status);
        let error = target.deliver(&alert(), attempt()).await.unwrap_err().to_string();
        let start = format!("webhook http://127.0.0.1: expected a status from 200 to 299, found {status}");
        assert!(error.starts_with(&start), "{error}");
        assert!(!error.contains("/hook"), "{error}");
    }
    receiver.respond_with(200);
    target.deliver(&alert(), attempt()).await.unwrap();
    let received = receiver.received();
    assert!(received.len() == 10 && received.iter().all(|received| received.path == "/hook"));
}

#[tokio::test]
async fn a_receiver_that_does_not_respond_is_given_up() {
    let receiver = Receiver::start().await;
    let target = WebhookTarget::builder(receiver.url("127.0.0.1", "/hang"))
        .secret(SECRET)
        .allow_private_addresses(true)
        .timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let error = target.deliver(&alert(), attempt()).await.unwrap_err().to_string();
    assert_eq!(error, "webhook http://127.0.0.1: no response within 100ms");
}

#[tokio::test]
async fn private_addresses_are_contacted_only_if_they_are_allowed() {
    let receiver = Receiver::start().await;
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", "100.64.0.1", "[fd00::1]"] {
        let error = WebhookTarget::builder(receiver.url(host, "/hook")).secret(SECRET).build().unwrap_err();
        assert!(error.to_string().contains("private or reserved address"), "{error}");
    }
    // Names, and texts that the system resolves to addresses, are checked when they are resolved.
    for host in ["localhost", "127.1", "2130706433", "0x7f000001"] {
        let target = WebhookTarget::builder(receiver.url(host, "/sesame")).secret(SECRET).build().unwrap();
        let error = target.deliver(&alert(), attempt()).await.unwrap_err().to_string();
        assert!(error.contains("private or reserved address"), "{host}: {error}");
        assert!(error.contains(host) && !error.contains("sesame"), "{host}: {error}");
    }
    assert!(receiver.received().is_empty());
    let allowed =
        WebhookTarget::builder(receiver.url("localhost", "/hook")).secret(SECRET).allow_private_addresses(true);
    allowed.build().unwrap().deliver(&alert(), attempt()).await.unwrap();
    assert_eq!(receiver.received().len(), 1);
}

#[test]
fn invalid_webhooks_are_errors_that_do_not_contain_the_url() {
    let problem = |url: &str, secret: Option<&str>| {
        let builder = WebhookTarget::builder(url);
        let builder = secret.into_iter().fold(builder, WebhookTargetBuilder::secret);
        let error = builder.build().unwrap_err().to_string();
        assert!(!error.contains("sesame"), "{error}");
        error
    };
    assert!(problem("ftp://sesame.example/", Some(SECRET)).contains("expected https:// or http://"));
    assert!(problem("/sesame", Some(SECRET)).contains("expected https:// or http://"));
    assert!(problem("https://user:sesame@hooks.example/", Some(SECRET)).contains("without a user name or password"));
    assert!(problem("https://hooks.example/sesame", Some("whsec_sesame!")).contains("base64"));
    assert!(problem("https://hooks.example/sesame", None).contains("missing secret"));
    let target = WebhookTarget::builder("https://hooks.example/sesame").secret("open sesame").build().unwrap();
    let shown = format!("{target:?} {:?} {}", WebhookTarget::builder("https://hooks.example/sesame"), target.name());
    assert!(!shown.contains("sesame"), "{shown}");
}

/// Requests of one hour that cost dollars together.
fn calls(number: &AtomicU64, hour: &str, usd: f64, changes: &Value) -> Vec<Arc<Event>> {
    let call = |index: u32| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let time = at(hour) + Duration::from_secs(60) * index;
        let mut event = json!({
            "time": humantime::format_rfc3339_micros(time).to_string(),
            "llm": {"cost_usd": usd / 4.0, "input_cost_usd": usd / 4.0, "output_cost_usd": 0.0},
        });
        event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        rows::event(number, 0, event)
    };
    (0..4).map(call).collect()
}

/// Stored requests, in memory and in SQLite.
struct Stored {
    number: AtomicU64,
    stores: Vec<Analytics>,
    _folder: TempFolder,
}

impl Stored {
    async fn new(name: &str) -> Self {
        let folder = TempFolder::new(&format!("limit-alerts-{name}"));
        let sqlite = SqliteStore::open(folder.file("events.db")).unwrap();
        sqlite.migrate().unwrap();
        let stores = vec![Analytics::new(MemoryStore::new()), Analytics::new(sqlite)];
        for store in &stores {
            store.activate_key("team").await.unwrap();
        }
        Self { number: AtomicU64::new(1), stores, _folder: folder }
    }

    async fn add(&self, hour: &str, usd: f64, changes: Value) {
        let events = calls(&self.number, hour, usd, &changes);
        for store in &self.stores {
            store.write(events.clone(), &Grant::everything()).await.unwrap();
        }
    }

    /// Builds alerts over each store.
    fn alerts(&self, limiter: &Limiter, build: impl Fn(AlertsBuilder) -> AlertsBuilder) -> Vec<Alerts> {
        let (sender, _) = mpsc::channel(1);
        let target = ChannelTarget::new("channel", sender);
        let builders = self.stores.iter().map(|store| Alerts::builder(store.clone(), limiter.clone()));
        builders.map(|builder| build(builder.target(target.clone())).build().unwrap()).collect()
    }

    /// Evaluates over each store. All of them find the same.
    async fn evaluate(&self, alerts: &[Alerts], time: &str) -> Vec<Alert> {
        let mut found: Option<Vec<Alert>> = None;
        for alerts in alerts {
            let Evaluation { raised, errors, .. } = alerts.evaluate_at(at(time)).await;
            assert!(errors.is_empty(), "{errors:?}");
            assert!(found.as_ref().is_none_or(|found| *found == raised), "{found:?}\n{raised:?}");
            found = Some(raised);
        }
        found.unwrap()
    }
}

fn no_limits() -> Limiter {
    Limiter::builder().build().unwrap()
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[tokio::test]
async fn an_hour_that_costs_much_more_than_in_four_weeks_before_is_an_anomaly() {
    let stored = Stored::new("anomaly").await;
    for (day, usual) in [("01", 10.0), ("08", 12.0), ("15", 10.0), ("22", 12.0)] {
        let hour = format!("2026-06-{day}T12:00:00Z");
        stored.add(&hour, usual / 2.0, json!({"metadata": {"team": "search"}})).await;
        stored.add(&hour, usual / 2.0, json!({"metadata": {"team": "growth"}})).await;
        // Staging is not watched.
        stored.add(&hour, 1.0, json!({"metadata": {"team": "search", "environment": "staging-1"}})).await;
    }
    stored.add("2026-06-29T12:00:00Z", 6.0, json!({"metadata": {"team": "search"}})).await;
    stored.add("2026-06-29T12:00:00Z", 34.0, json!({"metadata": {"team": "growth"}})).await;
    stored
        .add("2026-06-29T12:00:00Z", 900.0, json!({"metadata": {"team": "search", "environment": "staging-1"}}))
        .await;
    stored.add("2026-06-29T13:00:00Z", 400.0, json!({"metadata": {"team": "growth"}})).await;
    let rule = || AlertRule::on(AlertTrigger::Anomaly).exclude("metadata.environment", ["staging*"]);
    let alerts = stored.alerts(&no_limits(), |builder| builder.rule(rule().build().unwrap()));
    // The events of the hour may not be stored yet.
    assert!(stored.evaluate(&alerts, "2026-06-29T13:04:59Z").await.is_empty());
    let raised = stored.evaluate(&alerts, "2026-06-29T13:05:00Z").await;
    let [anomaly] = raised.as_slice() else { panic!("{raised:?}") };
    // Median of 10, 10, 12, 12: 11. Their deviations are all 1, so a standard deviation is estimated as 1.4826.
    assert_eq!((anomaly.kind, anomaly.threshold, anomaly.limit), (AlertKind::Anomaly, 3.5, Some(11.0)));
    assert!(close(anomaly.used, 40.0));
    assert!(
        anomaly.text.contains(&format!("The robust z-score is {:.1}.", (40.0 - 11.0) / 1.4826)),
        "{}",
        anomaly.text
    );
    assert_eq!(
        (anomaly.from.to_string(), anomaly.to.to_string()),
        ("2026-06-29T12:00:00Z".into(), "2026-06-29T13:00:00Z".into())
    );
    let top: Vec<_> = anomaly.top.iter().map(|top| (top.value.to_string(), top.amount, top.usual)).collect();
    let growth = "team=sha256:19c64195eb8f22c3".to_owned();
    assert_eq!(top[0], ("model=gpt-4o-2024-08-06".to_owned(), 40.0, Some(11.0)));
    assert_eq!(top[1], (growth, 34.0, Some(5.5)));
    assert!(top.len() == 3 && close(top[2].1, 6.0), "{top:?}");
    assert!(!serde_json::to_string(anomaly).unwrap().contains("growth"));
    // Each hour is evaluated once, and the next one is within the cooldown.
    assert!(stored.evaluate(&alerts, "2026-06-29T13:06:00Z").await.is_empty());
    assert!(stored.evaluate(&alerts, "2026-06-29T14:10:00Z").await.is_empty());
    // Without the condition, staging is the reason. A new process finds this again.
    let all = stored.alerts(&no_limits(), |builder| {
        builder.rule(AlertRule::on(AlertTrigger::Anomaly).allow_tag_values(true).build().unwrap())
    });
    let raised = stored.evaluate(&all, "2026-06-29T13:30:00Z").await;
    assert!(close(raised[0].used, 940.0) && raised[0].id != anomaly.id);
    assert!(raised[0].top.iter().any(|top| top.value.to_string() == "team=search"));
}

#[tokio::test]
async fn an_hour_is_no_anomaly_if_it_is_cheap_usual_or_has_no_history() {
    let stored = Stored::new("no-anomaly").await;
    for day in ["08", "15", "22"] {
        stored.add(&format!("2026-06-{day}T12:00:00Z"), 10.0, json!({})).await;
        stored.add(&format!("2026-06-{day}T15:00:00Z"), 0.1, json!({})).await;
    }
    // The deviation is at least a tenth of the median, so this is 3.4 deviations.
    stored.add("2026-06-29T12:00:00Z", 13.4, json!({})).await;
    stored.add("2026-06-29T15:00:00Z", 0.99, json!({})).await;
    stored.add("2026-07-06T12:00:00Z", 13.9, json!({})).await;
    let rule = AlertRule::on(AlertTrigger::Anomaly).build().unwrap();
    let alerts = stored.alerts(&no_limits(), |builder| builder.rule(rule.clone()));
    assert!(stored.evaluate(&alerts, "2026-06-29T13:10:00Z").await.is_empty());
    assert!(stored.evaluate(&alerts, "2026-06-29T16:10:00Z").await.is_empty());
    // The third hour of the first store has only two earlier weeks.
    assert!(stored.evaluate(&alerts, "2026-06-22T13:10:00Z").await.is_empty());
    // 10, 10, 10, 13.4: 13.9 is 3.9 deviations.
    let raised = stored.evaluate(&alerts, "2026-07-06T13:10:00Z").await;
    assert_eq!(raised.len(), 1);
    assert!(raised[0].text.contains("z-score is 3.9."), "{}", raised[0].text);
}

#[tokio::test]
async fn the_same_hour_of_the_week_follows_the_clocks_of_the_zone() {
    let stored = Stored::new("zone").await;
    // 12:00 in Berlin, before and after the clocks change on 2026-10-25.
    for hour in ["2026-10-05T10:00:00Z", "2026-10-12T10:00:00Z", "2026-10-19T10:00:00Z", "2026-10-26T11:00:00Z"] {
        stored.add(hour, 10.0, json!({})).await;
    }
    stored.add("2026-11-02T11:00:00Z", 11.0, json!({})).await;
    let rule = AlertRule::on(AlertTrigger::Anomaly).build().unwrap();
    let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let alerts = stored.alerts(&no_limits(), |builder| builder.rule(rule.clone()).zone(berlin.clone()));
    assert!(stored.evaluate(&alerts, "2026-11-02T12:10:00Z").await.is_empty());
    // In UTC, three of the four hours had no requests.
    let alerts = stored.alerts(&no_limits(), |builder| builder.rule(rule.clone()));
    assert_eq!(stored.evaluate(&alerts, "2026-11-02T12:10:00Z").await[0].limit, Some(0.0));
}

/// A budget that lasts its 30 days at one dollar per hour.
fn hourly_dollar() -> LimitRule {
    let window = Window::rolling(30 * 24 * HOUR).unwrap();
    LimitRule::budget("monthly", Amount::cost(Money::from_usd(720.0).unwrap()), window)
        .group_by("metadata.team")
        .when("metadata.environment", ["prod*"])
        .on_unpriced(LimitDecision::Allow)
        .on_store_error(LimitDecision::Deny)
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_burn_rate_must_be_high_in_the_last_hour_and_in_the_last_six() {
    let stored = Stored::new("burn-rate").await;
    let production = |team: &str| json!({"metadata": {"team": team, "environment": "production"}});
    for hour in 6..12 {
        stored.add(&format!("2026-06-10T{hour:02}:00:00Z"), 7.0, production("steady")).await;
        stored.add(&format!("2026-06-10T{hour:02}:00:00Z"), 5.9, production("slower")).await;
        // The budget does not count staging.
        let staging = json!({"metadata": {"team": "tests", "environment": "staging"}});
        stored.add(&format!("2026-06-10T{hour:02}:00:00Z"), 70.0, staging).await;
    }
    stored.add("2026-06-10T06:30:00Z", 300.0, production("peak-before")).await;
    stored.add("2026-06-10T11:30:00Z", 30.0, production("peak-now")).await;
    // 42 dollars in six hours are seven times the sustainable speed.
    stored.add("2026-06-10T11:00:00Z", 42.0, production("growth")).await;
    let limiter = Limiter::builder().rule(hourly_dollar()).build().unwrap();
    let rule = || AlertRule::on(AlertTrigger::BurnRate).allow_tag_values(true);
    let alerts = stored.alerts(&limiter, |builder| builder.rule(rule().build().unwrap()));
    let raised = stored.evaluate(&alerts, "2026-06-10T12:03:00Z").await;
    let found: BTreeMap<String, f64> = raised.iter().map(|alert| (alert.group[0].to_string(), alert.used)).collect();
    // The peak of five hours ago is over, and that of now is only five dollars per hour in six hours.
    assert_eq!(found.keys().collect::<Vec<_>>(), ["team=growth", "team=steady"]);
    assert!(close(found["team=steady"], 7.0) && close(found["team=growth"], 7.0), "{found:?}");
    assert_eq!((raised[0].subject.as_deref(), raised[0].threshold), (Some("monthly"), 6.0));
    // Still too fast, but within the cooldown.
    assert!(stored.evaluate(&alerts, "2026-06-10T12:08:00Z").await.is_empty());
    // A rule with another threshold has its own cooldown.
    let two = || [6.0, 6.9].map(|threshold| rule().thresholds([threshold]).build().unwrap());
    let alerts = stored.alerts(&limiter, |builder| builder.rules(two()));
    let raised = stored.evaluate(&alerts, "2026-06-10T12:03:30Z").await;
    assert_eq!(raised.iter().map(|alert| alert.threshold).collect::<Vec<_>>(), [6.9, 6.9]);
    let one = || rule().when("metadata.team", ["gr?wth"]).thresholds([6.9]).build().unwrap();
    let alerts = stored.alerts(&limiter, |builder| builder.rule(one()));
    assert_eq!(stored.evaluate(&alerts, "2026-06-10T12:03:00Z").await.len(), 1);
}

#[tokio::test]
async fn budgets_that_are_never_reset_have_no_burn_rate() {
    let stored = Stored::new("for-ever").await;
    stored.add("2026-06-10T11:00:00Z", 1_000.0, json!({})).await;
    let budget = |name: &str, days: u16| {
        let window = Window::days(days, "2026-06-01T00:00:00Z".parse().unwrap()).unwrap();
        let rule = LimitRule::budget(name, "30 USD".parse().unwrap(), window);
        rule.on_unpriced(LimitDecision::Allow).on_store_error(LimitDecision::Deny).build().unwrap()
    };
    let limiter = Limiter::builder().rules([budget("for-ever", u16::MAX), budget("days", 30)]).build().unwrap();
    let rule = AlertRule::on(AlertTrigger::BurnRate).build().unwrap();
    let alerts = stored.alerts(&limiter, |builder| builder.rule(rule.clone()));
    let raised = stored.evaluate(&alerts, "2026-06-10T12:03:00Z").await;
    assert_eq!(raised.iter().map(|alert| alert.subject.as_deref()).collect::<Vec<_>>(), [Some("days")]);
}

#[tokio::test]
async fn coverage_and_unpriced_calls_are_compared_by_full_windows() {
    let stored = Stored::new("coverage").await;
    let tagged = || json!({"metadata": {"team": "search", "feature": "chat"}});
    for _ in 0..5 {
        stored.add("2026-06-10T10:00:00Z", 1.0, tagged()).await;
    }
    for _ in 0..4 {
        stored.add("2026-06-10T11:00:00Z", 1.0, tagged()).await;
    }
    // Four of 20 requests lost the tag: an empty value counts as missing.
    stored.add("2026-06-10T11:00:00Z", 1.0, json!({"metadata": {"team": "search", "feature": ""}})).await;
    let unpriced = json!({"llm": {"request_model": "new", "response_model": "new", "cost_status": "unpriced_model"}});
    let mut event = rows::event(900, 0, unpriced.clone());
    let mut value = serde_json::to_value(&*event).unwrap();
    value["time"] = json!("2026-06-10T11:30:00.000000Z");
    value["metadata"] = json!({"team": "search", "feature": "chat"});
    for member in ["cost_usd", "input_cost_usd", "output_cost_usd"] {
        value["llm"].as_object_mut().unwrap().remove(member);
    }
    event = Arc::new(serde_json::from_value(value).unwrap());
    for store in &stored.stores {
        store.write(vec![Arc::clone(&event)], &Grant::everything()).await.unwrap();
    }
    let rules = || {
        let coverage = AlertRule::on(AlertTrigger::coverage("feature"));
        let day = AlertRule::on(AlertTrigger::coverage("feature")).window(24 * HOUR);
        let unpriced = AlertRule::on(AlertTrigger::Unpriced).thresholds([0.04]);
        let rare = AlertRule::on(AlertTrigger::Unpriced).when("api_key", ["other"]);
        [coverage, day, unpriced, rare].map(|rule| rule.build().unwrap())
    };
    let alerts = stored.alerts(&no_limits(), |builder| builder.rules(rules()));
    let raised = stored.evaluate(&alerts, "2026-06-10T12:05:00Z").await;
    let [coverage, unpriced] = raised.as_slice() else { panic!("{raised:?}") };
    assert_eq!(
        (coverage.kind, coverage.subject.as_deref(), coverage.limit),
        (AlertKind::Coverage, Some("feature"), Some(1.0))
    );
    // 17 of 21 requests, and 16 of 20 known dollars in quarters: the cost dropped more.
    assert!(close(coverage.used, 0.8), "{}", coverage.used);
    assert_eq!(coverage.title, "tag feature: coverage dropped to 80 % of cost");
    assert_eq!((unpriced.kind, unpriced.threshold), (AlertKind::Unpriced, 0.04));
    assert!(close(unpriced.used, 1.0 / 21.0));
    assert_eq!((unpriced.top[0].value.to_string(), unpriced.top[0].amount), ("model=new".to_owned(), 1.0));
    // Rules that differ only in their minimum are evaluated separately.
    let unpriced = |requests| AlertRule::on(AlertTrigger::Unpriced).thresholds([0.03]).minimum_requests(requests);
    let rules = || [1_000, 1].map(|requests| unpriced(requests).build().unwrap());
    let alerts = stored.alerts(&no_limits(), |builder| builder.rules(rules()));
    assert_eq!(stored.evaluate(&alerts, "2026-06-10T12:05:00Z").await.len(), 1);
}

/// A delivery that lost events.
#[derive(Default)]
struct Lossy(Counts);

impl DeliverySource for Lossy {
    fn report(&self) -> Option<SinkReport> {
        Some(self.0.report("warehouse"))
    }

    fn close(&self, _deadline: Instant) {}
}

#[tokio::test]
async fn every_lost_event_is_reported_once_per_cooldown() {
    let lossy = Arc::new(Lossy::default());
    let lose = |count: usize| {
        (0..count).for_each(|_| lossy.0.accept());
        lossy.0.drop_for(DropReason::QueueFull, count);
    };
    let (sender, mut received) = mpsc::channel(1);
    let alerts = Alerts::builder(Analytics::new(MemoryStore::new()), no_limits())
        .delivery(Delivery::from(Arc::clone(&lossy)))
        .rule(AlertRule::on(AlertTrigger::SinkLoss).target(ChannelTarget::new("ops", sender)).build().unwrap())
        .build()
        .unwrap();
    let start = at("2026-06-10T12:00:00Z");
    let evaluate = async |minutes: u64| {
        let raised = alerts.evaluate_at(start + Duration::from_secs(60 * minutes)).await.raised;
        raised.iter().map(|alert| alert.used).collect::<Vec<_>>()
    };
    assert!(evaluate(0).await.is_empty());
    lose(3);
    assert_eq!(evaluate(1).await, [3.0]);
    lose(2);
    assert!(evaluate(2).await.is_empty());
    lose(5);
    // What was lost during the cooldown is part of the next alert.
    assert_eq!(evaluate(62).await, [7.0]);
    assert!(evaluate(200).await.is_empty());
    // The channel has room for one alert.
    let counts = alerts.deliver_at(start + 4 * HOUR).await.unwrap();
    assert_eq!((counts.delivered, counts.failed), (1, 1));
    let first = received.recv().await.unwrap();
    alerts.deliver_at(start + 5 * HOUR).await.unwrap();
    let second = received.recv().await.unwrap();
    let mut lost = [first.used, second.used];
    lost.sort_by(f64::total_cmp);
    assert_eq!(format!("{lost:?}"), "[3.0, 7.0]");
    assert_eq!(first.subject.as_deref(), Some("warehouse"));
}

#[tokio::test(start_paused = true)]
async fn running_alerts_evaluate_and_deliver_until_they_are_dropped() {
    let lossy = Arc::new(Lossy::default());
    lossy.0.accept();
    lossy.0.drop_for(DropReason::QueueFull, 1);
    let (sender, mut received) = mpsc::channel(1);
    let clock = ManualClock::new();
    let alerts = Alerts::builder(Analytics::new(MemoryStore::new()), no_limits())
        .delivery(Delivery::from(Arc::clone(&lossy)))
        .rule(AlertRule::on(AlertTrigger::SinkLoss).cooldown(Duration::from_secs(60)).build().unwrap())
        .target(ChannelTarget::new("ops", sender))
        .clock(clock.clone())
        .build()
        .unwrap();
    let running = tokio::spawn(alerts.run());
    assert_eq!(received.recv().await.unwrap().used.to_string(), "1");
    lossy.0.accept();
    lossy.0.drop_for(DropReason::QueueFull, 1);
    clock.advance(Duration::from_secs(120));
    assert_eq!(received.recv().await.unwrap().used.to_string(), "1");
    drop(alerts);
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert!(received.recv().await.is_none());
}

#[tokio::test]
async fn callers_that_send_tags_of_others_are_reported() {
    let registry = Registry::from_toml(
        r#"
        [api_keys.web]
        secrets = [{ sha256 = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8" }]
        metadata = { team = "growth" }
        "#,
    )
    .unwrap();
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().sources(TagSources::all()).sink(recorder.clone()).build().unwrap();
    let service = Router::new().route("/", post(async || "")).layer(RegistryLayer::new(registry.clone(), layer));
    let send = async |count: u32| {
        for _ in 0..count {
            let request = Request::post("/")
                .header("x-portkey-api-key", "password")
                .header("x-portkey-metadata", r#"{"team": "search"}"#)
                .body(Body::empty())
                .unwrap();
            let response = service.clone().oneshot(request).await.unwrap();
            axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
            // Tags are compared when a sink reads the event.
            assert_eq!(recorder.take().len(), 1);
        }
    };
    let (sender, _) = mpsc::channel(1);
    let rule =
        AlertRule::on(AlertTrigger::Spoofing).thresholds([5.0]).target(ChannelTarget::new("ops", sender.clone()));
    let other = AlertRule::on(AlertTrigger::Spoofing).thresholds([1.0]).exclude("api_key", ["web"]);
    let alerts = Alerts::builder(Analytics::new(MemoryStore::new()), no_limits())
        .registry(registry)
        .rules([rule.build().unwrap(), other.target(ChannelTarget::new("ops", sender)).build().unwrap()])
        .build()
        .unwrap();
    send(4).await;
    assert!(alerts.evaluate_at(at("2026-06-10T12:10:00Z")).await.raised.is_empty());
    send(1).await;
    let raised = alerts.evaluate_at(at("2026-06-10T12:20:00Z")).await.raised;
    assert_eq!((raised.len(), raised[0].subject.as_deref(), raised[0].used), (1, Some("web"), 5.0));
    // The next hour counts anew.
    send(4).await;
    assert!(alerts.evaluate_at(at("2026-06-10T13:30:00Z")).await.raised.is_empty());
    send(2).await;
    assert_eq!(alerts.evaluate_at(at("2026-06-10T13:40:00Z")).await.raised[0].used.to_string(), "6");
}

#[tokio::test]
async fn a_receiver_that_is_down_for_a_minute_loses_no_alerts() {
    let stored = Stored::new("down").await;
    let untagged = json!({"metadata": {}});
    for day in ["12", "19", "26"] {
        stored.add(&format!("2026-06-{day}T12:00:00Z"), 1.0, json!({})).await;
    }
    for _ in 0..5 {
        stored.add("2026-07-03T11:00:00Z", 1.0, json!({})).await;
        stored.add("2026-07-03T12:00:00Z", 10.0, untagged.clone()).await;
    }
    let receiver = Receiver::start().await;
    let webhook = receiver.webhook().build().unwrap();
    let rules = [AlertTrigger::Anomaly, AlertTrigger::coverage("team")].map(|on| AlertRule::on(on).build().unwrap());
    let start = at("2026-07-03T13:05:00Z");
    let builder = Alerts::builder(stored.stores[0].clone(), no_limits()).rules(rules).target(webhook);
    let alerts = builder.clock(ManualClock::at(start)).build().unwrap();
    let mut expected: Vec<String> = Vec::new();
    for seconds in (0..600).step_by(5) {
        receiver.respond_with(if seconds < 60 { 503 } else { 204 });
        let time = start + Duration::from_secs(seconds);
        let evaluation = alerts.evaluate_at(time).await;
        assert!(evaluation.errors.is_empty(), "{:?}", evaluation.errors);
        expected.extend(evaluation.raised.into_iter().map(|alert| alert.id));
        alerts.deliver_at(time).await.unwrap();
    }
    expected.sort();
    assert_eq!(expected.len(), 2);
    let received = receiver.received();
    let mut attempts: BTreeMap<String, u32> = BTreeMap::new();
    received.iter().for_each(|received| *attempts.entry(received.id()).or_default() += 1);
    assert_eq!(attempts.keys().cloned().collect::<Vec<_>>(), expected);
    // Several attempts failed, and after the first success there was none.
    assert!(attempts.values().all(|attempts| (3..10).contains(attempts)), "{attempts:?}");
    let is_after = |received: &&Received| {
        received.headers["webhook-timestamp"].to_str().unwrap().parse::<u64>().unwrap()
            >= start.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 60
    };
    let mut delivered: Vec<String> = received.iter().filter(is_after).map(Received::id).collect();
    delivered.sort();
    assert_eq!(delivered, expected);
    // Each attempt has the same body.
    for id in &expected {
        let mut bodies = received.iter().filter(|received| received.id() == *id).map(|received| &received.body);
        let first = bodies.next().unwrap();
        assert!(bodies.all(|body| body == first));
    }
}

#[test]
fn rules_that_cannot_work_are_errors() {
    let problem = |rule: Result<AlertRule, tower_tagging::ConfigError>| rule.unwrap_err().to_string();
    let on = AlertRule::on;
    assert!(problem(on(AlertTrigger::Anomaly).when("team", ["a"]).build()).contains("unknown property \"team\""));
    assert!(problem(on(AlertTrigger::Anomaly).thresholds([1.0, 2.0]).build()).contains("exactly one"));
    assert!(problem(on(AlertTrigger::limit("x")).thresholds([0.0]).build()).contains("greater than zero"));
    assert!(problem(on(AlertTrigger::Unpriced).thresholds([5.0]).build()).contains("at most 1"));
    assert!(problem(on(AlertTrigger::SinkLoss).when("route", ["*"]).build()).contains("cannot have a condition"));
    assert!(problem(on(AlertTrigger::Unpriced).window(HOUR / 2).build()).contains("whole hours"));
    let globs = ["metadata.a", "metadata.b", "metadata.c"];
    let rule = globs.iter().fold(on(AlertTrigger::Anomaly), |rule, property| rule.when(property, ["a*b"]));
    assert!(problem(rule.build()).contains("at most 2 properties"));
    assert!("limit:".parse::<AlertTrigger>().is_err() && "cost".parse::<AlertTrigger>().is_err());

    let build = |rule: AlertRule| {
        let rate = LimitRule::rate("calls", Amount::requests(5), HOUR).on_store_error(LimitDecision::Allow);
        let limiter = Limiter::builder().rule(hourly_dollar()).rule(rate.build().unwrap()).build().unwrap();
        let (sender, _) = mpsc::channel(1);
        let builder = Alerts::builder(Analytics::new(MemoryStore::new()), limiter).rule(rule);
        builder.target(ChannelTarget::new("ops", sender)).build()
    };
    let problem = |trigger| build(on(trigger).build().unwrap()).unwrap_err().to_string();
    assert_eq!(problem(AlertTrigger::limit("weekly")), "alert on limit:weekly: unknown limit \"weekly\"");
    assert!(problem(AlertTrigger::limit("calls")).contains("not a budget"));
    assert!(problem(AlertTrigger::Spoofing).contains("expected a registry"));
    assert!(problem(AlertTrigger::SinkLoss).contains("expected the delivery"));
    assert!(build(on(AlertTrigger::limit("month*")).build().unwrap()).is_ok());
}

/// A receiver in Python.
struct Python {
    child: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Python {
    fn start(secret: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/alert_receiver.py");
        let mut child = Command::new("python3").args([script, secret]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        Self { child, lines, port: port.trim().parse().unwrap() }
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python"]
async fn a_receiver_in_python_verifies_signatures() {
    for secret in [SECRET, "a raw text with 🔑"] {
        let mut python = Python::start(secret);
        let url = format!("http://127.0.0.1:{}/", python.port);
        let target =
            |secret: &str| WebhookTarget::builder(&url).secret(secret).allow_private_addresses(true).build().unwrap();
        for is_new in [true, false] {
            target(secret).deliver(&alert(), attempt()).await.unwrap();
            let received = python.next();
            assert_eq!((&received["genuine"], &received["new"]), (&json!(true), &json!(is_new)));
            assert_eq!(received["id"], received["body"]["data"]["id"]);
        }
        let forged = target("whsec_AAAA").deliver(&alert(), attempt()).await.unwrap_err().to_string();
        assert!(forged.contains("found 401"), "{forged}");
        assert_eq!(python.next()["genuine"], json!(false));
        let old = DeliveryAttempt::new(SystemTime::now() - Duration::from_secs(400), 1);
        assert!(target(secret).deliver(&alert(), old).await.is_err());
        assert_eq!(python.next()["genuine"], json!(false));
    }
}
