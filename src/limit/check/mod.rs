//! Compares the ledger of budgets with the stored requests.
//!
//! What requests used is settled from their events, and stores keep the same events. So the stored requests of a window add up
//! to what the ledger has. A [`LedgerChecker`] compares both, and repairs the ledger if they differ, such as after a crash
//! between the end of a request and its settlement. Call [`check`](LedgerChecker::check) about once per hour, in one process.
//!
//! ```
//! use tower_tagging::{
//!     analytics::Analytics,
//!     limit::{Limiter, check::LedgerChecker},
//!     store::MemoryStore,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let limiter = Limiter::builder().build()?;
//! let checker = LedgerChecker::new(limiter, Analytics::new(MemoryStore::new()));
//! // A ledger in memory is empty after a start.
//! checker.restore().await?;
//! let check = checker.check().await?;
//! assert_eq!(check.drifts().count(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Coverage
//!
//! - A check covers requests that started at least some minutes ago, so that their events have been delivered, or before the
//!   oldest event that waits in the [delivery](LedgerChecker::delivery). A difference is reported only if it is still the same
//!   after a pause.
//! - A rule is [unchecked](CheckStatus::Unchecked) if the store does not keep rows for as long as its window.
//! - A check covers the current window. For a rolling window, it covers each of its slots.
//! - A rule that was created through the API counts from its creation.
//! - After the conditions or groups of a rule change, or a rule is added to the configuration, the ledger still has what was
//!   counted before. The difference is reported until the ledger is [rebuilt](LedgerChecker::rebuild) or the window ends.
//!
//! # Limits
//!
//! Requests are read page by page, once for all rules. At most 100,000 groups and slots per rule are compared.

mod check_status;
mod checked_rule;
mod comparison;
mod ledger_check;
mod ledger_check_error;
mod ledger_checker;
mod row_sums;
mod unchecked_reason;

pub use self::{
    check_status::CheckStatus, checked_rule::CheckedRule, ledger_check::LedgerCheck,
    ledger_check_error::LedgerCheckError, ledger_checker::LedgerChecker, unchecked_reason::UncheckedReason,
};
