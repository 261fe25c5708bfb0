use std::{fmt, sync::Arc, time::Duration};

use super::{
    alert_condition::AlertCondition, alert_target::AlertTarget, alert_trigger::AlertTrigger, query_scope::QueryScope,
};

/// A condition to watch, and the targets to alert.
///
/// ```
/// use tower_tagging::limit::alerts::{AlertRule, AlertTrigger, TracingTarget};
///
/// let rule = AlertRule::on(AlertTrigger::limit("team-monthly"))
///     .when("metadata.environment", ["production"])
///     .thresholds([0.5, 0.8, 1.0])
///     .target(TracingTarget::new())
///     .build()?;
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct AlertRule {
    pub(super) trigger: AlertTrigger,
    pub(super) when: Vec<AlertCondition>,
    pub(super) exclude: Vec<AlertCondition>,
    /// In ascending order, never empty.
    pub(super) thresholds: Vec<f64>,
    pub(super) window: Duration,
    /// In nano-dollars.
    pub(super) minimum_cost: u64,
    pub(super) minimum_requests: u64,
    pub(super) cooldown: Duration,
    pub(super) allow_tag_values: bool,
    pub(super) targets: Vec<Arc<dyn AlertTarget>>,
}

impl AlertRule {
    /// Returns the trigger.
    pub fn trigger(&self) -> &AlertTrigger {
        &self.trigger
    }

    /// Returns the lowest threshold.
    pub(super) fn threshold(&self) -> f64 {
        self.thresholds.first().copied().unwrap_or(f64::INFINITY)
    }

    /// Returns the requests that the conditions select.
    pub(super) fn scope(&self) -> QueryScope {
        QueryScope::new(self.when.iter().map(|when| &when.condition), self.exclude.iter().map(|when| &when.condition))
    }

    /// Returns a text that is equal for rules with equal conditions. It is empty without conditions.
    pub(super) fn conditions(&self) -> String {
        if self.when.is_empty() && self.exclude.is_empty() {
            return String::new();
        }
        let sorted = |conditions: &[AlertCondition]| {
            let mut texts: Vec<String> = conditions.iter().map(|condition| condition.canonical().to_string()).collect();
            texts.sort_unstable();
            texts
        };
        serde_json::json!([sorted(&self.when), sorted(&self.exclude)]).to_string()
    }
}

impl fmt::Debug for AlertRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets: Vec<&str> = self.targets.iter().map(|target| target.name()).collect();
        f.debug_struct("AlertRule")
            .field("trigger", &self.trigger)
            .field("when", &self.when)
            .field("exclude", &self.exclude)
            .field("thresholds", &self.thresholds)
            .field("targets", &targets)
            .finish_non_exhaustive()
    }
}
