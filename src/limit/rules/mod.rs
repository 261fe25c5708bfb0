//! The rules: what is limited, for which requests, and what happens then.

mod amount;
mod condition;
mod limit_decision;
mod limit_kind;
mod limit_mode;
mod limit_rule;
mod limit_rule_builder;
mod limit_unit;
mod matching;
mod on_missing;
mod raise;

pub use self::{
    amount::Amount, condition::Condition, limit_decision::LimitDecision, limit_kind::LimitKind, limit_mode::LimitMode,
    limit_rule::LimitRule, limit_rule_builder::LimitRuleBuilder, limit_unit::LimitUnit, on_missing::OnMissing,
    raise::Raise,
};
pub(crate) use self::{
    limit_rule_builder::NO_DECISION,
    matching::{Finished, Match, reserved_note},
};
