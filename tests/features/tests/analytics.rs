//! The feature `analytics`.

use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_tagging::{
    analytics::{
        Analytics, Dimension, Export, Grant, Measure, Query, RowQuery, TimeRange,
        api::{self, RegistryAccess},
        jiff::{Timestamp, ToSpan},
    },
    registry::Registry,
    store::MemoryStore,
};
use tower_tagging_feature_tests::{request, serve, tagging, wait_for};

/// Runs a test with the parts of tokio that the feature enables.
fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
}

/// Returns a store with two requests, and a range that covers both.
fn two_requests() -> (Analytics, TimeRange) {
    let store = MemoryStore::new();
    let layer = tagging().sink(store.sink()).build().unwrap();
    serve(&layer, request());
    serve(&layer, request());
    wait_for(&layer.delivery());
    let now = Timestamp::now();
    (Analytics::new(store), TimeRange::new(now - 1.hour(), now + 1.hour()).unwrap())
}

#[test]
fn counts_requests_by_a_tag() {
    let (analytics, range) = two_requests();
    let query = Query::new(range).group_by(Dimension::tag("feature")).measure(Measure::Requests);
    let answer = block_on(analytics.run(&query, &Grant::everything())).unwrap();
    let groups: Vec<_> = answer.groups.iter().map(|group| (&group.values[..], group.cell.totals.requests)).collect();
    assert_eq!(groups, [(&[Some("search".to_owned())][..], 2)]);
}

#[test]
fn exports_requests() {
    let (analytics, range) = two_requests();
    let body = block_on(async {
        let stream = Export::new(RowQuery::new(range)).start(&analytics, &Grant::everything()).await.unwrap();
        stream.into_body().collect().await.unwrap().to_bytes()
    });
    let text = String::from_utf8(body.to_vec()).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2, "{text}");
    assert!(rows.iter().all(|row| row["raw_metadata"]["feature"] == "search"), "{text}");
}

#[test]
fn serves_the_api() {
    let (analytics, range) = two_requests();
    let access = RegistryAccess::new(Registry::from_toml("").unwrap()).admin_key("a long random text");
    let path = "/analytics/graphs/requests";
    let uri = format!("{path}?time_of_generation_min={}&time_of_generation_max={}", range.from(), range.to());
    let request = Request::get(uri).header("authorization", "Bearer a long random text").body(Body::empty()).unwrap();
    let body = block_on(async {
        let response = api::router(analytics, access).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap().to_bytes()
    });
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["summary"]["total"], 2, "{body}");
}
