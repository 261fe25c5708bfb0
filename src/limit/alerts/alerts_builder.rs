use std::{fmt, sync::Arc, time::Duration};

use jiff::tz::TimeZone;

use crate::{
    ConfigError,
    analytics::Analytics,
    config_error::ConfigProblems,
    event::{Clock, SystemClock},
    limit::limiter::Limiter,
    registry::Registry,
    sink::{Delivery, RetryPolicy},
};

use super::{
    alert_rule::AlertRule,
    alert_target::AlertTarget,
    alerts::{Alerts, Settings},
    rule_set::{AlertRuleSet, Provided},
    value_hash::ValueHash,
};

/// The time for which alerts are retried at least.
const MIN_RETRIES: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Builds [`Alerts`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct AlertsBuilder {
    analytics: Analytics,
    limiter: Limiter,
    rules: Vec<AlertRule>,
    targets: Vec<Arc<dyn AlertTarget>>,
    registry: Option<Registry>,
    delivery: Delivery,
    zone: TimeZone,
    hash: ValueHash,
    retry: RetryPolicy,
    clock: Arc<dyn Clock>,
    interval: Duration,
    problems: ConfigProblems,
}

impl Alerts {
    /// Returns a builder.
    pub fn builder(analytics: Analytics, limiter: Limiter) -> AlertsBuilder {
        AlertsBuilder::new(analytics, limiter)
    }
}

impl AlertsBuilder {
    fn new(analytics: Analytics, limiter: Limiter) -> Self {
        let retry = RetryPolicy::new()
            .min_delay(Duration::from_secs(5))
            .max_delay(Duration::from_secs(5 * 60))
            .give_up_after(MIN_RETRIES);
        Self {
            analytics,
            limiter,
            rules: Vec::new(),
            targets: Vec::new(),
            registry: None,
            delivery: Delivery::none(),
            zone: TimeZone::UTC,
            hash: ValueHash::default(),
            retry,
            clock: Arc::new(SystemClock),
            interval: Duration::from_secs(60),
            problems: ConfigProblems::default(),
        }
    }

    /// Adds a rule.
    pub fn rule(mut self, rule: AlertRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds rules.
    pub fn rules(mut self, rules: impl IntoIterator<Item = AlertRule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Adds a receiver of the alerts of all rules, in addition to their own, and of limits that were created through the API
    /// with an amount at which they raise an alert.
    pub fn target(mut self, target: impl AlertTarget) -> Self {
        self.targets.push(Arc::new(target));
        self
    }

    /// Sets the registry whose counts [`AlertTrigger::Spoofing`](super::AlertTrigger::Spoofing) watches.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Sets the sinks that [`AlertTrigger::SinkLoss`](super::AlertTrigger::SinkLoss) watches.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Sets the time zone in which [`AlertTrigger::Anomaly`](super::AlertTrigger::Anomaly) finds the same hour of earlier
    /// weeks. The default is UTC.
    pub fn zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// Sets a key with which the values of tags are hashed, so that they cannot be guessed from the hash. All processes need
    /// the same key: the ids of alerts contain hashes.
    pub fn hash_key(mut self, key: impl AsRef<[u8]>) -> Self {
        if key.as_ref().is_empty() {
            self.problems.push(ConfigError::new("hash_key: expected at least one byte, found none"));
        }
        self.hash = ValueHash::keyed(key.as_ref());
        self
    }

    /// Sets the delays between the attempts of a delivery. The default is 5 seconds to 5 minutes, for 3 days.
    ///
    /// Alerts are retried for at least 3 days.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets the clock of [`Alerts::run`], and of the time that passes during [`Alerts::deliver_at`]. The default is
    /// [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets how often [`Alerts::run`] evaluates the rules. The default is one minute.
    pub fn interval(mut self, interval: Duration) -> Self {
        if interval < Duration::from_secs(1) {
            self.problems.push(ConfigError::new(format!("interval: expected at least 1s, found {interval:?}")));
        }
        self.interval = interval;
        self
    }

    /// Builds the alerts. [`Alerts::run`] starts them.
    ///
    /// # Errors
    ///
    /// Returns every problem: a rule without a target, a limit that does not exist or is
    /// not a budget, or a rule that needs a registry or a delivery.
    pub fn build(mut self) -> Result<Alerts, ConfigError> {
        let provided = Provided { registry: self.registry.is_some(), delivery: !self.delivery.is_none() };
        let set = AlertRuleSet::new(self.rules, &self.targets, &self.limiter, provided);
        let set = self.problems.take(set);
        self.problems.into_result()?;
        let settings = Settings {
            analytics: self.analytics,
            limiter: self.limiter,
            targets: self.targets,
            registry: self.registry,
            delivery: self.delivery,
            zone: self.zone,
            hash: self.hash,
            retry: self.retry.give_up_after(self.retry.time_until_giving_up().max(MIN_RETRIES)),
            clock: self.clock,
            interval: self.interval,
        };
        Ok(Alerts::new(settings, set.unwrap_or_default()))
    }
}

impl fmt::Debug for AlertsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertsBuilder").field("rules", &self.rules).finish_non_exhaustive()
    }
}
