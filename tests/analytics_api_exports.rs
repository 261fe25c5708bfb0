//! Exports of logs of the HTTP API.

#[path = "common/api.rs"]
mod api;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Router, body::Body};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_tagging::{
    Event,
    analytics::{
        Grant,
        api::{Api, RegistryAccess},
    },
    registry::{Permission, RegisteredKey, Registry, SecretDigest, Workspace},
};
use uuid::Uuid;

use api::{ADMIN, FROM, Sample, TO, ended, filters, get, post, put, samples, secret, stores};

fn apps() -> Vec<Router> {
    stores(&samples()).into_iter().map(api::api).collect()
}

fn acme() -> String {
    secret("acme")
}

async fn create(app: &Router, key: &str, body: Value) -> String {
    let created = post(app, "/logs/exports", key, body).await.ok();
    assert_eq!((&created["object"], &created["total"]), (&json!("export"), &Value::Null));
    created["id"].as_str().unwrap().to_owned()
}

/// Runs an export, and returns its lines.
async fn exported(app: &Router, key: &str, body: Value) -> Vec<Value> {
    let id = create(app, key, body).await;
    let started = post(app, &format!("/logs/exports/{id}/start"), key, Value::Null).await.ok();
    assert_eq!(started, json!({ "message": "Export started", "object": "export" }));
    let export = ended(app, &id, key).await;
    assert_eq!(export["status"], "success");
    let link = get(app, &format!("/logs/exports/{id}/download"), key).await.ok();
    let file = get(app, link["signed_url"].as_str().unwrap(), "").await;
    assert_eq!(
        (file.status.as_u16(), &file.headers["content-type"]),
        (200, &http::HeaderValue::from_static("application/jsonl"))
    );
    let lines: Vec<Value> = file.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(export["total_records"], lines.len());
    lines
}

#[tokio::test]
async fn exports_go_from_draft_to_a_file_of_the_requested_fields() {
    for app in apps() {
        let body = json!({ "filters": filters(), "requested_data": ["id", "trace_id", "cost", "metadata"], "description": "June" });
        let id = create(&app, &acme(), body.clone()).await;
        let export = get(&app, &format!("/logs/exports/{id}"), &acme()).await.ok();
        for (name, expected) in [
            ("id", json!(id)),
            ("filters", filters()),
            ("requested_data", json!(["id", "trace_id", "cost", "metadata"])),
            ("status", json!("draft")),
            ("description", json!("June")),
            ("workspace_id", json!("acme")),
            ("total_records", Value::Null),
            ("created_by", Value::Null),
            ("organisation_id", Value::Null),
            ("object", json!("export")),
        ] {
            assert_eq!(export[name], expected, "{name}");
        }
        get(&app, &format!("/logs/exports/{id}/download"), &acme()).await.fails(409, "AB07");

        let lines = exported(&app, &acme(), body).await;
        assert_eq!(lines.len(), 10);
        let names: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 4);
        let costs: f64 = lines.iter().filter_map(|line| line["cost"].as_f64()).sum();
        assert!((costs - 17.500_000_1).abs() < 1e-9);
        assert!(lines.iter().any(|line| line["trace_id"] == "trace-1"));
        assert!(lines.iter().all(|line| line["metadata"]["tenant_id"] == "acme"));
        assert!(lines.iter().any(|line| line["cost"].is_null()), "an unknown cost is not zero");
    }
}

#[tokio::test]
async fn exports_without_fields_have_all_of_them() {
    for app in apps() {
        let filters = json!({ "time_of_generation_min": FROM, "time_of_generation_max": TO, "trace_id": "trace-1" });
        let lines = exported(&app, ADMIN, json!({ "filters": filters })).await;
        assert_eq!(lines.len(), 1);
        let names: BTreeSet<&str> = lines[0].as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "id",
            "trace_id",
            "created_at",
            "request",
            "response",
            "is_success",
            "ai_org",
            "ai_model",
            "req_units",
            "res_units",
            "total_units",
            "request_url",
            "cost",
            "cost_currency",
            "response_time",
            "response_status_code",
            "mode",
            "config",
            "prompt_slug",
            "metadata",
        ];
        assert_eq!(names, BTreeSet::from(expected));
        assert_eq!((&lines[0]["cost"], &lines[0]["created_at"]), (&json!(3.0), &json!("2026-06-01T01:00:00Z")));
        assert_eq!(lines[0]["request"], json!({ "method": "POST", "url": "api.example.com/v1/chat/completions" }));
    }
}

