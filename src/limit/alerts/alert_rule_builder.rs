use std::{fmt, sync::Arc, time::Duration};

use crate::{
    ConfigError,
    analytics::Query,
    config_error::ConfigProblems,
    store::{Dimension, Field},
    usage::Money,
};

use super::{
    alert_condition::AlertCondition, alert_rule::AlertRule, alert_target::AlertTarget, alert_trigger::AlertTrigger,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Builds an [`AlertRule`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct AlertRuleBuilder {
    rule: AlertRule,
    thresholds: Option<Vec<f64>>,
    problems: ConfigProblems,
}

impl AlertRule {
    /// Returns a builder.
    pub fn on(trigger: AlertTrigger) -> AlertRuleBuilder {
        AlertRuleBuilder::new(trigger)
    }
}

impl AlertRuleBuilder {
    fn new(trigger: AlertTrigger) -> Self {
        let cooldown = match trigger {
            AlertTrigger::BurnRate | AlertTrigger::Anomaly => 6 * HOUR,
            AlertTrigger::Coverage(_) | AlertTrigger::Unpriced => DAY,
            _ => HOUR,
        };
        let minimum_requests = match trigger {
            AlertTrigger::Coverage(_) => 20,
            _ => 1,
        };
        let rule = AlertRule {
            trigger,
            when: Vec::new(),
            exclude: Vec::new(),
            thresholds: Vec::new(),
            window: HOUR,
            minimum_cost: 1_000_000_000,
            minimum_requests,
            cooldown,
            allow_tag_values: false,
            targets: Vec::new(),
        };
        Self { rule, thresholds: None, problems: ConfigProblems::default() }
    }

    /// Raises alerts only for requests whose property matches one of the patterns. All conditions must hold.
    ///
    /// Properties and patterns are those of [limits](crate::limit::LimitRuleBuilder::when). See
    /// [conditions](super#conditions) for their effect on each trigger.
    pub fn when<T: Into<String>>(mut self, property: &str, patterns: impl IntoIterator<Item = T>) -> Self {
        let condition = self.condition(property, patterns);
        self.rule.when.extend(condition);
        self
    }

    /// Raises no alerts for requests whose property matches one of the patterns.
    pub fn exclude<T: Into<String>>(mut self, property: &str, patterns: impl IntoIterator<Item = T>) -> Self {
        let condition = self.condition(property, patterns);
        self.rule.exclude.extend(condition);
        self
    }

    fn condition<T: Into<String>>(
        &mut self,
        property: &str,
        patterns: impl IntoIterator<Item = T>,
    ) -> Option<AlertCondition> {
        let patterns = patterns.into_iter().map(Into::into).collect();
        self.problems.take(AlertCondition::parse(property, patterns))
    }

    /// Replaces the thresholds. Their meaning and default depend on the [trigger](super#triggers). Only
    /// [`AlertTrigger::Limit`] may have several.
    pub fn thresholds(mut self, thresholds: impl IntoIterator<Item = f64>) -> Self {
        self.thresholds = Some(thresholds.into_iter().collect());
        self
    }

    /// Sets the length of the time that is watched, for [`AlertTrigger::Coverage`], [`AlertTrigger::Unpriced`], and
    /// [`AlertTrigger::Spoofing`]: whole hours, at most seven days. The default is one hour.
    pub fn window(mut self, window: Duration) -> Self {
        let seconds = window.as_secs();
        if window < HOUR || window > 7 * DAY || !seconds.is_multiple_of(HOUR.as_secs()) || window.subsec_nanos() > 0 {
            self.problem(format!("window: expected whole hours, at most seven days, found {window:?}"));
        }
        self.rule.window = window;
        self
    }

    /// Sets the cost below which an hour is never an anomaly. The default is 1 USD.
    pub fn minimum_cost(mut self, cost: Money) -> Self {
        self.rule.minimum_cost = cost.nano_usd();
        self
    }

    /// Sets the number of requests, or of LLM calls, below which no share is computed. The default is 20 for
    /// [`AlertTrigger::Coverage`], and 1 for [`AlertTrigger::Unpriced`].
    pub fn minimum_requests(mut self, requests: u64) -> Self {
        self.rule.minimum_requests = requests;
        self
    }

    /// Sets the time after an alert in which no further one about the same thing is raised.
    ///
    /// The default is 6 hours for the burn rate and anomalies, a day for coverage and unpriced calls, and an hour for all
    /// others. Thresholds of limits have no cooldown: each is reported once per period.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        if cooldown < Duration::from_secs(60) {
            self.problem(format!("cooldown: expected at least one minute, found {cooldown:?}"));
        }
        self.rule.cooldown = cooldown;
        self
    }

    /// Discloses the values of tags. By default, alerts contain their hashes.
    pub fn allow_tag_values(mut self, allow: bool) -> Self {
        self.rule.allow_tag_values = allow;
        self
    }

    /// Adds a receiver.
    pub fn target(self, target: impl AlertTarget) -> Self {
        self.shared_target(Arc::new(target))
    }

    /// Adds a receiver that other rules share.
    pub fn shared_target(mut self, target: Arc<dyn AlertTarget>) -> Self {
        self.rule.targets.push(target);
        self
    }

    /// Builds the rule.
    ///
    /// # Errors
    ///
    /// Returns every problem, such as an unknown property, an invalid threshold, or a condition that the trigger cannot have.
    pub fn build(mut self) -> Result<AlertRule, ConfigError> {
        self.set_thresholds();
        self.check_conditions();
        let trigger = self.rule.trigger.to_string();
        match self.problems.into_result() {
            Ok(()) => Ok(self.rule),
            Err(error) => Err(ConfigError::new(format!("alert on {trigger}: {error}"))),
        }
    }

    fn set_thresholds(&mut self) {
        let mut thresholds = match (self.thresholds.take(), &self.rule.trigger) {
            (Some(thresholds), _) => thresholds,
            (None, AlertTrigger::Limit(_)) => vec![0.5, 0.8, 1.0],
            (None, AlertTrigger::BurnRate) => vec![6.0],
            (None, AlertTrigger::Anomaly) => vec![3.5],
            (None, AlertTrigger::Coverage(_)) => vec![0.1],
            (None, AlertTrigger::Unpriced) => vec![0.05],
            (None, AlertTrigger::Spoofing) => vec![100.0],
            (None, AlertTrigger::SinkLoss | AlertTrigger::Drift) => vec![1.0],
        };
        let has_several = matches!(self.rule.trigger, AlertTrigger::Limit(_));
        if thresholds.is_empty() || !has_several && thresholds.len() > 1 {
            self.problem(format!("thresholds: expected {}", if has_several { "at least one" } else { "exactly one" }));
        }
        if let Some(wrong) = thresholds.iter().find(|threshold| !threshold.is_finite() || **threshold <= 0.0) {
            self.problem(format!("thresholds: expected numbers greater than zero, found {wrong}"));
        }
        let is_share = matches!(self.rule.trigger, AlertTrigger::Coverage(_) | AlertTrigger::Unpriced);
        if let Some(wrong) = thresholds.iter().find(|threshold| is_share && **threshold > 1.0) {
            self.problem(format!("thresholds: expected a share of at most 1, found {wrong}"));
        }
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        self.rule.thresholds = thresholds;
    }

    fn check_conditions(&mut self) {
        let used = self.rule.when.iter().chain(&self.rule.exclude).map(|condition| &condition.condition.dimension);
        let is_possible = |dimension: &&Dimension| match self.rule.trigger {
            AlertTrigger::SinkLoss => false,
            AlertTrigger::Spoofing => **dimension == Dimension::Field(Field::ApiKey),
            _ => true,
        };
        let impossible = used.clone().find(|dimension| !is_possible(dimension)).cloned();
        if let Some(dimension) = impossible {
            self.problem(format!("{dimension}: this trigger cannot have a condition on this property"));
        }
        // Contributing values need one of the dimensions of a query.
        let most = Query::MAX_GROUP_BY - 1;
        let is_query = matches!(
            self.rule.trigger,
            AlertTrigger::Anomaly | AlertTrigger::Coverage(_) | AlertTrigger::Unpriced | AlertTrigger::BurnRate
        );
        if is_query && self.rule.scope().extra_dimensions() > most {
            self.problem(format!(
                "expected patterns other than values, \"*\", and a single \"text*\" for at most {most} properties"
            ));
        }
    }

    fn problem(&mut self, message: impl Into<String>) {
        self.problems.push(ConfigError::new(message));
    }
}

impl fmt::Debug for AlertRuleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertRuleBuilder").field("rule", &self.rule).finish_non_exhaustive()
    }
}
