//! The feature `postgres`, without a server.

use std::time::Duration;

use tower_tagging::{
    Event,
    sink::{BatchWriter, WriteErrorKind},
    store::PostgresStore,
};
use tower_tagging_feature_tests::{Collector, request, serve, tagging};

#[test]
fn rejects_invalid_urls() {
    assert!(PostgresStore::from_url("nonsense://").is_err());
}

#[test]
fn an_unreachable_server_is_retryable() {
    let collector = Collector::default();
    serve(&tagging().sink(collector.clone()).build().unwrap(), request());
    let event: Event = serde_json::from_value(collector.single()).unwrap();
    let store = PostgresStore::from_url("postgres://nobody@127.0.0.1:1/none").unwrap();
    let mut writer = store.connect_timeout(Duration::from_secs(5)).writer();
    let error = writer.write(&[event.into()]).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable, "{error}");
}
