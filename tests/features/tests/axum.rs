//! The feature `axum`.

use axum::{Router, body::Body, extract::Path, routing::get};
use futures_util::FutureExt;
use http::Request;
use tower::ServiceExt;
use tower_tagging::Tags;
use tower_tagging_feature_tests::{Collector, tagging};

async fn user(tags: Tags, Path(id): Path<String>) -> String {
    tags.insert("id", &id);
    id
}

#[test]
fn handlers_extract_tags_and_events_have_the_route() {
    let collector = Collector::default();
    let layer = tagging().sink(collector.clone()).build().unwrap();
    let app = Router::new().route("/users/{id}", get(user)).layer(layer);
    let request = Request::get("/users/7").body(Body::empty()).unwrap();
    drop(app.oneshot(request).now_or_never().unwrap().unwrap());
    let event = collector.single();
    assert_eq!(event["request"]["route"], "/users/{id}");
    assert_eq!(event["metadata"]["id"], "7");
}
