//! Tests of `MemoryStore`.

mod common;
#[path = "common/events.rs"]
mod events;
#[macro_use]
#[path = "common/store_suite.rs"]
mod store_suite;

use std::time::Duration;

use tower_tagging::{EventLayer, store::MemoryStore};

fn open(_: &str) -> MemoryStore {
    MemoryStore::with_active_keys(Vec::<String>::new())
}

store_suite!([], open);

#[test]
fn receives_events_from_its_sink() {
    let store = MemoryStore::with_active_keys(Vec::<String>::new());
    let layer = EventLayer::new(store.sink());
    events::emit(&layer, 5, |_, tags| tags.insert("team", "growth"));
    assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    assert_eq!(store.latest(10).len(), 5);
    assert_eq!(store.list_keys()[0].requests, 5);
}
