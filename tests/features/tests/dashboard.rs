//! The feature `dashboard`.

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_tagging::{
    analytics::{Analytics, Grant},
    dashboard,
    store::MemoryStore,
};
use tower_tagging_feature_tests::{request, serve, tagging, wait_for};

#[test]
fn shows_the_requests_of_a_store() {
    let store = MemoryStore::new();
    let layer = tagging().sink(store.sink()).build().unwrap();
    serve(&layer, request());
    wait_for(&layer.delivery());
    let access = |_: &http::request::Parts| Ok(Grant::everything());
    let app = Router::new().nest("/tagging", dashboard::router(Analytics::new(store), access));
    // With the parts of tokio that the feature enables.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let html = runtime.block_on(async {
        let request = Request::get("/tagging?f=feature:is:search").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    });
    assert!(html.contains("<span class=\"value\">1</span>"), "{html}");
}
