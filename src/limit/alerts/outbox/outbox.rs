use std::{
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime},
};

use crate::store::StoreError;

use super::outbox_entry::OutboxEntry;

/// A result that is there later.
pub(in crate::limit) type OutboxReply<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The place where alerts wait for their delivery. All replicas share it.
pub(in crate::limit) trait Outbox: Send + Sync + 'static {
    /// Adds an entry. Returns `false` if there is one with the same id.
    fn raise(&self, entry: OutboxEntry) -> OutboxReply<'_, bool>;

    /// Returns the time at which the latest entry of a series was raised.
    fn last_raised<'a>(&'a self, series: &'a str) -> OutboxReply<'a, Option<SystemTime>>;

    /// Leases entries that are due, the oldest ones first. Each is leased by one process at a time, and counts an attempt.
    fn claim_due(&self, now: SystemTime, lease: Duration, limit: usize) -> OutboxReply<'_, Vec<OutboxEntry>>;

    /// Records that an entry was delivered.
    fn mark_delivered<'a>(&'a self, id: &'a str, time: SystemTime) -> OutboxReply<'a, ()>;

    /// Ends the lease of an attempt that failed. Ignored if another process has leased the entry since.
    fn mark_failed<'a>(&'a self, id: &'a str, attempts: u64, next_attempt_at: SystemTime) -> OutboxReply<'a, ()>;

    /// Deletes the entries that were raised before a time.
    fn prune(&self, before: SystemTime) -> OutboxReply<'_, ()>;
}
