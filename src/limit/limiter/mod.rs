//! Rules with the ledger that counts for them.

mod counters;
mod estimates;
mod gate;
mod limit_counts;
mod limit_usage;
mod limiter;
mod limiter_builder;
mod live_requests;
mod plan;
pub(crate) mod rule_set;
mod rule_usage;
mod settling;
#[cfg(test)]
mod usage_tests;

pub(super) use self::settling::LimitSink;
pub(crate) mod stored_state;

pub(crate) use self::rule_usage::RuleUsage;
pub use self::{limit_counts::LimitCounts, limit_usage::LimitUsage, limiter::Limiter, limiter_builder::LimiterBuilder};
