use std::{collections::BTreeMap, time::SystemTime};

use crate::row::EventRow;

use super::{key_name::MAX_KEY_BYTES, sketch::Sketch};

/// The largest number of keys whose statistics a writer holds in memory.
const MAX_PENDING_KEYS: usize = 4_096;
/// The largest number of keys in the table of keys. Keys beyond it can still be activated.
pub(super) const MAX_KEYS: u32 = 10_000;

/// The statistics of one key.
#[derive(Clone, Debug)]
pub(super) struct KeyCount {
    pub(super) requests: u32,
    pub(super) last_seen: SystemTime,
    pub(super) sketch: Sketch,
}

impl KeyCount {
    fn new() -> Self {
        Self { requests: 0, last_seen: SystemTime::UNIX_EPOCH, sketch: Sketch::new() }
    }
}

/// Statistics of keys that are not in the database yet.
///
/// They are sorted by key. Writers that update the same keys in the same order cannot deadlock.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyCounts {
    keys: BTreeMap<String, KeyCount>,
}

impl KeyCounts {
    /// Counts the tags of a row that was inserted.
    pub(super) fn count(&mut self, row: &EventRow) {
        for (key, value) in &row.raw_metadata {
            if let Some(count) = self.entry(key) {
                count.requests = count.requests.saturating_add(1);
                count.last_seen = count.last_seen.max(row.requested_at);
                count.sketch.insert(value);
            }
        }
    }

    /// Returns the count of a key, or `None` if there is no room for the key.
    fn entry(&mut self, key: &str) -> Option<&mut KeyCount> {
        if !self.keys.contains_key(key) {
            let has_room = key.len() <= MAX_KEY_BYTES && self.keys.len() < MAX_PENDING_KEYS;
            if !has_room {
                return None;
            }
            self.keys.insert(key.to_owned(), KeyCount::new());
        }
        self.keys.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &KeyCount)> {
        self.keys.iter().map(|(key, count)| (key.as_str(), count))
    }
}

/// Counts that wait in memory until a database has them.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl KeyCounts {
    /// Adds the counts of `other`, as far as there is room.
    pub(super) fn add(&mut self, other: Self) {
        for (key, more) in other.keys {
            if let Some(count) = self.entry(&key) {
                count.requests = count.requests.saturating_add(more.requests);
                count.last_seen = count.last_seen.max(more.last_seen);
                count.sketch.merge(&more.sketch);
            }
        }
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }
}
