use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use uuid::Uuid;

use crate::{
    event::Event,
    row::EventRow,
    sink::{BatchWriter, Queued, WriteError},
    sync::lock,
    time::whole_micros,
};

use super::{
    KeyInfo, StoreError,
    active_keys::{ActiveKeys, DEFAULT_ACTIVE_KEYS},
    key_counts::{KeyCounts, MAX_KEYS},
    key_name::stored_key,
    sketch::Sketch,
};

/// Events in memory, for tests and as the reference for the other stores.
///
/// It behaves as the stores with a database do: it ignores events that it already has, counts metadata keys, and fills
/// `indexed_metadata` for activated keys. Clones share their events. It never deletes an event on its own, so call
/// [`delete_before`](Self::delete_before) in a process that runs for long.
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::{EventLayer, store::MemoryStore};
///
/// let store = MemoryStore::new();
/// let layer = EventLayer::new(store.sink());
/// // … serve requests through the layer, then:
/// assert!(store.latest(10).is_empty());
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Default)]
struct Tables {
    rows: Vec<EventRow>,
    ids: HashSet<Uuid>,
    /// The time from which no rows were deleted.
    #[cfg(feature = "limit")]
    rows_from: Option<SystemTime>,
    keys: BTreeMap<String, Key>,
    #[cfg(feature = "analytics")]
    feedback: BTreeMap<Uuid, super::Feedback>,
    #[cfg(feature = "analytics")]
    records: super::records::MemoryRecords,
}

#[derive(Default)]
struct Key {
    is_active: bool,
    requests: u64,
    last_seen: Option<SystemTime>,
    sketch: Sketch,
}

impl MemoryStore {
    /// Creates an empty store with the same active keys as a new database.
    pub fn new() -> Self {
        Self::with_active_keys(DEFAULT_ACTIVE_KEYS)
    }

    /// Creates an empty store with other active keys. Keys of more than 1,024 bytes are ignored.
    pub fn with_active_keys(keys: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let keys = keys.into_iter().filter_map(|key| stored_key(key.as_ref()).map(Cow::into_owned).ok());
        let keys = keys.map(|key| (key, Key { is_active: true, ..Key::default() }));
        let tables = Tables { keys: keys.collect(), ..Tables::default() };
        Self { tables: Arc::new(Mutex::new(tables)) }
    }

    /// Returns a [`Queued`] sink named `memory` that writes to this store.
    pub fn sink(&self) -> Queued {
        Queued::new("memory", self.writer())
    }

    /// Returns a writer for a [`Queued`] sink with other limits.
    #[must_use]
    pub fn writer(&self) -> Self {
        self.clone()
    }

    /// Activates a key: its tags are in `indexed_metadata` of stored and future events.
    ///
    /// # Errors
    /// Returns [`StoreError::KeyTooLong`] if the key has more than 1,024 bytes.
    pub fn activate_key(&self, name: &str) -> Result<(), StoreError> {
        self.set_active(name, true)
    }

    /// Removes a key from `indexed_metadata`. Its tags stay in `raw_metadata`.
    ///
    /// # Errors
    /// Returns [`StoreError::KeyTooLong`] if the key has more than 1,024 bytes.
    pub fn deactivate_key(&self, name: &str) -> Result<(), StoreError> {
        self.set_active(name, false)
    }

    fn set_active(&self, name: &str, is_active: bool) -> Result<(), StoreError> {
        let name = stored_key(name)?;
        let tables = &mut *lock(&self.tables);
        tables.keys.entry(name.into_owned()).or_default().is_active = is_active;
        let active = tables.active_keys();
        for row in &mut tables.rows {
            row.indexed_metadata = active.indexed(&row.raw_metadata);
        }
        Ok(())
    }

    /// Returns all keys that were seen or activated, sorted by name.
    pub fn list_keys(&self) -> Vec<KeyInfo> {
        let tables = lock(&self.tables);
        let keys = tables.keys.iter().map(|(name, key)| KeyInfo {
            name: name.clone(),
            is_active: key.is_active,
            is_indexed: key.is_active,
            requests: key.requests,
            last_seen: key.last_seen,
            distinct_values: key.sketch.estimate(),
        });
        keys.collect()
    }

