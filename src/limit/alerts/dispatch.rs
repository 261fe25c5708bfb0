//! Delivers the alerts that are due.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{
    analytics::Analytics, event::Clock, sink::RetryPolicy, store::AlertRecord, text::bounded, time::LAST_MICRO,
};

use super::{
    alert::Alert, alert_error::AlertError, alert_target::AlertTarget, delivery_attempt::DeliveryAttempt,
    delivery_counts::DeliveryCounts,
};

/// The time that a target has.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The time after which another process takes over. It is longer than [`TIMEOUT`].
const LEASE: Duration = Duration::from_secs(60);
/// The number of deliveries that run at the same time.
const BATCH: usize = 32;
/// The time after which another process may have the target.
const RELEASED: Duration = Duration::from_secs(60);
/// The time after which a round ends, so that the next one has the targets of then.
const ROUND: Duration = Duration::from_secs(60);
/// Maximum length of an error in logs, in characters.
const MAX_ERROR_CHARS: usize = 512;

/// One round of deliveries.
pub(super) struct Dispatch<'a> {
    pub(super) analytics: &'a Analytics,
    pub(super) targets: &'a BTreeMap<String, Arc<dyn AlertTarget>>,
    pub(super) retry: &'a RetryPolicy,
    /// Measures how long the round has been running.
    pub(super) clock: &'a dyn Clock,
    /// The time at which the round starts.
    pub(super) time: SystemTime,
}

/// The time of a round, which passes while it delivers.
struct RoundTime<'a> {
    clock: &'a dyn Clock,
    time: SystemTime,
    started: Instant,
}

impl RoundTime<'_> {
    fn elapsed(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.started)
    }

    fn now(&self) -> SystemTime {
        self.time + self.elapsed()
    }
}

/// The body of a record.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAlert {
    target: String,
    alert: Alert,
}

impl StoredAlert {
    pub(super) fn to_json(target: &str, alert: &Alert) -> String {
        serde_json::json!({"target": target, "alert": alert}).to_string()
    }
}

/// The end of an attempt.
enum End {
    Delivered,
    Failed(String),
    /// This process does not have the target.
    NoTarget,
}

impl Dispatch<'_> {
    /// Delivers until nothing is due, for about a minute at most.
    pub(super) async fn run(&self) -> Result<DeliveryCounts, AlertError> {
        let mut counts = DeliveryCounts::default();
        let round = RoundTime { clock: self.clock, time: self.time, started: self.clock.instant() };
        while round.elapsed() < ROUND {
            let time = round.now();
            let due = self.analytics.claim_alerts(time, LEASE, BATCH).await?;
            if due.is_empty() {
                break;
            }
            let mut running = JoinSet::new();
            for record in due {
                running.spawn(attempt(record.clone(), self.target(&record), time));
            }
            // The attempts end before their outcome is recorded, so an error of the store interrupts none.
            let (ended, time) = (running.join_all().await, round.now());
            let mut recorded = Ok(());
            for (record, end) in ended {
                // What was delivered is recorded if possible, so that it is not delivered again.
                recorded = recorded.and(self.record(&record, end, time, &mut counts).await);
            }
            recorded?;
        }
        Ok(counts)
    }

    fn target(&self, record: &AlertRecord) -> Option<(Arc<dyn AlertTarget>, Alert)> {
        let stored: StoredAlert = serde_json::from_str(&record.body).ok()?;
        Some((Arc::clone(self.targets.get(&stored.target)?), stored.alert))
    }

    async fn record(
        &self,
        record: &AlertRecord,
        end: End,
        time: SystemTime,
        counts: &mut DeliveryCounts,
    ) -> Result<(), AlertError> {
        let (error, delay) = match end {
            End::Delivered => {
                counts.delivered += 1;
                return Ok(self.analytics.alert_delivered(&record.id, time).await?);
            }
            End::NoTarget => ("this process does not have the target".to_owned(), RELEASED),
            End::Failed(error) => (error, self.retry.delay_after(record.attempts)),
        };
        let age = time.duration_since(record.raised_at).unwrap_or_default();
        let gives_up = age >= self.retry.time_until_giving_up();
        let next = if gives_up { SystemTime::UNIX_EPOCH + Duration::from_micros(LAST_MICRO) } else { time + delay };
        let alert = record.id.as_str();
        if gives_up {
            counts.given_up += 1;
            tracing::error!(target: "tower_tagging::alerts", alert, attempts = record.attempts, error, "gave up an alert");
        } else {
            counts.failed += 1;
            tracing::warn!(target: "tower_tagging::alerts", alert, attempts = record.attempts, retry_in = ?delay, error, "an alert was not delivered, retrying");
        }
        Ok(self.analytics.alert_failed(record, next).await?)
    }
}

/// Attempts a delivery. A target may hang or panic.
async fn attempt(
    record: AlertRecord,
    target: Option<(Arc<dyn AlertTarget>, Alert)>,
    time: SystemTime,
) -> (AlertRecord, End) {
    let Some((target, alert)) = target else { return (record, End::NoTarget) };
    let attempt = DeliveryAttempt { time, number: record.attempts };
    let delivery = tokio::spawn(async move {
        match tokio::time::timeout(TIMEOUT, target.deliver(&alert, attempt)).await {
            Ok(Ok(())) => End::Delivered,
            Ok(Err(error)) => End::Failed(bounded(&error, MAX_ERROR_CHARS)),
            Err(_) => End::Failed(format!("no result within {TIMEOUT:?}")),
        }
    });
    let end = delivery.await.unwrap_or_else(|_| End::Failed("the target panicked".to_owned()));
    (record, end)
}
