//! The feature `sqlite`.

use tower_tagging::store::SqliteStore;
use tower_tagging_feature_tests::{TempFolder, request, serve, tagging, wait_for};

#[test]
fn events_are_stored() {
    let folder = TempFolder::new("sqlite");
    let store = SqliteStore::open(folder.0.join("events.db")).unwrap();
    store.migrate().unwrap();
    let layer = tagging().sink(store.sink()).build().unwrap();
    serve(&layer, request());
    wait_for(&layer.delivery());
    let keys = store.list_keys().unwrap();
    assert_eq!(keys.iter().filter(|key| key.requests > 0).count(), 3, "_user, feature, and handled");
}