    /// Returns an event by its id.
    pub fn event(&self, id: Uuid) -> Option<EventRow> {
        lock(&self.tables).rows.iter().find(|row| row.id == id).cloned()
    }

    /// Returns the latest events, newest first.
    pub fn latest(&self, limit: u32) -> Vec<EventRow> {
        let mut rows = lock(&self.tables).rows.clone();
        rows.sort_by_key(|row| Reverse((row.requested_at, row.id)));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        rows
    }

    /// Stores feedback. It replaces feedback with the same id.
    #[cfg(feature = "analytics")]
    pub fn put_feedback(&self, feedback: super::Feedback) {
        lock(&self.tables).feedback.insert(feedback.id, feedback);
    }

    /// Returns feedback by its id.
    #[cfg(feature = "analytics")]
    pub fn feedback(&self, id: Uuid) -> Option<super::Feedback> {
        lock(&self.tables).feedback.get(&id).cloned()
    }

    /// Returns all feedback, the oldest first.
    #[cfg(feature = "analytics")]
    pub(crate) fn all_feedback(&self) -> Vec<super::Feedback> {
        lock(&self.tables).feedback.values().cloned().collect()
    }

    /// Reads or changes saved views, the log of changes, and verifications.
    #[cfg(feature = "analytics")]
    pub(crate) fn with_records<T>(&self, work: impl FnOnce(&mut super::records::MemoryRecords) -> T) -> T {
        work(&mut lock(&self.tables).records)
    }

    /// Deletes the events of requests that began before `time`, and returns their number.
    pub fn delete_before(&self, time: SystemTime) -> u64 {
        let time = whole_micros(time);
        #[cfg(feature = "limit")]
        let Tables { rows, ids, rows_from, .. } = &mut *lock(&self.tables);
        #[cfg(not(feature = "limit"))]
        let Tables { rows, ids, .. } = &mut *lock(&self.tables);
        let before = rows.len();
        rows.retain(|row| {
            let is_kept = row.requested_at >= time;
            if !is_kept {
                ids.remove(&row.id);
            }
            is_kept
        });
        let deleted = (before - rows.len()) as u64;
        #[cfg(feature = "limit")]
        if deleted > 0 {
            *rows_from = (*rows_from).max(Some(time));
        }
        deleted
    }

    /// Returns the time from which no rows were deleted.
    #[cfg(feature = "limit")]
    pub(crate) fn rows_from(&self) -> SystemTime {
        lock(&self.tables).rows_from.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Tables {
    fn active_keys(&self) -> ActiveKeys {
        self.keys.iter().filter(|(_, key)| key.is_active).map(|(name, _)| name.clone()).collect()
    }

    fn fold(&mut self, counts: &KeyCounts) {
        for (name, count) in counts.iter() {
            let has_room = self.keys.len() < usize::try_from(MAX_KEYS).unwrap_or(usize::MAX);
            if !has_room && !self.keys.contains_key(name) {
                continue;
            }
            let key = self.keys.entry(name.to_owned()).or_default();
            key.requests += u64::from(count.requests);
            key.last_seen = key.last_seen.max(Some(count.last_seen));
            key.sketch.merge(&count.sketch);
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchWriter for MemoryStore {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let rows: Vec<EventRow> = events.iter().map(|event| EventRow::from(&**event)).collect();
        let tables = &mut *lock(&self.tables);
        let active = tables.active_keys();
        let mut counts = KeyCounts::default();
        for mut row in rows {
            if tables.ids.insert(row.id) {
                row.indexed_metadata = active.indexed(&row.raw_metadata);
                counts.count(&row);
                tables.rows.push(row);
            }
        }
        tables.fold(&counts);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("events", &lock(&self.tables).rows.len()).finish_non_exhaustive()
    }
}
