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
mod settling;

pub(super) use self::settling::LimitSink;

pub use self::{limit_counts::LimitCounts, limit_usage::LimitUsage, limiter::Limiter, limiter_builder::LimiterBuilder};
