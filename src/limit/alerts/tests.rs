//! Tests of thresholds with replicas that share a ledger and a store, in virtual time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use crate::{
    analytics::Analytics,
    event::ManualClock,
    limit::{
        Amount, Ledger, LimitDecision, LimitRule, LimitRuleBuilder, Limiter, Window,
        ledger::backend::{Charge, Settlement},
        policies::{Policy, PolicyForm},
        series,
    },
    store::{LimitCreditRecord, MemoryStore, records::LimitRuleSaved},
    usage::Money,
};

use super::{
    Alert, AlertKind, AlertRule, AlertRuleBuilder, AlertTarget, AlertTrigger, Alerts, DeliveryAttempt, DeliveryFuture,
    LedgerDrift, value_hash::ValueHash,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Records what was delivered, and fails or hangs on request.
#[derive(Clone, Default)]
struct Recorder {
    delivered: Arc<Mutex<Vec<Alert>>>,
    is_down: Arc<Mutex<bool>>,
}

impl Recorder {
    fn ids(&self) -> Vec<String> {
        self.delivered.lock().unwrap().iter().map(|alert| alert.id.clone()).collect()
    }

    fn titles(&self) -> Vec<String> {
        let mut titles: Vec<String> = self.delivered.lock().unwrap().iter().map(|alert| alert.title.clone()).collect();
        titles.sort();
        titles
    }
}

impl AlertTarget for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn deliver<'a>(&'a self, alert: &'a Alert, _attempt: DeliveryAttempt) -> DeliveryFuture<'a> {
        Box::pin(async move {
            if *self.is_down.lock().unwrap() {
                return Err("the recorder is down".into());
            }
            self.delivered.lock().unwrap().push(alert.clone());
            Ok(())
        })
    }
}

/// Replicas of a service.
struct Service {
    ledger: Ledger,
    analytics: Analytics,
    recorder: Recorder,
}

fn start() -> SystemTime {
    // A multiple of 30 days since 1970.
    SystemTime::UNIX_EPOCH + 690 * 30 * DAY
}

fn monthly(amount: &str) -> LimitRuleBuilder {
    let window = Window::Days { days: 30, anchor: jiff::Timestamp::UNIX_EPOCH };
    LimitRule::budget("monthly", amount.parse().unwrap(), window)
        .group_by("metadata.team")
        .on_unpriced(LimitDecision::Allow)
        .on_store_error(LimitDecision::Deny)
}

impl Service {
    fn new() -> Self {
        Self::over(Analytics::new(MemoryStore::new()))
    }

    fn over(analytics: Analytics) -> Self {
        let ledger = Ledger::memory_with_clock(ManualClock::at(start()));
        Self { ledger, analytics, recorder: Recorder::default() }
    }

    /// Starts a replica.
    fn replica(&self, limit: LimitRuleBuilder, alert: AlertRuleBuilder) -> Alerts {
        let limiter = Limiter::builder().ledger(self.ledger.clone()).rule(limit.build().unwrap()).build().unwrap();
        Alerts::builder(self.analytics.clone(), limiter)
            .rule(alert.build().unwrap())
            .target(self.recorder.clone())
            .clock(ManualClock::at(start()))
            .build()
            .unwrap()
    }

    /// Starts a replica that has only limits from the store.
    async fn replica_at(&self, time: SystemTime, alerts: Vec<AlertRule>) -> Alerts {
        let limiter = Limiter::builder().ledger(self.ledger.clone()).clock(ManualClock::at(time)).build().unwrap();
        limiter.refresh_from(&self.analytics).await.unwrap();
        let builder = Alerts::builder(self.analytics.clone(), limiter).rules(alerts);
        builder.target(self.recorder.clone()).clock(ManualClock::at(time)).build().unwrap()
    }

    /// Stores a limit as the API does.
    async fn add_policy(&self, changes: serde_json::Value) -> Policy {
        let mut body = serde_json::json!({
            "name": "Growth", "type": "cost", "credit_limit": 100, "periodic_reset": "monthly",
            "group_by": [{ "key": "metadata.team" }],
        });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let policy = Policy::new(PolicyForm::read(PolicyForm::USAGE, body).unwrap());
        assert_eq!(self.analytics.add_limit_rule(policy.record.clone()).await.unwrap(), LimitRuleSaved::Saved);
        policy
    }

