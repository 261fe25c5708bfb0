use std::{collections::BTreeMap, sync::Arc};

use crate::{ConfigError, config_error::ConfigProblems, limit::limiter::Limiter};

use super::{
    alert_rule::AlertRule, alert_target::AlertTarget, alert_trigger::AlertTrigger, evaluate::is_named,
    tracing_target::TracingTarget,
};

/// The rules in force, with all of their targets. Immutable: a change creates a new set.
#[derive(Default)]
pub(super) struct AlertRuleSet {
    /// Each rule with the text that identifies it in the state.
    pub(super) rules: Vec<(AlertRule, String)>,
    /// The rule of the amounts that limits from the store have.
    pub(super) stored: Option<AlertRule>,
    pub(super) targets: BTreeMap<String, Arc<dyn AlertTarget>>,
}

/// The parts that the host has provided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Provided {
    pub(super) registry: bool,
    pub(super) delivery: bool,
}

impl AlertRuleSet {
    /// Adds the common targets to rules, and checks them.
    pub(super) fn new(
        rules: Vec<AlertRule>,
        common: &[Arc<dyn AlertTarget>],
        limiter: &Limiter,
        provided: Provided,
    ) -> Result<Self, ConfigError> {
        let (mut set, mut problems) = (Self::default(), ConfigProblems::default());
        for mut rule in rules {
            rule.targets.extend(common.iter().cloned());
            if let Err(problem) = check(&rule, limiter, provided) {
                problems.push(ConfigError::new(format!("alert on {}: {problem}", rule.trigger)));
            }
            set.add_targets(&rule);
            let key = key(&rule);
            set.rules.push((rule, key));
        }
        set.stored = problems.take(stored(common));
        if let Some(rule) = set.stored.clone() {
            set.add_targets(&rule);
        }
        problems.into_result().map(|()| set)
    }

    fn add_targets(&mut self, rule: &AlertRule) {
        for target in &rule.targets {
            self.targets.entry(target.name().to_owned()).or_insert_with(|| Arc::clone(target));
        }
    }
}

/// Returns the rule of the amounts that limits from the store have. Without common targets, it logs.
fn stored(common: &[Arc<dyn AlertTarget>]) -> Result<AlertRule, ConfigError> {
    let rule = AlertRule::on(AlertTrigger::limit("*"));
    if common.is_empty() {
        return rule.target(TracingTarget::new()).build();
    }
    common.iter().fold(rule, |rule, target| rule.shared_target(Arc::clone(target))).build()
}

/// Returns a text that identifies a rule, also after the rules were replaced.
fn key(rule: &AlertRule) -> String {
    let targets: Vec<&str> = rule.targets.iter().map(|target| target.name()).collect();
    serde_json::json!([
        rule.trigger.to_string(),
        rule.conditions(),
        rule.thresholds,
        rule.window.as_secs(),
        rule.cooldown.as_secs_f64(),
        rule.minimum_cost,
        rule.minimum_requests,
        targets
    ])
    .to_string()
}

fn check(rule: &AlertRule, limiter: &Limiter, provided: Provided) -> Result<(), String> {
    if rule.targets.is_empty() {
        return Err("expected a target, found none".to_owned());
    }
    match &rule.trigger {
        AlertTrigger::Spoofing if !provided.registry => Err("expected a registry, found none".to_owned()),
        AlertTrigger::SinkLoss if !provided.delivery => Err("expected the delivery of sinks, found none".to_owned()),
        AlertTrigger::Limit(name) => check_limit(name, limiter),
        _ => Ok(()),
    }
}

fn check_limit(name: &str, limiter: &Limiter) -> Result<(), String> {
    let rules = limiter.rules();
    let mut named = rules.iter().filter(|rule| is_named(name, rule.name())).peekable();
    // Rules from a store may be added later.
    if named.peek().is_none() && !name.contains('*') {
        return Err(format!("unknown limit {name:?}"));
    }
    if name.contains('*') || named.any(|rule| rule.is_budget()) {
        return Ok(());
    }
    Err(format!("limit {name:?} is not a budget: only budgets have thresholds"))
}
