use crate::{
    ConfigError,
    limit::rules::{Condition, LimitRule},
    registry::Glob,
    store::{Dimension, Field},
};

/// The fields that conditions use: those of limits.
const FIELDS: &[Field] =
    &[Field::ApiKey, Field::Workspace, Field::VirtualKey, Field::Provider, Field::RequestModel, Field::Route];

/// A condition of an alert, with the texts of its patterns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AlertCondition {
    pub(super) condition: Condition,
    patterns: Vec<String>,
}

impl AlertCondition {
    /// Parses a condition as limits have it.
    pub(super) fn parse(property: &str, patterns: Vec<String>) -> Result<Self, ConfigError> {
        let name = if property == "model" { Field::RequestModel.as_str() } else { property };
        let is_known = |dimension: &Dimension| match dimension {
            Dimension::Tag(_) => true,
            Dimension::Field(field) => FIELDS.contains(field),
        };
        let dimension = Dimension::from_name(name).filter(is_known).ok_or_else(|| {
            ConfigError::new(format!(
                "unknown property {property:?}: expected metadata.KEY, api_key, workspace, virtual_key, provider, model, or route"
            ))
        })?;
        if patterns.is_empty() {
            return Err(ConfigError::new(format!("{property}: expected at least one pattern")));
        }
        let parse = |pattern: &String| {
            Glob::parse(pattern).ok_or_else(|| {
                ConfigError::new(format!("{property}: invalid pattern {pattern:?}: it ends within an escape"))
            })
        };
        let globs = patterns.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { condition: Condition { dimension, patterns: globs }, patterns })
    }

    /// Returns a text that is equal for equal conditions, in whatever order their patterns are.
    pub(super) fn canonical(&self) -> serde_json::Value {
        let mut patterns = self.patterns.clone();
        patterns.sort_unstable();
        patterns.dedup();
        serde_json::json!([self.condition.dimension.to_string(), patterns])
    }

    /// Returns `true` if the condition holds for all requests that a rule counts for a group, and `false` if it holds for none.
    ///
    /// A property by which the rule groups is decided by the value of the group. Any other is decided by the rule's own
    /// conditions, as far as their patterns are plain values or equal to those of this condition. Returns `None` if neither
    /// decides.
    pub(super) fn on_group(&self, rule: &LimitRule, group: &[(Dimension, Option<String>)]) -> Option<bool> {
        let dimension = &self.condition.dimension;
        if let Some((_, value)) = group.iter().find(|(other, _)| other == dimension) {
            return Some(value.as_deref().is_some_and(|value| matches(&self.condition.patterns, value)));
        }
        self.on_rule(rule)
    }

    fn on_rule(&self, rule: &LimitRule) -> Option<bool> {
        let wanted = &self.condition.patterns;
        let is_within = |one: &Glob, others: &[Glob]| {
            others.contains(one) || one.literal().is_some_and(|value| matches(others, &value))
        };
        let of_dimension = |own: &&Condition| own.dimension == self.condition.dimension;
        for own in rule.when.iter().filter(of_dimension) {
            if own.patterns.iter().all(|pattern| is_within(pattern, wanted)) {
                return Some(true);
            }
            if own.patterns.iter().all(|pattern| pattern.literal().is_some_and(|value| !matches(wanted, &value))) {
                return Some(false);
            }
        }
        let mut excluded = rule.exclude.iter().filter(of_dimension);
        excluded.any(|own| wanted.iter().all(|pattern| is_within(pattern, &own.patterns))).then_some(false)
    }
}

/// Returns `true` if a value is not empty and matches one of the patterns.
pub(super) fn matches(patterns: &[Glob], value: &str) -> bool {
    !value.is_empty() && patterns.iter().any(|pattern| pattern.matches(value))
}
