use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use tokio::time::MissedTickBehavior;

use crate::{
    ConfigError,
    analytics::Analytics,
    event::Clock,
    limit::limiter::Limiter,
    registry::Registry,
    sink::{Delivery, RetryPolicy},
    store::AlertRecord,
    sync::lock,
};

use super::{
    alert::Alert,
    alert_error::AlertError,
    alert_rule::AlertRule,
    alert_target::AlertTarget,
    alert_trigger::AlertTrigger,
    delivery_counts::DeliveryCounts,
    dispatch::{Dispatch, StoredAlert},
    evaluate::{Watch, evaluate, stored_amounts},
    evaluation::Evaluation,
    finding::Finding,
    ledger_drift::LedgerDrift,
    rule_set::{AlertRuleSet, Provided},
    value_hash::{ValueHash, hex},
    watch_state::WatchState,
};

/// How often deliveries that are due are attempted.
const DELIVERY_INTERVAL: Duration = Duration::from_secs(5);
/// How long alerts are kept, so that a threshold of a fiscal year is reported once.
const KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// How often old alerts are deleted.
const PRUNE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum number of drifts that wait for an evaluation.
const MAX_DRIFTS: usize = 1_000;

/// Evaluates alert rules, and delivers alerts. Clones share everything.
///
/// See the [module](super).
#[derive(Clone)]
pub struct Alerts {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    set: ArcSwap<AlertRuleSet>,
    state: WatchState,
    drifts: Mutex<Vec<LedgerDrift>>,
}

/// The parts that do not change.
pub(super) struct Settings {
    pub(super) analytics: Analytics,
    pub(super) limiter: Limiter,
    pub(super) targets: Vec<Arc<dyn AlertTarget>>,
    pub(super) registry: Option<Registry>,
    pub(super) delivery: Delivery,
    pub(super) zone: TimeZone,
    pub(super) hash: ValueHash,
    pub(super) retry: RetryPolicy,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) interval: Duration,
}

impl Alerts {
    pub(super) fn new(settings: Settings, set: AlertRuleSet) -> Self {
        let (set, state, drifts) = (ArcSwap::from_pointee(set), WatchState::default(), Mutex::default());
        Self { shared: Arc::new(Shared { settings, set, state, drifts }) }
    }

    /// Replaces the rules. Alerts that were raised stay raised, and those that wait for their delivery are delivered if their
    /// target is still in use.
    ///
    /// # Errors
    ///
    /// As [`AlertsBuilder::build`](super::AlertsBuilder::build). The previous rules then stay in force.
    pub fn replace_rules(&self, rules: Vec<AlertRule>) -> Result<(), ConfigError> {
        let settings = &self.shared.settings;
        let provided = Provided { registry: settings.registry.is_some(), delivery: !settings.delivery.is_none() };
        let set = AlertRuleSet::new(rules, &settings.targets, &settings.limiter, provided)?;
        self.shared.set.store(Arc::new(set));
        Ok(())
    }

    /// Evaluates the rules and delivers alerts until the future is dropped. Spawn it in every process.
    ///
    /// Errors are logged with the target `tower_tagging::alerts`.
    ///
    /// # Panics
    ///
    /// The future panics outside of a tokio runtime with time.
    pub fn run(&self) -> impl Future<Output = ()> + Send + use<> {
        let (evaluating, delivering) = (self.clone(), self.clone());
        async move {
            let evaluating = async move { evaluating.keep_evaluating().await };
            futures_util::future::join(evaluating, async move { delivering.keep_delivering().await }).await;
        }
    }

    async fn keep_evaluating(self) {
        let settings = &self.shared.settings;
        let mut ticks = tokio::time::interval(settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for error in self.evaluate_at(settings.clock.now()).await.errors {
                tracing::warn!(target: "tower_tagging::alerts", error = %error, "alerts were not evaluated, retrying");
            }
        }
    }

