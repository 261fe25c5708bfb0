//! Runs rules over stored requests, before they are enforced.
//!
//! [`rehearse`] reads the requests of a range in the order of their time, and decides about each as the
//! [`LimitLayer`](crate::limit::LimitLayer) would have. The [result](Rehearsal) has the requests that each rule would have
//! rejected, the callers affected, and the cost saved.
//!
//! ```
//! use tower_tagging::{
//!     analytics::{Analytics, Grant, TimeRange},
//!     limit::{Amount, LimitDecision, LimitRule, Window, rehearse::rehearse},
//!     store::MemoryStore,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let rule = LimitRule::budget("team-monthly", "500 USD".parse::<Amount>()?, Window::month("Europe/Berlin")?)
//!     .group_by("metadata.team")
//!     .on_unpriced(LimitDecision::Allow)
//!     .on_store_error(LimitDecision::Deny)
//!     .build()?;
//! let june = TimeRange::parse("2026-06-01T00:00:00+02:00", "2026-07-01T00:00:00+02:00", "Europe/Berlin")?;
//! let analytics = Analytics::new(MemoryStore::new());
//! let rehearsal = rehearse(&analytics, [rule], &june, &Grant::everything()).await?;
//! assert_eq!((rehearsal.requests, rehearsal.rules[0].rejected), (0, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Differences from enforcement
//!
//! - Requests reserve what they really used, because it is known. The layer reserves an estimate.
//! - A request that a rule rejects uses nothing, and does not run. Its client would perhaps have repeated it.
//! - Windows and rates are empty at the start of the range. Begin with the start of a window.
//! - Requests that were rejected at the time are not considered, because what they would have used is unknown.
//! - Rules in shadow mode are reported, and reject nothing. Rules that are off are not considered.
//! - Credits of groups are not considered, but raises are.
//!
//! # Limits
//!
//! Requests are read page by page. The counts of all groups of the current windows are in memory, and up to 100,000 affected
//! values per rule.

mod affected;
mod affected_caller;
mod rehearsal;
mod rehearse;
mod rehearsed_rule;
mod simulation;
#[cfg(test)]
mod simulation_tests;
mod tally;

pub use self::{
    affected::Affected, affected_caller::AffectedCaller, rehearsal::Rehearsal, rehearse::rehearse,
    rehearsed_rule::RehearsedRule,
};
