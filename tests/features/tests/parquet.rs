//! The feature `parquet`.

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tower_tagging::{
    analytics::{
        Analytics, Export, ExportFormat, Grant, RowQuery, TimeRange,
        jiff::{Timestamp, ToSpan},
    },
    store::MemoryStore,
};
use tower_tagging_feature_tests::{request, serve, tagging, wait_for};

#[test]
fn exports_a_parquet_file() {
    let store = MemoryStore::new();
    let layer = tagging().sink(store.sink()).build().unwrap();
    serve(&layer, request());
    wait_for(&layer.delivery());
    let now = Timestamp::now();
    let range = TimeRange::new(now - 1.hour(), now + 1.hour()).unwrap();
    let export = Export::new(RowQuery::new(range)).format(ExportFormat::Parquet);
    let started = export.start(&Analytics::new(store), &Grant::everything()).now_or_never();
    let body = started.expect("memory answers immediately").unwrap().into_body().collect().now_or_never();
    let file = body.expect("memory answers immediately").unwrap().to_bytes();
    // The last eight bytes are the length of the metadata, and the magic number.
    assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"), "{} bytes", file.len());
    assert!(file.windows(6).any(|part| part == b"search"), "the file has the tag");
}
