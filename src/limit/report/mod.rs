//! The report of limits for a caller: the same for the API, the dashboard, and agents.

mod budget_entry;
#[cfg(feature = "test-util")]
mod fill;
mod limit_report;
mod limit_source;
mod rate_entry;
mod visibility;

#[cfg(feature = "dashboard")]
pub(crate) use self::limit_report::LimitReport;
pub(crate) use self::{
    budget_entry::BudgetEntry, limit_source::LimitSource, rate_entry::RateEntry, visibility::sees_rule,
};
