use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use crate::sync::lock;

use super::{
    outbox::{Outbox, OutboxReply},
    outbox_entry::OutboxEntry,
};

/// Maximum number of entries. Beyond it, the oldest ones that were delivered are forgotten.
const MAX_ENTRIES: usize = 100_000;

/// Keeps alerts in memory, for a service with one process. They end with the process.
#[derive(Debug, Default)]
pub(in crate::limit) struct MemoryOutbox {
    entries: Mutex<BTreeMap<String, OutboxEntry>>,
}

impl MemoryOutbox {
    fn insert(&self, entry: OutboxEntry) -> bool {
        let mut entries = lock(&self.entries);
        if entries.contains_key(&entry.id) {
            return false;
        }
        if entries.len() >= MAX_ENTRIES {
            forget_oldest(&mut entries);
        }
        entries.insert(entry.id.clone(), entry);
        true
    }
}

/// Removes a tenth of the entries: those that were delivered, and else those that were raised first.
fn forget_oldest(entries: &mut BTreeMap<String, OutboxEntry>) {
    let mut order: Vec<(bool, SystemTime, String)> =
        entries.values().map(|entry| (entry.delivered_at.is_none(), entry.raised_at, entry.id.clone())).collect();
    order.sort_unstable();
    for (_, _, id) in order.iter().take(MAX_ENTRIES / 10) {
        entries.remove(id);
    }
}

impl Outbox for MemoryOutbox {
    fn raise(&self, entry: OutboxEntry) -> OutboxReply<'_, bool> {
        Box::pin(async move { Ok(self.insert(entry)) })
    }

    fn last_raised<'a>(&'a self, series: &'a str) -> OutboxReply<'a, Option<SystemTime>> {
        Box::pin(async move {
            let entries = lock(&self.entries);
            Ok(entries.values().filter(|entry| entry.series == series).map(|entry| entry.raised_at).max())
        })
    }

    fn claim_due(&self, now: SystemTime, lease: Duration, limit: usize) -> OutboxReply<'_, Vec<OutboxEntry>> {
        Box::pin(async move {
            let mut entries = lock(&self.entries);
            let is_due = |entry: &&mut OutboxEntry| {
                entry.delivered_at.is_none() && entry.next_attempt_at <= now && entry.lease_until <= now
            };
            let mut due: Vec<&mut OutboxEntry> = entries.values_mut().filter(is_due).collect();
            due.sort_by(|one, other| (one.next_attempt_at, &one.id).cmp(&(other.next_attempt_at, &other.id)));
            let claimed = due.into_iter().take(limit).map(|entry| {
                (entry.lease_until, entry.attempts) = (now + lease, entry.attempts + 1);
                entry.clone()
            });
            Ok(claimed.collect())
        })
    }

    fn mark_delivered<'a>(&'a self, id: &'a str, time: SystemTime) -> OutboxReply<'a, ()> {
        Box::pin(async move {
            if let Some(entry) = lock(&self.entries).get_mut(id).filter(|entry| entry.delivered_at.is_none()) {
                (entry.delivered_at, entry.lease_until) = (Some(time), SystemTime::UNIX_EPOCH);
            }
            Ok(())
        })
    }

    fn mark_failed<'a>(&'a self, id: &'a str, attempts: u64, next_attempt_at: SystemTime) -> OutboxReply<'a, ()> {
        Box::pin(async move {
            let mut entries = lock(&self.entries);
            let is_own = |entry: &&mut OutboxEntry| entry.attempts == attempts && entry.delivered_at.is_none();
            if let Some(entry) = entries.get_mut(id).filter(is_own) {
                (entry.next_attempt_at, entry.lease_until) = (next_attempt_at, SystemTime::UNIX_EPOCH);
            }
            Ok(())
        })
    }

    fn prune(&self, before: SystemTime) -> OutboxReply<'_, ()> {
        Box::pin(async move {
            lock(&self.entries).retain(|_, entry| entry.raised_at >= before);
            Ok(())
        })
    }
}
