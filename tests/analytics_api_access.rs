//! Who may call which endpoint of the HTTP API, and which requests each caller sees.

#![allow(clippy::cast_precision_loss, reason = "the numbers are small")]

#[path = "common/api.rs"]
mod api;

use axum::Router;
use http::{Method, Request};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_tagging::{
    analytics::{
        Analytics, Filter, Grant,
        api::{self as http_api, Denied, RegistryAccess},
    },
    registry::{Permission, Registry},
    store::{Field, MemoryStore},
};

use api::{ADMIN, FROM, Sample, TO, get, post, ranged, samples, secret, send, stores};

fn apps() -> Vec<Router> {
    stores(&samples()).into_iter().map(api::api).collect()
}

/// Each endpoint: its method, path, body, and permission.
fn endpoints() -> Vec<(Method, String, Option<Value>, Permission)> {
    let filters = json!({ "time_of_generation_min": FROM, "time_of_generation_max": TO });
    let mut endpoints = Vec::new();
    let graphs = [
        "requests",
        "cost",
        "tokens",
        "latency",
        "users",
        "users/requests",
        "errors",
        "errors/rate",
        "errors/stacks",
        "errors/status-codes",
        "requests/rescued",
        "cache/hit-rate",
        "cache/latency",
        "feedbacks",
        "feedbacks/scores",
        "feedbacks/weighted",
        "feedbacks/ai-models",
    ];
    for graph in graphs {
        endpoints.push((
            Method::GET,
            ranged(&format!("/analytics/graphs/{graph}"), ""),
            None,
            Permission::AnalyticsView,
        ));
    }
    for path in ["summary/cache", "groups/users", "groups/ai-models", "groups/metadata/_user", "groups/model"] {
        endpoints.push((Method::GET, ranged(&format!("/analytics/{path}"), ""), None, Permission::AnalyticsView));
    }
    let log = json!({ "request": { "url": "/v1/x" }, "response": { "status": 200 } });
    let feedback = json!({ "trace_id": "trace-1", "value": 1 });
    let id = "0190a0b0-0000-7000-8000-000000000000";
    let query = json!({ "range": { "from": FROM, "to": TO } });
    for (method, path, body, permission) in [
        (Method::POST, "/query".to_owned(), Some(query.clone()), Permission::AnalyticsView),
        (Method::POST, "/query/explain".to_owned(), Some(query), Permission::AnalyticsView),
        (Method::GET, ranged("/logs/groups/model", ""), None, Permission::LogsView),
        (Method::GET, format!("/logs/{id}"), None, Permission::LogsView),
        (Method::GET, format!("/logs/{id}/cost"), None, Permission::LogsView),
        (Method::GET, "/traces/trace-1".to_owned(), None, Permission::LogsView),
        (Method::GET, format!("/sessions/_user/ada?time_of_generation_min={FROM}"), None, Permission::LogsView),
        (Method::GET, ranged("/export", ""), None, Permission::LogsExport),
        (Method::GET, ranged("/focus", "account=a"), None, Permission::LogsExport),
        (Method::GET, ranged("/focus", "account=a&manifest=true"), None, Permission::LogsExport),
        (Method::POST, "/logs".to_owned(), Some(log), Permission::LogsWrite),
        (Method::POST, "/feedback".to_owned(), Some(feedback.clone()), Permission::LogsWrite),
        (Method::PUT, format!("/feedback/{id}"), Some(feedback), Permission::LogsWrite),
        (Method::POST, "/logs/exports".to_owned(), Some(json!({ "filters": filters })), Permission::LogsExport),
        (Method::GET, "/logs/exports".to_owned(), None, Permission::LogsExport),
        (Method::GET, "/logs/exports/restrictions".to_owned(), None, Permission::LogsExport),
        (Method::GET, format!("/logs/exports/{id}"), None, Permission::LogsExport),
        (Method::PUT, format!("/logs/exports/{id}"), Some(json!({})), Permission::LogsExport),
        (Method::POST, format!("/logs/exports/{id}/start"), None, Permission::LogsExport),
        (Method::POST, format!("/logs/exports/{id}/cancel"), None, Permission::LogsExport),
        (Method::GET, format!("/logs/exports/{id}/download"), None, Permission::LogsExport),
        (Method::GET, "/admin/workspaces".to_owned(), None, Permission::KeysList),
        (Method::GET, "/virtual-keys".to_owned(), None, Permission::KeysList),
    ] {
        endpoints.push((method, path, body, permission));
    }
    endpoints
}

