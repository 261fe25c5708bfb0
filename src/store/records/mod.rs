//! What a store keeps in addition to requests and sums: saved views, the log of changes, the verifications of sums, limits, and
//! alerts.
//!
//! The statements are written once for both databases. The memory store has the same operations.

#[cfg(all(feature = "limit", any(feature = "postgres", feature = "sqlite")))]
mod alerts;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod changes;
#[cfg(all(feature = "limit", any(feature = "postgres", feature = "sqlite")))]
mod limit_credits;
#[cfg(all(feature = "limit", any(feature = "postgres", feature = "sqlite")))]
mod limit_rules;
#[cfg(feature = "limit")]
mod memory_limits;
mod memory_records;
mod outcome;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod record_session;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod record_value;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod verifications;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod views;

#[cfg(all(feature = "limit", any(feature = "postgres", feature = "sqlite")))]
pub(crate) use self::{
    alerts::{alert_delivered, alert_failed, alerts, claim_alerts, last_alert, prune_alerts, raise_alert},
    limit_credits::{add_limit_credit, limit_credits},
    limit_rules::{add_limit_rule, change_limit_rule, delete_limit_rule, limit_rules, limit_rules_revision},
};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use self::{
    changes::{add_change, changes},
    record_session::RecordSession,
    record_value::{RecordRow, RecordValue},
    verifications::{add_verification, expire_differences, last_verification, verifications},
    views::{add_view, delete_view, rename_view, share_view, view, views},
};
#[cfg(feature = "limit")]
pub(crate) use self::{
    memory_limits::MemoryLimits,
    outcome::{LimitRuleSaved, MAX_LIMIT_RULES, RulesRevision},
};
pub(crate) use self::{
    memory_records::MemoryRecords,
    outcome::{MAX_CHANGES, MAX_VERIFICATIONS, MAX_VIEWS, ViewSaved},
};