    /// Resets what a team has used, as the API does.
    async fn reset(&self, rule: &LimitRule, team: &str, used: &str, time: SystemTime) {
        let mut series = series::prefix(rule);
        series::write_group(&mut series, [Some(team)].into_iter());
        let crate::limit::LimitKind::Budget { window, .. } = rule.kind() else { panic!("not a budget") };
        let credit = LimitCreditRecord {
            id: Uuid::now_v7().to_string(),
            rule: rule.name().to_owned(),
            series,
            slot: window.period(crate::time::signed_micros(time)).slot,
            amount: used.parse::<Amount>().unwrap().count(),
            created_at: time,
            created_by: None,
        };
        assert!(self.analytics.add_limit_credit(credit).await.unwrap());
    }

    /// Returns the title of an alert about a stored limit.
    fn title(text: &str, team: &str) -> String {
        let team = ValueHash::default().of(team);
        format!("budget Growth: {text} (team={team})")
    }

    /// Charges a team of a limit.
    async fn charge(&self, limit: LimitRuleBuilder, team: &str, amount: &str, time: SystemTime) {
        self.charge_rule(&limit.build().unwrap(), team, amount, time).await;
    }

    async fn charge_rule(&self, rule: &LimitRule, team: &str, amount: &str, time: SystemTime) {
        let mut series = series::prefix(rule);
        series::write_group(&mut series, [Some(team)].into_iter());
        let crate::limit::LimitKind::Budget { window, .. } = rule.kind() else { panic!("not a budget") };
        let micros = crate::time::signed_micros(time);
        let period = window.period(micros);
        let amount = amount.parse::<Amount>().unwrap().count();
        let charge = Charge { series, slot: period.slot, keep_until: period.keep_until, amount };
        let settlement = Settlement { id: Uuid::now_v7(), time: micros, charges: vec![charge], rates: Vec::new() };
        self.ledger.backend().settle(vec![settlement]).wait().await.unwrap();
    }
}

fn on_monthly() -> AlertRuleBuilder {
    AlertRule::on(AlertTrigger::limit("monthly"))
}

