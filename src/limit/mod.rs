//! Budgets, rate limits, and alerts by any tag, model, or key.

mod api;
mod ledger;
mod limiter;
mod policies;
mod report;
mod rules;
mod series;
mod subject;
mod window;

#[cfg(feature = "dashboard")]
pub(crate) use self::report::{BudgetEntry, LimitReport, RateEntry};
pub use self::{
    ledger::{Ledger, LedgerError, LedgerStatus},
    limiter::{LimitCounts, LimitUsage, Limiter, LimiterBuilder},
    rules::{
        Amount, Condition, LimitDecision, LimitKind, LimitMode, LimitRule, LimitRuleBuilder, LimitUnit, OnMissing,
        Raise,
    },
    window::{CalendarUnit, Window},
};