#[tokio::test]
async fn each_key_may_call_exactly_the_endpoints_of_its_permissions() {
    use Permission as P;

    let one = |permission| vec![permission];
    let all = vec![P::AnalyticsView, P::LogsView, P::LogsWrite, P::LogsExport, P::KeysList];
    for app in apps() {
        for (key, allowed) in [
            (secret("acme"), all.clone()),
            (secret("globex"), all.clone()),
            (secret("acme-admin"), all.clone()),
            (secret("org-admin"), all.clone()),
            (ADMIN.to_owned(), all.clone()),
            (secret("acme-view"), one(P::AnalyticsView)),
            (secret("acme-logs"), one(P::LogsView)),
            (secret("acme-write"), one(P::LogsWrite)),
            (secret("acme-export"), one(P::LogsExport)),
            (secret("acme-list"), one(P::KeysList)),
            (secret("acme-none"), Vec::new()),
            // A permission without a workspace covers no requests.
            (secret("org-view"), Vec::new()),
        ] {
            for (method, path, body, permission) in endpoints() {
                let reply = send(&app, method.clone(), &path, &key, body).await;
                if allowed.contains(&permission) {
                    assert!([200, 404].contains(&reply.status.as_u16()), "{key} {method} {path}: {reply:?}");
                } else {
                    reply.fails(403, "AB03");
                }
            }
        }
        for key in ["", "unknown", &secret("disabled"), &secret("expired"), &ADMIN[1..]] {
            for (method, path, body, _) in endpoints() {
                let reply = send(&app, method, &path, key, body).await;
                reply.fails(401, "AB05");
                assert_eq!(reply.headers["www-authenticate"], "Bearer");
            }
        }
    }
}

#[tokio::test]
async fn permissions_are_checked_before_parameters() {
    for app in apps() {
        get(&app, "/analytics/graphs/requests?nonsense=1", "").await.fails(401, "AB05");
        get(&app, "/analytics/graphs/requests?nonsense=1", &secret("acme-logs")).await.fails(403, "AB03");
        post(&app, "/query", "", json!("nonsense")).await.fails(401, "AB05");
        for path in ["/traces/x?nonsense=1", "/sessions/a/b?nonsense=1", "/export?nonsense=1", "/focus?nonsense=1"] {
            get(&app, path, "").await.fails(401, "AB05");
            get(&app, path, &secret("acme-view")).await.fails(403, "AB03");
        }
    }
}

#[tokio::test]
async fn keys_are_read_from_both_headers() {
    for app in apps() {
        for (header, value, status) in [
            ("authorization", format!("Bearer {}", secret("acme")), 200),
            ("authorization", format!("bearer {ADMIN}"), 200),
            ("authorization", format!("Bearer  {ADMIN}  "), 200),
            ("authorization", ADMIN.to_owned(), 401),
            ("authorization", format!("Basic {ADMIN}"), 401),
            ("x-portkey-api-key", format!(" {ADMIN} "), 200),
            ("x-portkey-api-key", secret("acme"), 200),
            ("cookie", format!("key={ADMIN}"), 401),
        ] {
            let request = Request::get(ranged("/analytics/graphs/requests", "")).header(header, &value);
            let response = app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{header}: {value}");
        }
    }
}

/// A bearer token that a proxy left over does not widen what the key of a tenant sees.
#[tokio::test]
async fn the_own_header_counts_before_a_bearer_token() {
    let acme = secret("acme");
    for app in apps() {
        let total = async |key: &str, token: &str| {
            let request = Request::get(ranged("/analytics/graphs/requests", "")).header("x-portkey-api-key", key);
            let request = request.header("authorization", format!("Bearer {token}")).body(axum::body::Body::empty());
            let response = app.clone().oneshot(request.unwrap()).await.unwrap();
            let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            serde_json::from_slice::<Value>(&bytes).unwrap()["summary"]["total"].as_u64()
        };
        assert_eq!(total(&acme, ADMIN).await, Some(10));
        assert_eq!(total(ADMIN, &acme).await, Some(13));
        assert_eq!(total("unknown", ADMIN).await, None);
    }
}