    async fn keep_delivering(self) {
        let settings = &self.shared.settings;
        let mut ticks = tokio::time::interval(DELIVERY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_prune = SystemTime::UNIX_EPOCH;
        loop {
            ticks.tick().await;
            let now = settings.clock.now();
            let mut done = self.deliver_at(now).await.map(drop);
            if done.is_ok() && now >= next_prune {
                done = self.prune_at(now).await;
                next_prune = now + PRUNE_INTERVAL;
            }
            if let Err(error) = done {
                tracing::warn!(target: "tower_tagging::alerts", error = %error, "alerts were not delivered, retrying");
            }
        }
    }

    async fn prune_at(&self, time: SystemTime) -> Result<(), AlertError> {
        let Some(before) = time.checked_sub(KEPT) else { return Ok(()) };
        self.shared.settings.analytics.prune_alerts(before).await?;
        Ok(())
    }

    /// Evaluates the rules at a time, and raises alerts. [`run`](Self::run) calls it, and tests do.
    pub async fn evaluate_at(&self, time: SystemTime) -> Evaluation {
        let (mut evaluation, set) = (Evaluation::default(), self.shared.set.load_full());
        let drifts = std::mem::take(&mut *lock(&self.shared.drifts));
        let Settings { analytics, limiter, delivery, zone, .. } = &self.shared.settings;
        let registry = self.shared.settings.registry.as_ref();
        let (state, usage) = (&self.shared.state, Vec::new());
        let mut watch = Watch { time, analytics, limiter, registry, delivery, zone, state, drifts: &drifts, usage };
        let needs_usage = |rule: &AlertRule| matches!(rule.trigger, AlertTrigger::Limit(_) | AlertTrigger::BurnRate);
        let mut is_usage_known = true;
        let has_amounts = !limiter.stored_alerts().is_empty();
        if (has_amounts || set.rules.iter().any(|(rule, _)| needs_usage(rule)))
            && let Err(error) = watch.read_usage().await
        {
            evaluation.errors.push(error);
            is_usage_known = false;
        }
        let mut lost_drift = false;
        for (rule, key) in set.rules.iter().filter(|(rule, _)| is_usage_known || !needs_usage(rule)) {
            if let Err(error) = self.evaluate_rule(rule, key, &watch, &mut evaluation).await {
                lost_drift |= rule.trigger == AlertTrigger::Drift;
                evaluation.errors.push(error);
            }
        }
        if let Some(rule) = set.stored.as_ref().filter(|_| has_amounts && is_usage_known)
            && let Err(error) = self.raise_all(rule, stored_amounts(&watch), time, &mut evaluation).await
        {
            evaluation.errors.push(error);
        }
        if lost_drift {
            self.record_drifts(drifts);
        }
        evaluation
    }

    async fn evaluate_rule(
        &self,
        rule: &AlertRule,
        key: &str,
        watch: &Watch<'_>,
        evaluation: &mut Evaluation,
    ) -> Result<(), AlertError> {
        let found = evaluate(rule, key, watch).await?;
        evaluation.errors.extend(found.errors);
        self.raise_all(rule, found.findings, watch.time, evaluation).await?;
        if let Some(to) = found.evaluated {
            self.shared.state.set_evaluated(key, to);
        }
        Ok(())
    }

    async fn raise_all(
        &self,
        rule: &AlertRule,
        findings: Vec<Finding>,
        time: SystemTime,
        evaluation: &mut Evaluation,
    ) -> Result<(), AlertError> {
        for finding in findings {
            if let Some(alert) = self.raise(rule, &finding, time).await? {
                if let Some((key, count)) = &finding.count {
                    self.shared.state.set_reported(key, *count);
                }
                evaluation.raised.push(alert);
            }
        }
        Ok(())
    }

    /// Stores an alert, once for each target. Returns it if it is new for one of them.
    async fn raise(&self, rule: &AlertRule, finding: &Finding, time: SystemTime) -> Result<Option<Alert>, AlertError> {
        let Settings { hash, analytics, .. } = &self.shared.settings;
        let (alert, series) = (finding.alert(rule, hash, time), finding.series(rule, hash));
        let mut is_new = false;
        for target in &rule.targets {
            let id = format!("{} {}", alert.id, target.name());
            if self.shared.state.is_known(&id) {
                continue;
            }
            // A text that databases can index, however many conditions the rule has.
            let subject = hex(Sha256::digest(format!("{series} {}", target.name())));
            if let Some(cooldown) = finding.cooldown
                && let Some(last) = analytics.last_alert(&subject).await?
                && last.checked_add(cooldown).is_none_or(|end| end > time)
            {
                continue;
            }
            let record = AlertRecord {
                id: id.clone(),
                kind: alert.kind.to_string(),
                subject,
                body: StoredAlert::to_json(target.name(), &alert),
                raised_at: time,
                attempts: 0,
                next_attempt_at: time,
                lease_until: SystemTime::UNIX_EPOCH,
                delivered_at: None,
            };
            is_new |= analytics.raise_alert(record).await?;
            self.shared.state.add_known(id);
        }
        Ok(is_new.then_some(alert))
    }

    /// Reports differences between the ledger and the stored requests, for [`AlertTrigger::Drift`]. The next evaluation raises
    /// alerts about them. At most 1,000 wait for it.
    pub fn record_drifts(&self, drifts: impl IntoIterator<Item = LedgerDrift>) {
        let mut waiting = lock(&self.shared.drifts);
        let left = MAX_DRIFTS.saturating_sub(waiting.len());
        waiting.extend(drifts.into_iter().take(left));
    }

    /// Delivers the alerts that are due at a time. [`run`](Self::run) calls it, and tests do.
    ///
    /// Time passes during the deliveries by the [clock](super::AlertsBuilder::clock). After a minute, the rest is left to the
    /// next call.
    ///
    /// # Errors
    ///
    /// Returns an error if the store of alerts fails. Alerts whose delivery could not be recorded are delivered again.
    pub async fn deliver_at(&self, time: SystemTime) -> Result<DeliveryCounts, AlertError> {
        let set = self.shared.set.load_full();
        let Settings { analytics, retry, clock, .. } = &self.shared.settings;
        Dispatch { analytics, targets: &set.targets, retry, clock: clock.as_ref(), time }.run().await
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.shared.set.load();
        let rules: Vec<&AlertRule> = set.rules.iter().map(|(rule, _)| rule).collect();
        f.debug_struct("Alerts").field("rules", &rules).finish_non_exhaustive()
    }
}
