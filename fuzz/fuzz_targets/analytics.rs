#![no_main]

use std::sync::{Arc, LazyLock};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tower_tagging::{
    Event,
    analytics::{Analytics, Filter, Grant, api},
    metadata::Scope,
    registry::Permission,
    sink::BatchWriter,
    store::{Field, MemoryStore},
    tags,
};
use tower_tagging_fuzz::control;

/// Only the request of the other tenant has this text.
const SECRET: &str = "zzSECRETzz";
const RANGE: &str = "time_of_generation_min=2020-01-01T00:00:00Z&time_of_generation_max=2040-01-01T00:00:00Z";
const FILTERS: [&str; 12] = [
    "metadata",
    "ai_org_model",
    "trace_id",
    "status_code",
    "cost_min",
    "cost_max",
    "total_units_min",
    "workspace_slug",
    "api_key_ids",
    "cache_status",
    "columns",
    "time_zone",
];
const PATHS: [&str; 5] = [
    "/analytics/graphs/requests",
    "/analytics/graphs/errors/stacks",
    "/analytics/groups/model",
    "/analytics/groups/metadata/_user",
    "/analytics/graphs/feedbacks/scores",
];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());

static APP: LazyLock<Router> = LazyLock::new(|| {
    let event = |workspace: &str, user: &str| {
        let tags = tags! { "_user" => user };
        Arc::new(Event::builder().workspace(workspace).path(format!("/{user}")).tags(Scope::Request, tags).build())
    };
    let store = MemoryStore::new();
    store.writer().write(&[event("own", "ada"), event("other", SECRET)]).unwrap();
    let all = [Permission::AnalyticsView, Permission::LogsView, Permission::LogsExport];
    let grant = Grant::only([Filter::is(Field::Workspace, "own")]).with_permissions(all.into_iter().collect());
    api::router(Analytics::new(store), move |_: &http::request::Parts| Ok(grant.clone()))
});

/// Sends a request, and checks the answer. Invalid URLs are no requests.
fn exchange(method: Method, path: &str, body: &[u8]) {
    let Ok(request) = Request::builder().method(method).uri(path).body(Body::from(body.to_vec())) else { return };
    let (status, bytes) = RUNTIME.block_on(async {
        let response = APP.clone().oneshot(request).await.unwrap();
        (response.status(), axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap())
    });
    assert!(!String::from_utf8_lossy(&bytes).contains(SECRET) || String::from_utf8_lossy(body).contains("zz"));
    let json: Value = serde_json::from_slice(&bytes).unwrap();
    if status != StatusCode::OK {
        assert!(matches!(status.as_u16(), 400 | 404 | 429), "{status}: {json}");
        assert!(json["data"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = data;
    let (kind, choice) = (control(&mut input), usize::from(control(&mut input)));
    let path = PATHS[choice % PATHS.len()];
    let encoded: String = input.iter().map(|byte| format!("%{byte:02X}")).collect();
    match kind % 4 {
        0 => exchange(Method::GET, &format!("{path}?{RANGE}&{}={encoded}", FILTERS[choice % FILTERS.len()]), &[]),
        1 => exchange(Method::GET, &format!("{path}?{}", String::from_utf8_lossy(input)), &[]),
        2 => exchange(Method::POST, "/query", input),
        _ => exchange(Method::POST, "/logs/exports", input),
    }
});
