//! What a store keeps in addition to requests and sums: saved views, the log of changes, and the verifications of sums.
//!
//! The statements are written once for both databases. The memory store has the same operations.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod changes;
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

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use self::{
    changes::{add_change, changes},
    record_session::RecordSession,
    record_value::{RecordRow, RecordValue},
    verifications::{add_verification, expire_differences, last_verification, verifications},
    views::{add_view, delete_view, rename_view, share_view, view, views},
};
pub(crate) use self::{
    memory_records::MemoryRecords,
    outcome::{MAX_CHANGES, MAX_VERIFICATIONS, MAX_VIEWS, ViewSaved},
};
