//! The groups that a caller may see: those whose requests its grant covers.

use crate::{
    analytics::{Filter, Grant},
    row::Dimension,
};

use super::super::rules::{Condition, LimitRule};

/// Returns `true` if all requests of a group are requests of the grant.
///
/// Each condition of the grant must follow from the group, or from a condition of the rule.
pub(crate) fn sees_group(grant: &Grant, rule: &LimitRule, group: &[(Dimension, Option<String>)]) -> bool {
    sees(grant, rule, |dimension, values| {
        let value = group.iter().find(|(other, _)| other == dimension).and_then(|(_, value)| value.as_deref());
        value.is_some_and(|value| values.iter().any(|other| other == value))
    })
}

/// Returns `true` if a rule may have groups all of whose requests are requests of the grant.
pub(crate) fn sees_rule(grant: &Grant, rule: &LimitRule) -> bool {
    sees(grant, rule, |dimension, values| {
        rule.group_by.contains(dimension) && values.iter().any(|value| allows(rule, dimension, value))
    })
}

fn sees(grant: &Grant, rule: &LimitRule, is_grouped: impl Fn(&Dimension, &[String]) -> bool) -> bool {
    grant.filters().iter().all(|filter| match filter {
        Filter::In(dimension, values) => is_grouped(dimension, values) || is_condition(rule, dimension, values),
        _ => false,
    })
}

/// Returns `true` if a condition of the rule allows no other values than these.
fn is_condition(rule: &LimitRule, dimension: &Dimension, values: &[String]) -> bool {
    let mut conditions = rule.when.iter().filter(|condition| condition.dimension == *dimension);
    conditions.any(|condition| {
        condition.literals().is_some_and(|texts| !texts.is_empty() && texts.iter().all(|text| values.contains(text)))
    })
}

/// Returns `true` if the conditions of the rule on a dimension allow a value.
fn allows(rule: &LimitRule, dimension: &Dimension, value: &str) -> bool {
    let is_of = |condition: &&Condition| condition.dimension == *dimension;
    rule.when.iter().filter(is_of).all(|condition| condition.has(value))
        && !rule.exclude.iter().filter(is_of).any(|condition| condition.has(value))
}
