use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use crate::event::Event;

use super::{
    row::{Micros, stored_text},
    sketch::Sketch,
};

/// Most keys whose statistics a writer holds before they are in the database.
const MAX_PENDING_KEYS: usize = 4_096;
/// Most keys in the table of keys. Another key may be activated all the same.
pub(super) const MAX_KEYS: i64 = 10_000;
/// Longest key in the table of keys, in bytes. An index of Postgres takes no more than 2,700.
pub(super) const MAX_KEY_BYTES: usize = 1_024;

/// What a store knows of a metadata key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    pub(super) name: String,
    pub(super) is_active: bool,
    pub(super) requests: u64,
    pub(super) last_seen: Option<SystemTime>,
    pub(super) distinct_values: u64,
}

impl KeyInfo {
    /// The key, as it is stored.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key is activated: its tags are in `indexed_metadata`, and indexed.
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// How many stored requests had a tag of this key, those that were deleted since included.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// When the latest of them began; `None` for a key that was activated before any came.
    pub fn last_seen(&self) -> Option<SystemTime> {
        self.last_seen
    }

    /// How many different values it had, those of deleted requests included: an estimate with a standard error of 3 %.
    pub fn distinct_values(&self) -> u64 {
        self.distinct_values
    }
}

/// What is counted of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyCount {
    pub(super) requests: i64,
    pub(super) last_seen: Micros,
    pub(super) sketch: Sketch,
}

/// What a writer counted of all keys and is not in the database yet, sorted by key: writers that update the same keys
/// in the same order never wait for each other in a circle.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyCounts {
    keys: BTreeMap<String, KeyCount>,
}

impl KeyCounts {
    /// Counts the tags of an event that was stored.
    pub(super) fn count(&mut self, event: &Event) {
        let time = Micros::of(event.time());
        for (key, value) in event.metadata() {
            if let Some(count) = self.of(stored_text(key)) {
                count.requests += 1;
                count.last_seen = count.last_seen.max(time);
                count.sketch.insert(value);
            }
        }
    }

    /// Takes in what `other` counted, as far as there is room.
    pub(super) fn add(&mut self, other: Self) {
        for (key, more) in other.keys {
            if let Some(count) = self.of(key.into()) {
                count.requests += more.requests;
                count.last_seen = count.last_seen.max(more.last_seen);
                count.sketch.merge(&more.sketch);
            }
        }
    }

    /// The count of a key; `None` when there is no room for it.
    fn of(&mut self, key: Cow<'_, str>) -> Option<&mut KeyCount> {
        if self.keys.contains_key(&*key) {
            return self.keys.get_mut(&*key);
        }
        let has_room = key.len() <= MAX_KEY_BYTES && self.keys.len() < MAX_PENDING_KEYS;
        has_room.then(|| self.keys.entry(key.into_owned()).or_default())
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &KeyCount)> {
        self.keys.iter().map(|(key, count)| (key.as_str(), count))
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }
}

/// The keys that are activated, as they are stored.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveKeys(BTreeSet<String>);

impl ActiveKeys {
    pub(super) fn contains(&self, stored_key: &str) -> bool {
        self.0.contains(stored_key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<String> for ActiveKeys {
    fn from_iter<I: IntoIterator<Item = String>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// A key that someone names, as it is stored.
///
/// # Errors
/// For one that is too long.
pub(super) fn stored_key(name: &str) -> Result<Cow<'_, str>, super::StoreError> {
    let name = stored_text(name);
    if name.len() > MAX_KEY_BYTES {
        return Err(super::StoreError::KeyTooLong);
    }
    Ok(name)
}