#[tokio::test]
async fn an_empty_organization_key_gives_no_access() {
    let access = RegistryAccess::new(Registry::from_toml("").unwrap()).admin_key("");
    let app = http_api::router(Analytics::new(MemoryStore::new()), access.clone());
    for key in ["", " "] {
        get(&app, "/virtual-keys", key).await.fails(401, "AB05");
    }
    let shown = format!("{:?}", access.admin_key(ADMIN));
    assert!(!shown.contains(ADMIN) && shown.contains("has_admin_key: true"), "{shown}");
}

/// After a reload, the organization's key can be the key of a workspace.
#[tokio::test]
async fn an_organization_key_that_is_an_api_key_has_only_the_rights_of_that() {
    for analytics in stores(&samples()) {
        let access = RegistryAccess::new(api::registry()).admin_key(secret("acme"));
        let app = http_api::router(analytics, access);
        let graph = get(&app, &ranged("/analytics/graphs/requests", ""), &secret("acme")).await.ok();
        assert_eq!(graph["summary"]["total"], 10);
    }
}

#[tokio::test]
async fn a_workspace_key_sees_only_its_workspace() {
    let events = samples();
    for analytics in stores(&events) {
        let app = api::api(analytics);
        for (key, workspace, other, total) in
            [("acme", "acme", "globex", 10), ("globex", "globex", "acme", 3), ("acme-admin", "acme", "globex", 10)]
        {
            let key = secret(key);
            for more in [
                String::new(),
                format!("workspace_slug={other}"),
                format!("metadata=%7B%22tenant_id%22%3A%22{workspace}%22%7D"),
            ] {
                let graph = get(&app, &ranged("/analytics/graphs/requests", &more), &key).await.ok();
                assert_eq!(graph["summary"]["total"], total, "{more}");
            }
            let list = get(&app, &ranged("/analytics/groups/workspace", ""), &key).await.ok();
            assert_eq!((&list["total"], &list["data"][0]["workspace"]), (&json!(1), &json!(workspace)));
            let list = get(&app, "/admin/workspaces", &key).await.ok();
            assert_eq!((&list["total"], &list["data"][0]["slug"]), (&json!(1), &json!(workspace)));
            let list = get(&app, &format!("/virtual-keys?workspace_id={other}"), &key).await.ok();
            assert_eq!((&list["total"], &list["data"][0]["slug"]), (&json!(1), &json!(format!("openai-{workspace}"))));
            for event in &events {
                let reply = get(&app, &format!("/logs/{}", event.id()), &key).await;
                if event.workspace() == Some(workspace) && key != secret("acme-view") {
                    assert_eq!(reply.ok()["metrics"]["workspace_slug"], workspace);
                } else {
                    reply.fails(404, "AB02");
                }
            }
        }
    }
}

#[tokio::test]
async fn hosts_decide_by_their_own_login() {
    let access = |head: &http::request::Parts| match head.headers.get("x-user").map(http::HeaderValue::as_bytes) {
        Some(b"ada") => Ok(Grant::only([Filter::is(Field::Workspace, "acme"), Filter::is_not(Field::Status, "500")])),
        Some(_) => Err(Denied::Forbidden),
        None => Err(Denied::Unauthenticated),
    };
    for analytics in stores(&samples()) {
        let app: Router = Router::new().nest("/nested", http_api::router(analytics, access));
        let ask = |user: Option<&'static str>, path: String| {
            let app = app.clone();
            async move {
                let mut request = Request::get(path);
                if let Some(user) = user {
                    request = request.header("x-user", user);
                }
                let response = app.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
                let status = response.status().as_u16();
                let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
                (status, serde_json::from_slice::<Value>(&bytes).unwrap())
            }
        };
        let path = ranged("/nested/analytics/graphs/requests", "");
        let (status, graph) = ask(Some("ada"), path.clone()).await;
        assert_eq!((status, &graph["summary"]["total"]), (200, &json!(8)));
        assert_eq!(ask(Some("eve"), path.clone()).await.0, 403);
        assert_eq!(ask(None, path).await.0, 401);
        // Without a registry, the lists need a permission and are empty.
        assert_eq!(ask(Some("ada"), "/nested/virtual-keys".to_owned()).await.0, 403);
        assert_eq!(ask(Some("ada"), "/nested/nothing".to_owned()).await.1["data"]["errorCode"], "AB02");
    }
}

