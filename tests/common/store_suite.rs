//! Tests of the behavior that all stores share.
//!
//! [`store_suite!`] declares the tests. `MemoryStore` is the reference, and other stores must return the same rows and
//! keys.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_tagging::{
    Event, Tags,
    sink::BatchWriter,
    store::{EventRow, KeyInfo, MemoryStore, StoreError},
};
use uuid::Uuid;

use crate::events::{self, distinct, event_at, hostile_events, varied_events};

/// A blocking interface to a store.
pub(crate) trait TestStore {
    fn writer(&self) -> Box<dyn BatchWriter>;
    fn event(&self, id: Uuid) -> Option<EventRow>;
    fn latest(&self, limit: u32) -> Vec<EventRow>;
    fn set_active(&self, key: &str, is_active: bool) -> Result<(), StoreError>;
    fn list_keys(&self) -> Vec<KeyInfo>;
    fn delete_before(&self, time: SystemTime) -> u64;

    /// Writes one batch with a new writer, which stores its statistics when it is dropped.
    fn write(&self, events: &[Arc<Event>]) {
        self.writer().write(events).unwrap();
    }
}

impl TestStore for MemoryStore {
    fn writer(&self) -> Box<dyn BatchWriter> {
        Box::new(self.writer())
    }

    fn event(&self, id: Uuid) -> Option<EventRow> {
        self.event(id)
    }

    fn latest(&self, limit: u32) -> Vec<EventRow> {
        self.latest(limit)
    }

    fn set_active(&self, key: &str, is_active: bool) -> Result<(), StoreError> {
        if is_active { self.activate_key(key) } else { self.deactivate_key(key) }
    }

    fn list_keys(&self) -> Vec<KeyInfo> {
        self.list_keys()
    }

    fn delete_before(&self, time: SystemTime) -> u64 {
        self.delete_before(time)
    }
}

/// Declares a test with the given attributes for each case. `$open` creates an empty store from the name of the test.
macro_rules! store_suite {
    ($attributes:tt, $open:path) => {
        store_suite! { @each $attributes, $open:
            reads_back_equal_rows
            stores_hostile_values_correctly
            ignores_duplicate_events
            returns_the_latest_events_first
            deletes_events_before_a_time
            lists_and_counts_keys
            indexes_activated_keys
            rejects_keys_that_are_too_long
        }
    };
    (@each $attributes:tt, $open:path: $($case:ident)+) => {
        $(store_suite! { @case $attributes, $open, $case })+
    };
    (@case [$($attribute:meta)?], $open:path, $case:ident) => {
        #[test]
        $(#[$attribute])?
        fn $case() {
            $crate::store_suite::$case(&$open(stringify!($case)));
        }
    };
}

/// Panics unless the store has the same rows and keys as the reference.
#[track_caller]
fn assert_same(store: &dyn TestStore, memory: &MemoryStore) {
    let (rows, expected) = (store.latest(u32::MAX), memory.latest(u32::MAX));
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
    assert_eq!(store.list_keys(), memory.list_keys());
}

/// Writes the same batches to the store and to the reference.
fn write_both(store: &dyn TestStore, batches: &[&[Arc<Event>]]) -> MemoryStore {
    let memory = MemoryStore::with_active_keys(Vec::<String>::new());
    for batch in batches {
        store.write(batch);
        TestStore::write(&memory, batch);
    }
    memory
}

pub(crate) fn reads_back_equal_rows(store: &dyn TestStore) {
    let events = varied_events();
    store.write(&events);
    for event in &events {
        assert_eq!(store.event(event.id()), Some(EventRow::from(&**event)));
    }
    assert_eq!(store.event(Uuid::max()), None);
}

pub(crate) fn stores_hostile_values_correctly(store: &dyn TestStore) {
    let events = hostile_events();
    let memory = write_both(store, &[&events]);
    let expected = memory.latest(u32::MAX);
    assert_eq!(expected.len(), distinct(&events));
    let rows = store.latest(u32::MAX);
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
}

pub(crate) fn ignores_duplicate_events(store: &dyn TestStore) {
    let events = events::events(500, |_, tags| tags.insert("team", "growth"));
    let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
    let memory = write_both(store, &[&events[..4], &events[..4], &twice, &events]);
    assert_eq!(store.latest(u32::MAX).len(), 500);
    assert_eq!(store.list_keys()[0].requests, 500);
    assert_same(store, &memory);
}

pub(crate) fn returns_the_latest_events_first(store: &dyn TestStore) {
    let mut events = events::events(20, |_, _| {});
    events.extend((1..=5).map(|days| event_at(day(days), |_, _| {})));
    let memory = write_both(store, &[&events]);
    let rows = store.latest(7);
    assert_eq!(rows, memory.latest(7));
    assert_eq!(rows.len(), 7);
    assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(row.requested_at)));
    assert_eq!(store.latest(0), []);
}

