//! Budgets, rate limits, and alerts by any tag, model, or key.

pub mod alerts;
mod answer;
pub mod check;
mod gcra;
mod ledger;
mod limit_layer;
mod limiter;
mod meter;
pub mod rehearse;
mod rules;
mod series;
mod settings;
mod subject;
mod window;

#[cfg(feature = "postgres")]
pub use self::ledger::PostgresLedger;
#[cfg(feature = "redis")]
pub use self::ledger::RedisLedger;
pub use self::{
    ledger::{Ledger, LedgerError, LedgerStatus},
    limit_layer::LimitLayer,
    limiter::{LimitCounts, LimitUsage, Limiter, LimiterBuilder},
    rules::{
        Amount, Condition, LimitDecision, LimitKind, LimitMode, LimitRule, LimitRuleBuilder, LimitUnit, OnMissing,
        Raise,
    },
    settings::{LedgerSettings, LimitSettings},
    window::{CalendarUnit, Window},
};