async fn tick(replicas: &[Alerts], time: SystemTime) {
    for alerts in replicas {
        let evaluation = alerts.evaluate_at(time).await;
        assert!(evaluation.errors.is_empty(), "{:?}", evaluation.errors);
        alerts.deliver_at(time).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_replicas_with_restarts_deliver_each_threshold_once_per_window() {
    four_replicas(Service::new()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_replicas_that_share_an_sqlite_file_deliver_each_threshold_once_per_window() {
    let folder = std::env::temp_dir().join(format!("tower-tagging-alerts-{}", Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    let store = crate::store::SqliteStore::open(folder.join("events.db")).unwrap();
    store.migrate().unwrap();
    four_replicas(Service::over(Analytics::new(store))).await;
    std::fs::remove_dir_all(folder).unwrap();
}

async fn four_replicas(service: Service) {
    let replicas = || (0..4).map(|_| service.replica(monthly("100 USD"), on_monthly())).collect::<Vec<_>>();
    for window in 0..2_u32 {
        let first = start() + window * 30 * DAY;
        for (day, used) in [(0, "40 USD"), (1, "15 USD"), (2, "15 USD"), (3, "20 USD"), (4, "9 USD"), (5, "30 USD")] {
            let time = first + day * DAY + HOUR;
            service.charge(monthly("100 USD"), "growth", used, time).await;
            // All of them are started again each day.
            let replicas = replicas();
            let (evaluated, at_once) = (time + HOUR, Arc::new(replicas));
            let tasks: Vec<_> = (0..4)
                .map(|index| {
                    let replicas = Arc::clone(&at_once);
                    tokio::spawn(async move { tick(&replicas[index..=index], evaluated).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            tick(&at_once, evaluated + Duration::from_secs(60)).await;
        }
    }
    let delivered = service.recorder.delivered.lock().unwrap().clone();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    delivered.iter().for_each(|alert| *counts.entry(&alert.id).or_default() += 1);
    assert_eq!(counts.len(), 6, "{counts:?}");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    let found: Vec<_> = delivered.iter().map(|alert| (alert.threshold, alert.used, alert.limit)).collect();
    let of_window = [(0.5, 55.0, Some(100.0)), (0.8, 90.0, Some(100.0)), (1.0, 129.0, Some(100.0))];
    assert_eq!(found, [of_window, of_window].concat());
    // printf growth | sha256sum
    assert_eq!(delivered[0].title, "budget monthly: 50 % used (team=sha256:19c64195eb8f22c3)");
    assert_eq!((delivered[0].kind, delivered[0].unit.as_str()), (AlertKind::Limit, "USD"));
    assert!(!serde_json::to_string(&delivered).unwrap().contains("growth"));
}

#[tokio::test]
async fn thresholds_that_are_reached_at_once_are_separate_alerts() {
    let service = Service::new();
    service.charge(monthly("100 USD"), "growth", "80 USD", start()).await;
    tick(&[service.replica(monthly("100 USD"), on_monthly().allow_tag_values(true))], start() + HOUR).await;
    let titles = service.recorder.titles();
    assert_eq!(titles, ["budget monthly: 50 % used (team=growth)", "budget monthly: 80 % used (team=growth)"]);
    let ids = service.recorder.ids();
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
}

#[tokio::test]
async fn a_raise_in_the_middle_of_a_window_repeats_no_alert() {
    let service = Service::new();
    service.charge(monthly("100 USD"), "growth", "60 USD", start()).await;
    tick(&[service.replica(monthly("100 USD"), on_monthly())], start() + HOUR).await;
    let raised = || monthly("100 USD").raise(Amount::cost(Money::from_usd(100.0).unwrap()), start() + 20 * DAY);
    tick(&[service.replica(raised(), on_monthly())], start() + 2 * HOUR).await;
    assert_eq!(service.recorder.ids().len(), 1);
    // 110 of 200 dollars are again more than half.
    service.charge(raised(), "growth", "50 USD", start()).await;
    tick(&[service.replica(raised(), on_monthly())], start() + 3 * HOUR).await;
    assert_eq!(service.recorder.ids().len(), 1);
    // After the raise ends, the other thresholds are reached.
    tick(&[service.replica(raised(), on_monthly())], start() + 21 * DAY).await;
    assert_eq!(service.recorder.ids().len(), 3);
}

#[tokio::test]
async fn a_threshold_that_is_reached_at_the_end_of_a_window_is_reported_after_it() {
    let service = Service::new();
    let end = start() + 30 * DAY;
    service.charge(monthly("100 USD"), "growth", "100 USD", end - Duration::from_secs(1)).await;
    let replica = service.replica(monthly("100 USD"), on_monthly().thresholds([1.0]));
    tick(std::slice::from_ref(&replica), end + Duration::from_secs(30)).await;
    assert_eq!(service.recorder.titles(), ["budget monthly: 100 % used (team=sha256:19c64195eb8f22c3)"]);
    tick(&[replica], end + Duration::from_secs(90)).await;
    assert_eq!(service.recorder.ids().len(), 1);
}

#[tokio::test]
async fn conditions_leave_out_groups_and_limits() {
    let service = Service::new();
    for team in ["growth", "staging-bots", "search"] {
        service.charge(monthly("100 USD"), team, "100 USD", start()).await;
    }
    let full = || on_monthly().thresholds([1.0]).allow_tag_values(true);
    let titles = async |limit: LimitRuleBuilder, alert: AlertRuleBuilder| {
        let service = Service { ledger: service.ledger.clone(), ..Service::new() };
        tick(&[service.replica(limit, alert)], start() + HOUR).await;
        let team = |title: String| title.rsplit_once('=').unwrap().1.trim_end_matches(')').to_owned();
        service.recorder.titles().into_iter().map(team).collect::<Vec<_>>()
    };
    let monthly = || monthly("100 USD");
    assert_eq!(titles(monthly(), full().exclude("metadata.team", ["staging*"])).await, ["growth", "search"]);
    assert_eq!(titles(monthly(), full().when("metadata.team", ["s*"])).await, ["search", "staging-bots"]);
    let production = || monthly().when("metadata.environment", ["production", "canary"]);
    let all = ["growth", "search", "staging-bots"];
    // All values that the limit counts meet the condition.
    assert_eq!(titles(production(), full().when("metadata.environment", ["production", "can*"])).await, all);
    assert_eq!(titles(production(), full().exclude("metadata.environment", ["staging"])).await, all);
    // None of them does.
    assert!(titles(production(), full().when("metadata.environment", ["staging"])).await.is_empty());
    assert!(titles(production(), full().exclude("metadata.environment", ["*"])).await.is_empty());
    // Some do, or the limit does not know.
    assert_eq!(titles(production(), full().when("metadata.environment", ["production"])).await, all);
    assert_eq!(titles(monthly(), full().when("metadata.environment", ["production"])).await, all);
    let without_staging = monthly().exclude("metadata.environment", ["staging", "dev*"]);
    assert!(titles(without_staging, full().when("metadata.environment", ["dev*"])).await.is_empty());
    let any = AlertRule::on(AlertTrigger::limit("mon*")).thresholds([1.0]).when("metadata.team", ["growth"]);
    assert_eq!(titles(monthly(), any.allow_tag_values(true)).await, ["growth"]);
}

#[tokio::test]
async fn a_delivery_that_fails_is_repeated_with_growing_delays_and_never_given_up_before_three_days() {
    let service = Service::new();
    service.charge(monthly("100 USD"), "growth", "50 USD", start()).await;
    let replica = service.replica(monthly("100 USD"), on_monthly());
    *service.recorder.is_down.lock().unwrap() = true;
    let raised = start() + HOUR;
    assert_eq!(replica.evaluate_at(raised).await.raised.len(), 1);
    let (mut attempts, mut given_up_after) = (Vec::new(), None);
    for seconds in (0..=3 * 86_400 + 1_200).step_by(5) {
        let counts = replica.deliver_at(raised + Duration::from_secs(seconds)).await.unwrap();
        attempts.extend((counts.failed > 0).then_some(seconds));
        if counts.given_up > 0 {
            given_up_after = Some(seconds);
        }
    }
    let delays: Vec<u64> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The longest delay is five minutes and a random part of up to the same length.
    for (delay, shortest) in delays.iter().zip([5, 10, 20, 40, 80, 160, 300, 300]) {
        assert!((shortest..=2 * shortest + 5).contains(delay), "{delays:?}");
    }
    assert!(delays.iter().all(|delay| *delay <= 605), "{delays:?}");
    assert!(given_up_after.is_some_and(|seconds| seconds >= 3 * 86_400), "{given_up_after:?}");
}

#[tokio::test]
async fn another_replica_delivers_what_a_killed_one_has_claimed() {
    let service = Service::new();
    service.charge(monthly("100 USD"), "growth", "50 USD", start()).await;
    let replica = service.replica(monthly("100 USD"), on_monthly());
    let raised = start() + HOUR;
    assert_eq!(replica.evaluate_at(raised).await.raised.len(), 1);
    let claimed = service.analytics.claim_alerts(raised, Duration::from_secs(60), 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let other = service.replica(monthly("100 USD"), on_monthly());
    assert_eq!(other.deliver_at(raised + Duration::from_secs(59)).await.unwrap().delivered, 0);
    assert_eq!(other.deliver_at(raised + Duration::from_secs(60)).await.unwrap().delivered, 1);
    // The failure of the first claim comes too late.
    service.analytics.alert_failed(&claimed[0], raised).await.unwrap();
    assert_eq!(other.deliver_at(raised + DAY).await.unwrap().delivered, 0);
    assert_eq!(service.recorder.ids().len(), 1);
}

/// A target that fails in every other way.
struct Broken;

impl AlertTarget for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn deliver<'a>(&'a self, _alert: &'a Alert, _attempt: DeliveryAttempt) -> DeliveryFuture<'a> {
        panic!("broken")
    }
}

#[tokio::test]
async fn a_target_that_panics_or_is_gone_does_not_keep_others_from_their_alerts() {
    let service = Service::new();
    service.charge(monthly("100 USD"), "growth", "50 USD", start()).await;
    let replica = service.replica(monthly("100 USD"), on_monthly().target(Broken));
    assert_eq!(replica.evaluate_at(start() + HOUR).await.raised.len(), 1);
    let counts = replica.deliver_at(start() + HOUR).await.unwrap();
    assert_eq!((counts.delivered, counts.failed), (1, 1));
    // A process without the target leaves the alert to others.
    let other = service.replica(monthly("100 USD"), on_monthly());
    let counts = other.deliver_at(start() + 2 * HOUR).await.unwrap();
    assert_eq!((counts.delivered, counts.failed, service.recorder.ids().len()), (0, 1, 1));
}

#[tokio::test]
async fn a_drift_of_the_ledger_is_reported_once_per_cooldown() {
    let service = Service::new();
    let replica = service.replica(monthly("100 USD"), AlertRule::on(AlertTrigger::Drift));
    let amount = |text: &str| text.parse::<Amount>().unwrap();
    let drift = || LedgerDrift {
        rule: Arc::new(monthly("100 USD").build().unwrap()),
        group: vec![(crate::store::Dimension::tag("team"), Some("growth".to_owned()))],
        from: start(),
        ledger: amount("10 USD"),
        rows: amount("12.5 USD"),
    };
    for (minutes, expected) in [(0, 1), (30, 1), (61, 2)] {
        replica.record_drifts([drift()]);
        tick(std::slice::from_ref(&replica), start() + Duration::from_secs(minutes * 60)).await;
        assert_eq!(service.recorder.ids().len(), expected, "after {minutes} minutes");
    }
    tick(&[replica], start() + DAY).await;
    let delivered = service.recorder.delivered.lock().unwrap().clone();
    assert_eq!((delivered.len(), delivered[0].used, delivered[0].limit), (2, 10.0, Some(12.5)));
}

/// The first instant of a month.
fn month(month: &str) -> SystemTime {
    humantime::parse_rfc3339(&format!("2026-{month}-01T00:00:00Z")).unwrap()
}

#[tokio::test]
async fn a_window_that_has_ended_keeps_its_resets() {
    let service = Service::new();
    let rule = service.add_policy(serde_json::json!({})).await.rule().unwrap();
    service.charge_rule(&rule, "growth", "100 USD", month("06")).await;
    service.reset(&rule, "growth", "100 USD", month("06")).await;
    service.charge_rule(&rule, "growth", "50 USD", month("06")).await;
    let full = AlertRule::on(AlertTrigger::limit("*")).thresholds([1.0]).build().unwrap();
    for time in [month("07") - HOUR, month("07") + HOUR / 2] {
        tick(&[service.replica_at(time, vec![full.clone()]).await], time).await;
        assert_eq!(service.recorder.titles(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn amounts_of_limits_from_the_api_need_no_rule() {
    let service = Service::new();
    let rule = service.add_policy(serde_json::json!({ "alert_threshold": 60 })).await.rule().unwrap();
    let silent = service.add_policy(serde_json::json!({})).await.rule().unwrap();
    for rule in [&rule, &silent] {
        service.charge_rule(rule, "growth", "59 USD", month("06")).await;
        service.charge_rule(rule, "search", "60 USD", month("06")).await;
    }
    let evaluate = async |time| tick(&[service.replica_at(time, Vec::new()).await], time).await;
    evaluate(month("06") + HOUR).await;
    let search = Service::title("60 USD used", "search");
    assert_eq!(service.recorder.titles(), [search.as_str()]);
    let alert = service.recorder.delivered.lock().unwrap()[0].clone();
    assert_eq!((alert.kind, alert.subject.as_deref()), (AlertKind::Limit, Some(rule.name())));
    assert_eq!((alert.threshold, alert.used, alert.limit), (0.6, 60.0, Some(100.0)));
    // A reset begins anew, and other replicas raise the same alert.
    service.reset(&rule, "growth", "59 USD", month("06")).await;
    service.charge_rule(&rule, "growth", "40 USD", month("06")).await;
    evaluate(month("06") + 2 * HOUR).await;
    assert_eq!(service.recorder.ids().len(), 1);
    service.charge_rule(&rule, "growth", "20 USD", month("06")).await;
    evaluate(month("06") + 3 * HOUR).await;
    assert_eq!(service.recorder.titles().len(), 2);
    // Each window has its own alert.
    service.charge_rule(&rule, "search", "70 USD", month("07")).await;
    evaluate(month("07") + HOUR).await;
    assert_eq!(service.recorder.titles().iter().filter(|title| **title == search).count(), 2);
    // A share of the same number is another alert.
    let rules = vec![AlertRule::on(AlertTrigger::limit("*")).thresholds([0.6]).build().unwrap()];
    let time = month("07") + 2 * HOUR;
    tick(&[service.replica_at(time, rules).await], time).await;
    assert!(service.recorder.titles().contains(&Service::title("60 % used", "search")));
}

#[tokio::test]
async fn amounts_of_limits_from_the_api_are_logged_without_a_target() {
    let service = Service::new();
    let rule = service.add_policy(serde_json::json!({ "alert_threshold": 1 })).await.rule().unwrap();
    service.charge_rule(&rule, "growth", "1 USD", month("06")).await;
    let limiter = Limiter::builder().ledger(service.ledger.clone()).build().unwrap();
    limiter.refresh_from(&service.analytics).await.unwrap();
    let alerts = Alerts::builder(service.analytics.clone(), limiter).build().unwrap();
    assert_eq!(alerts.evaluate_at(month("06") + HOUR).await.raised.len(), 1);
    assert_eq!(alerts.deliver_at(month("06") + HOUR).await.unwrap().delivered, 1);
}
