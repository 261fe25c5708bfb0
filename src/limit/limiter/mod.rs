//! Rules with the ledger that counts for them.

mod limit_counts;
mod limit_usage;
mod limiter;
mod limiter_builder;
pub(crate) mod rule_set;
pub(crate) mod stored_state;

pub use self::{limit_counts::LimitCounts, limit_usage::LimitUsage, limiter::Limiter, limiter_builder::LimiterBuilder};
