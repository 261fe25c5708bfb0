//! Delivers the alerts that are due.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{analytics::Analytics, sink::RetryPolicy, store::AlertRecord, text::bounded, time::LAST_MICRO};

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
/// Maximum length of an error in logs, in characters.
const MAX_ERROR_CHARS: usize = 512;

/// One round of deliveries.
pub(super) struct Dispatch<'a> {
    pub(super) analytics: &'a Analytics,
    pub(super) targets: &'a BTreeMap<String, Arc<dyn AlertTarget>>,
    pub(super) retry: &'a RetryPolicy,
    pub(super) time: SystemTime,
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
    /// Delivers until nothing is due.
    pub(super) async fn run(&self) -> Result<DeliveryCounts, AlertError> {
        let mut counts = DeliveryCounts::default();
        loop {
            let due = self.analytics.claim_alerts(self.time, LEASE, BATCH).await?;
            if due.is_empty() {
                return Ok(counts);
            }
            let mut running = JoinSet::new();
            for record in due {
                running.spawn(attempt(record.clone(), self.target(&record), self.time));
            }
            // The attempts end before their outcome is recorded, so an error of the store interrupts none.
            let ended = running.join_all().await;
            for (record, end) in ended {
                self.record(&record, end, &mut counts).await?;
            }
        }
    }

    fn target(&self, record: &AlertRecord) -> Option<(Arc<dyn AlertTarget>, Alert)> {
        let stored: StoredAlert = serde_json::from_str(&record.body).ok()?;
        Some((Arc::clone(self.targets.get(&stored.target)?), stored.alert))
    }

    async fn record(&self, record: &AlertRecord, end: End, counts: &mut DeliveryCounts) -> Result<(), AlertError> {
        let (error, delay) = match end {
            End::Delivered => {
                counts.delivered += 1;
                return Ok(self.analytics.alert_delivered(&record.id, self.time).await?);
            }
            End::NoTarget => ("this process does not have the target".to_owned(), RELEASED),
            End::Failed(error) => (error, self.retry.delay_after(record.attempts)),
        };
        let age = self.time.duration_since(record.raised_at).unwrap_or_default();
        let gives_up = age >= self.retry.time_until_giving_up();
        let next =
            if gives_up { SystemTime::UNIX_EPOCH + Duration::from_micros(LAST_MICRO) } else { self.time + delay };
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
