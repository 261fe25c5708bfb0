//! The feature `mcp`.

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_tagging::{
    analytics::{Analytics, Grant},
    mcp,
    store::MemoryStore,
};
use tower_tagging_feature_tests::{request, serve, tagging, wait_for};

#[test]
fn counts_the_requests_of_a_store() {
    let store = MemoryStore::new();
    let layer = tagging().sink(store.sink()).build().unwrap();
    serve(&layer, request());
    wait_for(&layer.delivery());
    let access = |_: &http::request::Parts| Ok(Grant::everything());
    let app = Router::new().nest_service("/tagging/mcp", mcp::service(Analytics::new(store), access));
    let arguments = json!({ "metadata": { "feature": "search" } });
    let params = json!({ "name": "get_request_analytics", "arguments": arguments });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    // With the parts of tokio that the feature enables.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let text = runtime.block_on(async {
        let request =
            Request::post("/tagging/mcp").header("host", "localhost").header("content-type", "application/json");
        let request = request
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25");
        let response = app.oneshot(request.body(Body::from(call.to_string())).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    });
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["result"]["structuredContent"]["summary"], json!({ "total": 1, "errors": 0 }), "{text}");
}