/// Returns every text in a value.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
        Value::Object(members) => members.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// All names of the other tenant contain a marker, which no answer may contain.
    #[test]
    fn a_tenant_never_sees_a_row_of_another(
        rows in prop::collection::vec((any::<bool>(), 0_u64..72, 0_u8..4, prop::sample::select(vec![200_u16, 404, 500]), 1_u64..1_000_000), 1..30),
        more in prop::sample::select(vec![
            "", "workspace_slug=globex", "workspace_slug=acme,globex", "trace_id=MARK-1", "status_code=200,404,500",
            "metadata=%7B%22tenant_id%22%3A%22globex%22%7D", "cost_min=0", "ai_model=MARK-model", "api_key_ids=globex-key",
        ]),
    ) {
        let mut requests = 0_u64;
        let mut nanos = 0;
        let mut events = Vec::new();
        for (is_own, hour, user, status, cost) in &rows {
            let mark = if *is_own { "own" } else { "MARK" };
            let sample = Sample {
                workspace: if *is_own { "acme" } else { "globex" },
                user: Some(leak(format!("{mark}-{user}"))),
                model: Some(leak(format!("{mark}-model"))),
                trace: Some(leak(format!("{mark}-{user}"))),
                status: *status,
                hour: *hour,
                nanos: Some(*cost),
                ..Sample::default()
            };
            events.push(sample.event());
            if *is_own {
                requests += 1;
                nanos += cost;
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for analytics in stores(&events) {
                let app = api::api(analytics);
                for (method, path, body, _) in endpoints() {
                    let path = path.trim_end_matches('&');
                    let path = if path.contains("time_of_generation_min") { format!("{path}&{more}") } else { path.to_owned() };
                    let reply = send(&app, method, path.trim_end_matches('&'), &secret("acme"), body).await;
                    let mut found = Vec::new();
                    match serde_json::from_str(&reply.text) {
                        Ok(body) => texts(&body, &mut found),
                        // Files.
                        Err(_) => found.push(reply.text.clone()),
                    }
                    assert!(!found.iter().any(|text| text.contains("MARK") || text.contains("globex")), "{path}: {reply:?}");
                }
                for event in events.iter().filter(|event| event.workspace() == Some("globex")) {
                    get(&app, &format!("/logs/{}", event.id()), &secret("acme")).await.fails(404, "AB02");
                    get(&app, &format!("/traces/{}", event.trace().trace_id()), &secret("acme")).await.fails(404, "AB02");
                }
                for user in 0..4 {
                    get(&app, &format!("/traces/MARK-{user}"), &secret("acme")).await.fails(404, "AB02");
                    get(&app, &ranged(&format!("/sessions/_user/MARK-{user}"), ""), &secret("acme")).await.fails(404, "AB02");
                }
                get(&app, &ranged("/sessions/tenant_id/globex", ""), &secret("acme")).await.fails(404, "AB02");
                let file = get(&app, &ranged("/export", &format!("{more}&columns=id&format=csv")), &secret("globex")).await;
                assert!(file.text.lines().count() as u64 <= 1 + rows.len() as u64 - requests);
                let file = get(&app, &ranged("/export", ""), &secret("acme")).await;
                assert_eq!(file.text.lines().count() as u64, requests);
                let all = get(&app, &ranged("/analytics/graphs/cost", ""), &secret("acme")).await.ok();
                assert!((all["summary"]["total"].as_f64().unwrap() - nanos as f64 / 1e7).abs() < 1e-9);
                let graph = get(&app, &ranged("/analytics/graphs/requests", ""), &secret("acme")).await.ok();
                assert_eq!(graph["summary"]["total"], requests);
            }
        });
    }
}