#[tokio::test]
async fn exports_have_the_filters_of_analytics_and_pages() {
    let with = |more: Value| {
        let mut filters = filters();
        filters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "filters": filters, "requested_data": ["id"] })
    };
    for app in apps() {
        for (more, expected) in [
            (json!({ "metadata": { "_user": "ada" } }), 7),
            (json!({ "status_code": "500,429" }), 3),
            (json!({ "status_code": [500, 404] }), 3),
            (json!({ "cost_min": 7 }), 2),
            (json!({ "ai_org_model": "anthropic__claude-sonnet-4-5" }), 1),
            (json!({ "workspace_slug": "globex" }), 3),
            (json!({ "page_size": 4 }), 4),
            (json!({ "page_size": 4, "current_page": 3 }), 1),
            (json!({ "page_size": 4, "current_page": 9 }), 0),
            (json!({ "prompt_slug": "", "configs": null }), 13),
        ] {
            assert_eq!(exported(&app, ADMIN, with(more.clone())).await.len(), expected, "{more}");
        }
        let mut ids = BTreeSet::new();
        for page in 0..4 {
            let lines = exported(&app, ADMIN, with(json!({ "page_size": 4, "current_page": page }))).await;
            ids.extend(lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()));
        }
        assert_eq!(ids.len(), 13);
        let lines = exported(&app, ADMIN, json!({ "filters": filters(), "workspace_id": "globex" })).await;
        assert_eq!(lines.len(), 3);
        for broken in [
            json!({ "filters": {} }),
            with(json!({ "metadata": "{}x" })),
            with(json!({ "page_size": 50_001 })),
            with(json!({ "page_size": 0 })),
            with(json!({ "unknown": 1 })),
            with(json!({ "status_code": { "a": 1 } })),
            with(json!({ "trace_id": "a\u{0}" })),
            json!({ "filters": filters(), "requested_data": ["nothing"] }),
            json!({ "filters": filters(), "description": "x".repeat(1_001) }),
        ] {
            post(&app, "/logs/exports", ADMIN, broken).await.fails(400, "AB01");
        }
    }
}

#[tokio::test]
async fn exports_are_changed_started_and_cancelled_only_in_the_right_state() {
    for app in apps() {
        let id = create(&app, &acme(), json!({ "filters": filters() })).await;
        let path = format!("/logs/exports/{id}");
        put(&app, &path, &acme(), json!({ "requested_data": ["id"], "exportId": id })).await.ok();
        let export = get(&app, &path, &acme()).await.ok();
        assert_eq!((&export["requested_data"], &export["filters"]), (&json!(["id"]), &filters()));
        let cancelled = post(&app, &format!("{path}/cancel"), &acme(), Value::Null).await.ok();
        assert_eq!(cancelled, json!({ "message": "Export cancelled", "object": "export" }));
        assert_eq!(get(&app, &path, &acme()).await.ok()["status"], "stopped");
        put(&app, &path, &acme(), json!({ "requested_data": ["id"] })).await.fails(409, "AB07");
        post(&app, &format!("{path}/cancel"), &acme(), Value::Null).await.fails(409, "AB07");
        post(&app, &format!("{path}/start"), &acme(), Value::Null).await.ok();
        assert_eq!(ended(&app, &id, &acme()).await["status"], "success");
        post(&app, &format!("{path}/start"), &acme(), Value::Null).await.fails(409, "AB07");

        for key in [secret("globex"), secret("acme-export")] {
            let reply = get(&app, &path, &key).await;
            if key == secret("globex") { _ = reply.fails(404, "AB02") } else { _ = reply.ok() }
        }
        let list = get(&app, "/logs/exports", ADMIN).await.ok();
        assert_eq!((&list["object"], &list["total"], &list["data"][0]["id"]), (&json!("list"), &json!(1), &json!(id)));
        assert_eq!(get(&app, "/logs/exports?workspace_id=globex", ADMIN).await.ok()["total"], 0);
        assert_eq!(get(&app, "/logs/exports", &secret("globex")).await.ok()["total"], 0);
    }
}

