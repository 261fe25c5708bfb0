//! Tests of long rounds of deliveries, and of stores that fail.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use crate::{
    analytics::Analytics,
    event::ManualClock,
    sink::RetryPolicy,
    store::{AlertRecord, MemoryStore},
};

use super::{
    Alert, AlertError, AlertTarget, DeliveryAttempt, DeliveryCounts, DeliveryFuture,
    dispatch::{Dispatch, StoredAlert},
};

const SECOND: Duration = Duration::from_secs(1);

/// A target for which each delivery takes a second. It refuses the first ones.
#[derive(Clone)]
struct Slow {
    clock: ManualClock,
    refused: usize,
    attempts: Arc<Mutex<Vec<SystemTime>>>,
}

impl AlertTarget for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn deliver<'a>(&'a self, _alert: &'a Alert, attempt: DeliveryAttempt) -> DeliveryFuture<'a> {
        Box::pin(async move {
            self.clock.advance(SECOND);
            let mut attempts = self.attempts.lock().unwrap();
            attempts.push(attempt.time);
            if attempts.len() <= self.refused { Err("busy".into()) } else { Ok(()) }
        })
    }
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * 24 * 3_600 * SECOND
}

/// Creates alerts that are due.
async fn raise(analytics: &Analytics, count: usize) {
    let alert: Alert = serde_json::from_value(serde_json::json!({
        "id": "5f", "kind": "drift", "subject": "monthly", "group": [], "threshold": 1.0, "used": 2.0, "limit": null,
        "unit": "USD", "from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z", "time": "2026-06-20T10:00:00Z",
        "title": "a drift", "text": "A drift."
    }))
    .unwrap();
    for number in 0..count {
        let record = AlertRecord {
            id: format!("alert {number:03}"),
            kind: alert.kind.to_string(),
            subject: "monthly".to_owned(),
            body: StoredAlert::to_json("slow", &alert),
            raised_at: start(),
            attempts: 0,
            next_attempt_at: start(),
            lease_until: SystemTime::UNIX_EPOCH,
            delivered_at: None,
        };
        assert!(analytics.raise_alert(record).await.unwrap());
    }
}

/// Delivers in one round.
async fn deliver(analytics: &Analytics, target: &Slow, time: SystemTime) -> Result<DeliveryCounts, AlertError> {
    let targets: BTreeMap<String, Arc<dyn AlertTarget>> =
        BTreeMap::from([("slow".to_owned(), Arc::new(target.clone()) as Arc<dyn AlertTarget>)]);
    let retry = RetryPolicy::new().min_delay(5 * SECOND).max_delay(5 * SECOND);
    Dispatch { analytics, targets: &targets, retry: &retry, clock: &target.clock, time }.run().await
}

fn slow(refused: usize) -> Slow {
    Slow { clock: ManualClock::new(), refused, attempts: Arc::default() }
}

#[tokio::test]
async fn time_passes_during_a_round() {
    let (analytics, target) = (Analytics::new(MemoryStore::new()), slow(1));
    raise(&analytics, 80).await;
    // The clock of the target is not that of the round: only what passes counts.
    let counts = deliver(&analytics, &target, start()).await.unwrap();
    // The third batch would start after a minute.
    assert_eq!((counts.delivered, counts.failed), (63, 1));
    let attempts = target.attempts.lock().unwrap().clone();
    assert!(attempts[..32].iter().all(|time| *time == start()), "{attempts:?}");
    assert!(attempts[32..].iter().all(|time| *time == start() + 32 * SECOND), "{attempts:?}");
    // The delay of an attempt that failed starts at its end.
    let alerts = analytics.recent_alerts(100).await.unwrap();
    let failed: Vec<_> = alerts.iter().filter(|alert| alert.attempts == 1 && alert.delivered_at.is_none()).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].next_attempt_at >= start() + 37 * SECOND, "{failed:?}");
    let delivered: Vec<_> = alerts.iter().filter_map(|alert| alert.delivered_at).collect();
    assert!(delivered.iter().all(|time| *time == start() + 32 * SECOND || *time == start() + 64 * SECOND));
    let counts = deliver(&analytics, &target, start() + 120 * SECOND).await.unwrap();
    assert_eq!((counts.delivered, counts.failed), (17, 0));
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_does_not_keep_others_from_it() {
    let folder = std::env::temp_dir().join(format!("tower-tagging-dispatch-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("events.db");
    let store = crate::store::SqliteStore::open(&file).unwrap();
    store.migrate().unwrap();
    let analytics = Analytics::new(store);
    raise(&analytics, 32).await;
    // Every second outcome cannot be recorded.
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE UPDATE OF delivered_at ON tagging_alerts
             WHEN CAST(substr(OLD.id, 7) AS INTEGER) % 2 = 0 BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        .unwrap();
    assert!(deliver(&analytics, &slow(0), start()).await.is_err());
    let alerts = analytics.recent_alerts(100).await.unwrap();
    let mut delivered: Vec<_> = alerts.iter().filter(|alert| alert.delivered_at.is_some()).collect();
    delivered.sort_by(|one, other| one.id.cmp(&other.id));
    let odd: Vec<String> =
        (0..32).filter(|number| number % 2 == 1).map(|number| format!("alert {number:03}")).collect();
    assert_eq!(delivered.iter().map(|alert| &alert.id).collect::<Vec<_>>(), odd.iter().collect::<Vec<_>>());
    std::fs::remove_dir_all(folder).unwrap();
}