pub(crate) fn deletes_events_before_a_time(store: &dyn TestStore) {
    let mut events = events::events(10, |_, tags| tags.insert("team", "growth"));
    events.extend((1..=3).map(|days| event_at(day(days), |_, tags| tags.insert("team", "ads"))));
    let memory = write_both(store, &[&events]);
    for (time, deleted) in [(day(3), 2), (day(3), 0), (SystemTime::now() + day_length(), 11)] {
        assert_eq!(store.delete_before(time), deleted);
        assert_eq!(memory.delete_before(time), deleted);
        assert_same(store, &memory);
    }
    assert_eq!(store.list_keys()[0].requests, 13, "deleted requests still count");
}

pub(crate) fn lists_and_counts_keys(store: &dyn TestStore) {
    let events = events::events(3_000, |number, tags| {
        tags.insert("user", format!("user-{number}"));
        tags.insert("team", ["growth", "search", "ads"][number % 3]);
    });
    let batches: Vec<&[Arc<Event>]> = events.chunks(700).collect();
    let memory = write_both(store, &batches);
    assert_same(store, &memory);
    let keys = store.list_keys();
    assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["team", "user"]);
    assert_eq!((keys[0].requests, keys[0].distinct_values, keys[0].is_active), (3_000, 3, false));
    assert!((2_700..3_300).contains(&keys[1].distinct_values), "{keys:?}");
    let last = events.iter().map(|event| event.time()).max().unwrap();
    assert!(last.duration_since(keys[1].last_seen.unwrap()).unwrap() < Duration::from_micros(1));
}

pub(crate) fn indexes_activated_keys(store: &dyn TestStore) {
    let tag = |number: usize, tags: &Tags| {
        tags.insert("Feature", if number.is_multiple_of(10) { "rare" } else { "common" });
        tags.insert("it's \"hostile\"", "yes");
        if number.is_multiple_of(2) {
            tags.insert("plain", "yes");
        }
    };
    let memory = MemoryStore::with_active_keys(Vec::<String>::new());
    let stores: [&dyn TestStore; 2] = [store, &memory];
    let (before, after) = (events::events(1_500, tag), events::events(50, tag));
    for store in stores {
        store.write(&before);
        for key in
            ["Feature", "it's \"hostile\"", "plain", "never seen", "'; DROP TABLE tagging_events; --", "$.x", "[0]"]
        {
            store.set_active(key, true).unwrap();
            store.set_active(key, true).unwrap();
        }
        store.set_active("plain", false).unwrap();
        store.write(&after);
    }
    assert_same(store, &memory);
    let row = store.event(before[0].id()).unwrap();
    let indexed = [("Feature", "rare"), ("it's \"hostile\"", "yes")].into_iter().collect();
    assert_eq!(row.indexed_metadata, Some(indexed));
    let keys = store.list_keys();
    let unseen = keys.iter().find(|key| key.name == "never seen").unwrap();
    assert_eq!((unseen.is_active, unseen.requests, unseen.last_seen, unseen.distinct_values), (true, 0, None, 0));

    for store in stores {
        for key in store.list_keys() {
            store.set_active(&key.name, false).unwrap();
        }
    }
    assert!(store.latest(u32::MAX).iter().all(|row| row.indexed_metadata.is_none()));
    assert_same(store, &memory);
}

pub(crate) fn rejects_keys_that_are_too_long(store: &dyn TestStore) {
    for is_active in [true, false] {
        assert!(matches!(store.set_active(&"k".repeat(1_025), is_active), Err(StoreError::KeyTooLong)));
        store.set_active(&"k".repeat(1_024), is_active).unwrap();
    }
}

pub(crate) fn day(days: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + days * day_length()
}

fn day_length() -> Duration {
    Duration::from_secs(60 * 60 * 24)
}