/// Runs an export to its end, and returns its id and the link to its file.
async fn link(app: &Router, key: &str, body: Value) -> (String, String) {
    let id = create(app, key, body).await;
    post(app, &format!("/logs/exports/{id}/start"), key, Value::Null).await.ok();
    assert_eq!(ended(app, &id, key).await["status"], "success");
    let link = get(app, &format!("/logs/exports/{id}/download"), key).await.ok();
    (id, link["signed_url"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn links_to_files_work_without_a_key_and_cannot_be_guessed() {
    for app in apps() {
        let (_, link) = link(&app, &acme(), json!({ "filters": filters() })).await;
        let (path, token) = link.split_once("?token=").unwrap();
        let other = create(&app, &acme(), json!({ "filters": filters() })).await;
        for forged in [
            path.to_owned(),
            format!("{path}?token="),
            format!("{path}?token={}", "0".repeat(token.len())),
            format!("{path}?token={}", &token[1..]),
            format!("/logs/exports/{other}/file?token={token}"),
        ] {
            get(&app, &forged, &acme()).await.fails(403, "AB03");
        }
        let file = get(&app, &link, "").await;
        assert_eq!(file.text.lines().count(), 10);
    }
}

/// Links of the organization-wide key work until they expire. Those of other keys end with the key.
#[tokio::test]
async fn links_to_files_end_with_the_key_that_created_them() {
    let definition = |secrets: &[&str], permission: Permission, workspace: &str| {
        let mut key = RegisteredKey::new("web").workspace(workspace).permissions([permission]);
        for secret in secrets {
            key = key.secret(SecretDigest::of(secret));
        }
        Registry::builder().workspace(Workspace::new("acme")).workspace(Workspace::new("globex")).api_key(key)
    };
    let export = Permission::LogsExport;
    for analytics in stores(&samples()) {
        let registry = definition(&["old", "new"], export, "acme").build().unwrap();
        let app = Api::new(analytics, RegistryAccess::new(registry.clone()).admin_key(ADMIN)).into_router();
        let (_, of_old) = link(&app, "old", json!({ "filters": filters() })).await;
        let (_, of_new) = link(&app, "new", json!({ "filters": filters() })).await;
        let (_, of_admin) = link(&app, ADMIN, json!({ "filters": filters() })).await;
        for (change, works) in [
            (definition(&["old", "new"], export, "acme"), [true, true]),
            (definition(&["new"], export, "acme"), [false, true]),
            (definition(&["old", "new"], Permission::AnalyticsView, "acme"), [false, false]),
            (definition(&["old", "new"], export, "globex"), [false, false]),
            (Registry::builder(), [false, false]),
        ] {
            registry.replace(change).unwrap();
            for (link, works) in [(&of_old, works[0]), (&of_new, works[1]), (&of_admin, true)] {
                let file = get(&app, link, "").await;
                if works {
                    assert_eq!(file.status, 200, "{file:?}");
                } else {
                    file.fails(403, "AB03");
                }
            }
        }
    }
}

#[tokio::test]
async fn export_jobs_have_a_bounded_size() {
    let app = apps().remove(0);
    for (more, part) in [
        (json!({ "trace_id": vec!["x".repeat(100); 200] }), "16384"),
        (json!({ "metadata": { "team": "x".repeat(20_000) } }), "16384"),
        (json!({ "page_size": 50_000, "current_page": 11 }), "500000"),
        (json!({ "current_page": u64::MAX }), "500000"),
    ] {
        let mut filters = filters();
        filters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let message = post(&app, "/logs/exports", ADMIN, json!({ "filters": filters })).await.fails(400, "AB01");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn unknown_fields_cannot_be_denied() {
    let api = || Api::new(api::memory(&[]), RegistryAccess::new(api::registry()));
    for unknown in ["reqest_url", "", "metadata.", "Cost", "raw_metadata.team"] {
        let error = api().deny_export_fields(["cost", unknown]).unwrap_err().to_string();
        assert!(error.contains(&format!("{unknown:?}")) && error.contains("request_url, "), "{error}");
        assert!(error.contains("metadata.KEY") && error.contains("host"), "{error}");
    }
    let known = ["cost", "mode", "host", "total_cost", "raw_metadata", "metadata.a.b"];
    assert!(api().deny_export_fields(known).is_ok());
}

#[tokio::test]
async fn each_field_can_be_denied() {
    let app = apps().remove(0);
    let (_, link) = link(&app, ADMIN, json!({ "filters": filters() })).await;
    let line: Value = serde_json::from_str(get(&app, &link, "").await.text.lines().next().unwrap()).unwrap();
    for field in line.as_object().unwrap().keys() {
        let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
        let app = Api::new(api::memory(&samples()), access).deny_export_fields([field]).unwrap().into_router();
        let body = json!({ "filters": filters(), "requested_data": [field] });
        post(&app, "/logs/exports", ADMIN, body).await.fails(403, "AB03");
        let (_, link) = self::link(&app, ADMIN, json!({ "filters": filters() })).await;
        let file = get(&app, &link, "").await.text;
        let line: Value = serde_json::from_str(file.lines().next().unwrap()).unwrap();
        assert!(line.get(field).is_none(), "{field}: {line}");
    }
}

#[tokio::test]
async fn denied_fields_are_in_no_export() {
    for analytics in stores(&samples()) {
        let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
        let app = Api::new(analytics, access)
            .public_url("https://gateway.example.com/tagging/v1/")
            .deny_export_fields(["request_url", "metadata._user"])
            .unwrap()
            .into_router();
        let body = json!({ "filters": filters(), "requested_data": ["id", "request_url"] });
        post(&app, "/logs/exports", ADMIN, body).await.fails(403, "AB03");
        let settings = get(&app, "/logs/exports/restrictions", ADMIN).await.ok();
        assert_eq!(settings["export_settings"]["deniedFields"], json!(["metadata._user", "request_url"]));

        let id = create(&app, ADMIN, json!({ "filters": filters() })).await;
        post(&app, &format!("/logs/exports/{id}/start"), ADMIN, Value::Null).await.ok();
        ended(&app, &id, ADMIN).await;
        let link = get(&app, &format!("/logs/exports/{id}/download"), ADMIN).await.ok();
        let link = link["signed_url"].as_str().unwrap().to_owned();
        let path = link.strip_prefix("https://gateway.example.com/tagging/v1").unwrap();
        let file = get(&app, path, "").await.text;
        assert_eq!(file.lines().count(), 13);
        assert!(!file.contains("request_url") && !file.contains("_user") && file.contains("tenant_id"));
        // The URL is not part of another field either.
        assert!(!file.contains("/v1/") && !file.contains("\"request\""), "{file}");
    }
}

#[tokio::test]
async fn an_export_has_more_rows_than_a_page_of_the_store() {
    let events: Vec<_> = (0..2_500).map(|at| Sample { hour: at % 72, ..Sample::default() }.event()).collect();
    for analytics in stores(&events) {
        let app = api::api(analytics);
        let lines = exported(&app, &acme(), json!({ "filters": filters(), "requested_data": ["id"] })).await;
        let ids: BTreeSet<_> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
        assert_eq!((lines.len(), ids.len()), (2_500, 2_500));
    }
}

/// Downloads a file with its trailers.
async fn download(app: &Router, link: &str) -> (String, http::HeaderMap) {
    let request = http::Request::get(link).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["trailer"], "x-export-count, x-export-digest, x-export-next");
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap().clone();
    (String::from_utf8(body.to_bytes().to_vec()).unwrap(), trailers)
}

fn unbounded() -> Value {
    json!({ "filters": { "time_of_generation_min": FROM, "time_of_generation_max": "2100-01-01T00:00:00Z" } })
}

/// Events are stored some time after they have ended, so a job has none of the last minute.
#[tokio::test]
async fn later_requests_are_not_in_the_file_of_an_export() {
    for analytics in stores(&samples()) {
        let app = api::api(analytics.clone());
        let write = async |age: u64| {
            let event = Event::builder().time(SystemTime::now() - Duration::from_secs(age)).build();
            analytics.write(vec![Arc::new(event)], &Grant::everything()).await.unwrap();
        };
        write(90).await;
        write(30).await;
        let (_, link) = link(&app, ADMIN, unbounded()).await;
        let first = download(&app, &link).await;
        assert_eq!(first.0.lines().count(), 14);
        let times: Vec<Value> =
            first.0.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["created_at"].clone()).collect();
        assert!(times.is_sorted_by_key(ToString::to_string), "the oldest first");
        write(40).await;
        write(0).await;
        assert_eq!(download(&app, &link).await, first);
    }
}

/// A file is complete, also if requests were delivered late since the job has run.
#[tokio::test]
async fn a_file_has_late_requests_and_the_trailers_of_its_content() {
    for analytics in stores(&samples()) {
        let app = api::api(analytics.clone());
        let (id, link) = link(&app, ADMIN, unbounded()).await;
        for rows in [13, 14] {
            let (text, trailers) = download(&app, &link).await;
            let digest: String =
                Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            assert_eq!(
                (text.lines().count(), trailers["x-export-count"].to_str().unwrap()),
                (rows, &*rows.to_string())
            );
            assert_eq!(trailers["x-export-digest"], format!("sha256={digest}"));
            assert_eq!(get(&app, &format!("/logs/exports/{id}"), ADMIN).await.ok()["status"], "success");
            let late = Event::builder().id(Uuid::nil()).time(api::hour(5)).build();
            analytics.write(vec![Arc::new(late)], &Grant::everything()).await.unwrap();
        }
    }
}

/// Cancelled jobs read until they notice it.
#[tokio::test]
async fn a_cancelled_job_makes_room_for_another_when_it_no_longer_reads() {
    let app = api::api(api::memory(&samples()));
    // Tasks do not run before the test waits.
    for _ in 0..8 {
        let id = create(&app, &acme(), json!({ "filters": filters() })).await;
        post(&app, &format!("/logs/exports/{id}/start"), &acme(), Value::Null).await.ok();
        post(&app, &format!("/logs/exports/{id}/cancel"), &acme(), Value::Null).await.ok();
    }
    let id = create(&app, &acme(), json!({ "filters": filters() })).await;
    post(&app, &format!("/logs/exports/{id}/start"), &acme(), Value::Null).await.fails(429, "AB06");
    tokio::task::yield_now().await;
    post(&app, &format!("/logs/exports/{id}/start"), &acme(), Value::Null).await.ok();
    assert_eq!(ended(&app, &id, &acme()).await["status"], "success");
}

/// The exports in progress of a caller leave room for those of others.
#[tokio::test]
async fn a_caller_has_a_share_of_the_exports_in_progress() {
    let app = api::api(api::memory(&samples()));
    let start = async |key: &str| {
        let id = create(&app, key, json!({ "filters": filters() })).await;
        post(&app, &format!("/logs/exports/{id}/start"), key, Value::Null).await
    };
    // Tasks do not run before the test waits.
    for _ in 0..4 {
        start(&acme()).await.ok();
    }
    start(&acme()).await.fails(429, "AB06");
    start(&secret("globex")).await.ok();
}

/// A caller with many exports or links does not take the room of others.
#[tokio::test]
async fn old_exports_of_the_grant_with_the_most_make_room_for_new_ones() {
    let app = api::api(api::memory(&samples()));
    let (of_globex, file) = link(&app, &secret("globex"), json!({ "filters": filters() })).await;
    let first = create(&app, &acme(), json!({ "filters": filters() })).await;
    let second = create(&app, &acme(), json!({ "filters": filters() })).await;
    for _ in 0..998 {
        create(&app, &acme(), json!({ "filters": filters() })).await;
    }
    get(&app, &format!("/logs/exports/{first}"), &acme()).await.fails(404, "AB02");
    create(&app, ADMIN, json!({ "filters": filters() })).await;
    get(&app, &format!("/logs/exports/{second}"), &acme()).await.fails(404, "AB02");
    let list = get(&app, "/logs/exports?page_size=7&current_page=142", &acme()).await.ok();
    assert_eq!((&list["total"], list["data"].as_array().unwrap().len()), (&json!(998), 4));

    let (_, of_acme) = link(&app, &acme(), json!({ "filters": filters() })).await;
    let (path, _) = of_acme.split_once("/file").unwrap();
    for _ in 0..300 {
        get(&app, &format!("{path}/download"), &acme()).await.ok();
    }
    get(&app, &of_acme, "").await.fails(403, "AB03");
    get(&app, &format!("/logs/exports/{of_globex}"), &secret("globex")).await.ok();
    assert_eq!(get(&app, &file, "").await.text.lines().count(), 3);
}
