//! Logs, feedback, exports, lists, and the OpenAPI document of the HTTP API.

#[path = "common/api.rs"]
mod api;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::Router;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_tagging::{
    Event,
    analytics::api::{Api, RegistryAccess},
    registry::{Permission, RegisteredKey, Registry, SecretDigest, Workspace},
};
use uuid::Uuid;

use api::{ADMIN, FROM, Reply, Sample, TO, get, post, put, ranged, samples, secret, send, stores};

fn apps() -> Vec<Router> {
    stores(&samples()).into_iter().map(api::api).collect()
}

fn acme() -> String {
    secret("acme")
}

/// A call as another system logs it.
fn log() -> Value {
    json!({
        "request": {
            "url": "https://api.openai.com/v1/chat/completions?secret=query",
            "method": "post",
            "headers": { "authorization": "Bearer sk-secret-of-the-provider", "x-portkey-metadata": "{\"feature\":\"import\",\"n\":5}" },
            "body": { "model": "gpt-4o", "messages": [{ "role": "user", "content": "words of the user" }], "user": "grace" }
        },
        "response": {
            "status": 200,
            "headers": { "content-encoding": "gzip", "content-length": "3" },
            "body": { "id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "choices": [{ "message": { "content": "words of the model" } }],
                "usage": { "prompt_tokens": 2006, "completion_tokens": 300, "prompt_tokens_details": { "cached_tokens": 1920 } } },
            "response_time": 1234
        },
        "metadata": { "traceId": "trace-of-the-log", "spanName": "step", "team": "growth", "company": "spoofed", "tenant_id": "globex" }
    })
}

async fn read(app: &Router, id: &str, key: &str) -> Value {
    get(app, &format!("/logs/{id}"), key).await.ok()
}

#[tokio::test]
async fn logs_of_other_systems_are_read_and_priced_like_own_requests() {
    for app in apps() {
        let created = post(&app, "/logs", &acme(), log()).await.ok();
        assert_eq!(created["status"], "success");
        let id = created["logIds"][0].as_str().unwrap();
        let details = read(&app, id, &acme()).await;
        let metrics = &details["metrics"];
        for (name, expected) in [
            ("ai_org", json!("openai")),
            ("ai_model", json!("gpt-4o-2024-08-06")),
            ("req_units", json!(2006)),
            ("res_units", json!(300)),
            ("total_units", json!(2306)),
            ("cost", json!(0.5615)),
            ("cost_currency", json!("USD")),
            ("cost_status", json!("priced")),
            ("response_status_code", json!(200)),
            ("response_time", json!(1234)),
            ("is_success", json!(true)),
            ("trace_id", json!("trace-of-the-log")),
            ("span_name", json!("step")),
            ("workspace_slug", json!("acme")),
            ("api_key_id", json!("acme")),
            ("cache_status", json!("disabled")),
        ] {
            assert_eq!(metrics[name], expected, "{name}");
        }
        let url = "api.openai.com/v1/chat/completions";
        assert_eq!(details["request"], json!({ "method": "POST", "url": url, "body": null }));
        assert_eq!(details["response"], json!({ "status": 200, "response_time": 1234, "body": null }));
        // The tags of the workspace win over those of the log.
        let tags = json!({ "_user": "grace", "company": "acme", "feature": "import", "n": "5", "team": "growth", "tenant_id": "globex" });
        assert_eq!(details["metadata"], tags);
        let pairs =
            metrics["metadata.key"].as_array().unwrap().iter().zip(metrics["metadata.value"].as_array().unwrap());
        assert_eq!(pairs.count(), 6);
        for word in ["sk-secret", "words of", "secret=query"] {
            assert!(!details.to_string().contains(word), "{word} was stored");
        }
    }
}

#[tokio::test]
async fn logs_of_streams_are_read_from_text_and_from_lists_of_chunks() {
    let chunks = [
        json!({ "model": "gpt-4o", "choices": [{ "delta": { "content": "Hi" } }] }),
        json!({ "model": "gpt-4o", "choices": [], "usage": { "prompt_tokens": 8, "completion_tokens": 1 } }),
    ];
    let text: String =
        chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect::<Vec<_>>().concat() + "data: [DONE]\n\n";
    for app in apps() {
        let mut logs = Vec::new();
        for body in [json!(text), json!(chunks)] {
            let mut log = log();
            log["response"]["body"] = body;
            logs.push(log);
        }
        let created = post(&app, "/logs", &acme(), json!(logs)).await.ok();
        for id in created["logIds"].as_array().unwrap() {
            let metrics = &read(&app, id.as_str().unwrap(), &acme()).await["metrics"];
            assert_eq!(
                (&metrics["stream"], &metrics["total_units"], &metrics["cost_status"]),
                (&json!(true), &json!(9), &json!("priced"))
            );
        }
    }
}

#[tokio::test]
async fn logs_without_usage_have_unknown_values() {
    for app in apps() {
        let body = json!({ "request": { "url": "/v1/custom", "provider": "openai" }, "response": { "status": 502, "body": "<html>" } });
        let created = post(&app, "/logs", &acme(), body).await.ok();
        let details = read(&app, created["logIds"][0].as_str().unwrap(), &acme()).await;
        let metrics = &details["metrics"];
        assert_eq!(
            (&metrics["cost"], &metrics["total_units"], &metrics["ai_model"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert_eq!((&metrics["is_success"], &details["request"]["method"]), (&json!(false), &json!("POST")));
    }
}

#[tokio::test]
async fn logs_have_the_time_that_they_name() {
    for app in apps() {
        let mut body = log();
        body["created_at"] = json!("2026-06-02T12:00:00+02:00");
        let created = post(&app, "/logs", &acme(), body).await.ok();
        let details = read(&app, created["logIds"][0].as_str().unwrap(), &acme()).await;
        assert_eq!(details["created_at"], "2026-06-02T10:00:00Z");
        let graph = get(&app, &ranged("/analytics/graphs/requests", "trace_id=trace-of-the-log"), &acme()).await.ok();
        assert_eq!(graph["summary"]["total"], 1);
        get(&app, &ranged("/analytics/graphs/requests", "workspace_slug=globex"), &secret("globex")).await.ok();
    }
}

#[tokio::test]
async fn invalid_logs_are_refused_and_none_of_a_list_is_stored() {
    for app in apps() {
        for (change, part) in [
            (json!({ "request": null }), "logs [1]: invalid type: null, expected a request with a url"),
            (json!({ "response": "text" }), "expected a response"),
            (json!({ "request": { "url": "not a url" } }), "not a url"),
            (json!({ "request": { "url": "/", "method": "GE T" } }), "GE T"),
            (json!({ "response": { "status": 42 } }), "42"),
            (json!({ "response": { "status": 200, "response_time": -1 } }), "response_time"),
            (json!({ "response": { "status": 200, "response_time": 1e12 } }), "response_time"),
            (json!({ "created_at": "yesterday" }), "yesterday"),
            (json!({ "created_at": "2126-01-01T00:00:00Z" }), "2126"),
        ] {
            let mut broken = log();
            broken.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let message = post(&app, "/logs", &acme(), json!([log(), broken])).await.fails(400, "AB01");
            assert!(message.contains(part), "{change}: {message}");
        }
        post(&app, "/logs", &acme(), json!([])).await.fails(400, "AB01");
        post(&app, "/logs", &acme(), json!(vec![log(); 1_001])).await.fails(400, "AB01");
        let now = "time_of_generation_min=2026-06-10T00:00:00Z&time_of_generation_max=2100-01-01T00:00:00Z";
        let graph = get(&app, &format!("/analytics/graphs/requests?{now}"), ADMIN).await.ok();
        assert_eq!(graph["summary"]["total"], 0);
    }
}

#[tokio::test]
async fn feedback_is_given_changed_and_checked() {
    for app in apps() {
        let saved = post(&app, "/feedback", &acme(), json!({ "trace_id": "trace-1", "value": 5 })).await.ok();
        assert_eq!((&saved["status"], &saved["message"]), (&json!("success"), &json!("Feedback successfully saved")));
        let id = saved["feedback_ids"][0].as_str().unwrap().to_owned();
        let change = json!({ "value": -3, "weight": 0.5, "metadata": { "reason": "wrong" } });
        assert_eq!(
            put(&app, &format!("/feedback/{id}"), &acme(), change.clone()).await.ok()["feedback_ids"],
            json!([id])
        );
        put(&app, "/feedback", &acme(), json!({ "feedback_id": id, "value": 10 })).await.ok();
        // The caller of another workspace does not see it.
        put(&app, &format!("/feedback/{id}"), &secret("globex"), change.clone()).await.fails(404, "AB02");
        put(&app, &format!("/feedback/{id}"), ADMIN, change).await.ok();
        put(&app, "/feedback/unknown", &acme(), json!({ "value": 1 })).await.fails(404, "AB02");
        put(&app, "/feedback", &acme(), json!({ "value": 1 })).await.fails(400, "AB01");

        let many = json!([{ "trace_id": "trace-1", "value": 1 }, { "traceID": "trace-2", "value": -1, "weight": 1 }]);
        assert_eq!(post(&app, "/feedback", &acme(), many).await.ok()["feedback_ids"].as_array().unwrap().len(), 2);
        for broken in [
            json!({ "value": 1 }),
            json!({ "trace_id": "", "value": 1 }),
            json!({ "trace_id": "a b", "value": 1 }),
            json!({ "trace_id": "x".repeat(129), "value": 1 }),
            json!({ "trace_id": "t" }),
            json!({ "trace_id": "t", "value": 11 }),
            json!({ "trace_id": "t", "value": -11 }),
            json!({ "trace_id": "t", "value": 1.5 }),
            json!({ "trace_id": "t", "value": "5" }),
            json!({ "trace_id": "t", "value": 1, "weight": 2 }),
            json!({ "trace_id": "t", "value": 1, "weight": -0.1 }),
            json!({ "trace_id": "t", "value": 1, "metadata": "text" }),
            json!({ "trace_id": "t", "value": 1, "metadata": { "long": "x".repeat(129) } }),
            json!([]),
            json!([{ "trace_id": "t", "value": 1 }, { "trace_id": "t", "value": 99 }]),
            json!("text"),
        ] {
            post(&app, "/feedback", &acme(), broken).await.fails(400, "AB01");
        }
    }
}

#[tokio::test]
async fn feedback_is_in_graphs_and_filters() {
    for app in apps() {
        for (trace, value, key) in
            [("trace-1", 5, acme()), ("trace-1", 5, acme()), ("trace-g", -2, secret("globex")), ("nowhere", 9, acme())]
        {
            post(&app, "/feedback", &key, json!({ "trace_id": trace, "value": value })).await.ok();
        }
        // The feedback of another workspace does not count.
        post(&app, "/feedback", &secret("globex"), json!({ "trace_id": "trace-1", "value": -10 })).await.ok();

        let scores = get(&app, &ranged("/analytics/graphs/feedbacks/scores", ""), ADMIN).await.ok();
        let points = json!([{ "score": -2, "total": 1 }, { "score": 5, "total": 2 }]);
        assert_eq!(scores, json!({ "summary": { "total": 3 }, "data_points": points, "object": "analytics-graph" }));
        let scores = get(&app, &ranged("/analytics/graphs/feedbacks/scores", ""), &secret("globex")).await.ok();
        assert_eq!(scores["data_points"], json!([{ "score": -2, "total": 1 }]));

        for (more, key, expected) in [
            ("weighted_feedback_min=5", acme(), 1),
            ("weighted_feedback_min=5.1", acme(), 0),
            ("weighted_feedback_max=0", acme(), 0),
            ("weighted_feedback_max=0", secret("globex"), 1),
            ("weighted_feedback_min=-10&weighted_feedback_max=10", secret("globex"), 1),
        ] {
            let graph = get(&app, &ranged("/analytics/graphs/requests", more), &key).await.ok();
            assert_eq!(graph["summary"]["total"], expected, "{more}");
        }

        let totals = get(&app, &ranged("/analytics/graphs/feedbacks", ""), ADMIN).await.ok();
        assert!(totals["summary"]["total"].is_u64() && totals["data_points"][0]["total"] == 0);
        let weighted = get(&app, &ranged("/analytics/graphs/feedbacks/weighted", ""), ADMIN).await.ok();
        assert_eq!(weighted["data_points"][0], json!({ "timestamp": FROM, "avg": null }));
        let models = get(&app, &ranged("/analytics/graphs/feedbacks/ai-models", ""), ADMIN).await.ok();
        assert_eq!((&models["summary"], models["data_points"].is_array()), (&json!({}), true));
    }
}

fn filters() -> Value {
    json!({ "time_of_generation_min": FROM, "time_of_generation_max": TO })
}

/// Waits until an export is no longer in progress.
async fn ended(app: &Router, id: &str, key: &str) -> Value {
    for _ in 0..500 {
        let export = get(app, &format!("/logs/exports/{id}"), key).await.ok();
        if export["status"] != "in_progress" {
            return export;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the export does not end");
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
        assert_eq!(file.headers["x-export-count"], "10");
        let digest: String =
            Sha256::digest(&file.text).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        assert_eq!(file.headers["x-export-digest"], format!("sha256={digest}"));
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

/// A job has the requests that had ended when it was started, and each download of its file is the same.
#[tokio::test]
async fn the_file_of_an_export_stays_the_same() {
    for analytics in stores(&samples()) {
        let app = api::api(analytics.clone());
        let filters = json!({ "time_of_generation_min": FROM, "time_of_generation_max": "2100-01-01T00:00:00Z" });
        let (id, link) = link(&app, ADMIN, json!({ "filters": filters })).await;
        let first = get(&app, &link, "").await;
        assert_eq!(first.text.lines().count(), 13);
        let times: Vec<Value> =
            first.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["created_at"].clone()).collect();
        assert!(times.is_sorted_by_key(ToString::to_string), "the oldest first");
        // Later requests are not part of the file.
        post(&app, "/logs", ADMIN, log()).await.ok();
        let second = get(&app, &link, "").await;
        assert_eq!(
            (&second.text, &second.headers["x-export-digest"]),
            (&first.text, &first.headers["x-export-digest"])
        );

        // A request that is delivered late changes it. The download ends early, and the job can be started again.
        let late = Event::builder().id(Uuid::nil()).time(api::hour(5)).build();
        analytics.write(vec![Arc::new(late)], &tower_tagging::analytics::Grant::everything()).await.unwrap();
        let request = http::Request::get(&link).body(axum::body::Body::empty()).unwrap();
        let body = app.clone().oneshot(request).await.unwrap().into_body();
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());
        assert_eq!(get(&app, &format!("/logs/exports/{id}"), ADMIN).await.ok()["status"], "failed");
        get(&app, &link, "").await.fails(404, "AB02");
        post(&app, &format!("/logs/exports/{id}/start"), ADMIN, Value::Null).await.ok();
        assert_eq!(ended(&app, &id, ADMIN).await["total_records"], 15);
        assert_eq!(get(&app, &link, "").await.text.lines().count(), 15);
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

#[tokio::test]
async fn old_exports_of_a_caller_make_room_for_new_ones() {
    for app in apps() {
        let first = create(&app, &acme(), json!({ "filters": filters() })).await;
        for _ in 0..100 {
            create(&app, &acme(), json!({ "filters": filters() })).await;
        }
        get(&app, &format!("/logs/exports/{first}"), &acme()).await.fails(404, "AB02");
        let list = get(&app, "/logs/exports?page_size=7&current_page=14", &acme()).await.ok();
        assert_eq!((&list["total"], list["data"].as_array().unwrap().len()), (&json!(100), 2));
    }
}

#[tokio::test]
async fn workspaces_and_virtual_keys_are_listed_in_portkeys_shapes() {
    for app in apps() {
        let list = get(&app, "/admin/workspaces", ADMIN).await.ok();
        assert_eq!(
            list,
            json!({
                "object": "list",
                "total": 2,
                "data": [
                    { "id": "acme", "slug": "acme", "name": "Acme Corp", "description": null, "created_at": null, "last_updated_at": null,
                      "defaults": { "metadata": { "company": "acme" } }, "usage_limits": [], "rate_limits": [], "object": "workspace" },
                    { "id": "globex", "slug": "globex", "name": "globex", "description": null, "created_at": null, "last_updated_at": null,
                      "defaults": { "metadata": { "company": "globex" } }, "usage_limits": [], "rate_limits": [], "object": "workspace" },
                ],
            })
        );
        for (more, total, shown) in [
            ("name=Acme", 1, 1),
            ("name=acme", 0, 0),
            ("exact_name=globex", 1, 1),
            ("exact_name=glob", 0, 0),
            ("status=active,archived", 2, 2),
            ("status=archived", 0, 0),
            ("page_size=1&current_page=1", 2, 1),
        ] {
            let list = get(&app, &format!("/admin/workspaces?{more}"), ADMIN).await.ok();
            assert_eq!((&list["total"], list["data"].as_array().unwrap().len()), (&json!(total), shown), "{more}");
        }
        get(&app, "/admin/workspaces?status=deleted", ADMIN).await.fails(400, "AB01");

        let list = get(&app, "/virtual-keys?current_page=0&page_size=1", ADMIN).await.ok();
        assert_eq!(
            list,
            json!({
                "object": "list",
                "total": 2,
                "data": [{ "name": "openai-acme", "note": null, "status": "active", "usage_limits": null, "rate_limits": [],
                    "slug": "openai-acme", "provider": "openai", "model_config": {}, "created_at": null, "expires_at": null,
                    "object": "virtual-key" }],
            })
        );
        assert_eq!(
            get(&app, "/virtual-keys?workspace_id=globex", ADMIN).await.ok()["data"][0]["slug"],
            "openai-globex"
        );
    }
}

/// Returns the schema of a success of an endpoint, with all schemas that it may refer to.
fn schema(document: &Value, method: &str, path: &str) -> Value {
    let content = &document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"];
    assert!(content.is_object(), "{method} {path} is not in the document");
    json!({ "allOf": [content], "components": document["components"] })
}

#[track_caller]
fn assert_valid(document: &Value, method: &str, path: &str, reply: &Reply) {
    let schema = schema(document, method, path);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let body = reply.ok();
    let problems: Vec<String> =
        validator.iter_errors(&body).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{method} {path}: {problems:#?}\n{body:#}");
}

#[tokio::test]
async fn the_openapi_document_has_the_statuses_of_errors() {
    let document = get(&apps().remove(0), "/openapi.json", "").await.ok();
    let statuses = |method: &str, path: &str| -> BTreeSet<String> {
        document["paths"][path][method]["responses"].as_object().unwrap().keys().cloned().collect()
    };
    for (method, path, expected) in [
        ("post", "/query", &["413", "414", "504"][..]),
        ("post", "/logs/exports", &["413", "429"]),
        ("put", "/logs/exports/{id}", &["409", "413"]),
        ("post", "/logs/exports/{id}/start", &["409", "429"]),
        ("get", "/logs/exports/{id}/download", &["409"]),
        ("get", "/analytics/graphs/cost", &["400", "401", "403", "414", "500", "504"]),
    ] {
        let statuses = statuses(method, path);
        assert!(expected.iter().all(|status| statuses.contains(*status)), "{method} {path}: {statuses:?}");
    }
    assert!(!statuses("get", "/analytics/graphs/cost").contains("413"), "it has no body");
}

#[tokio::test]
async fn every_answer_is_valid_by_the_openapi_document() {
    for app in apps() {
        let document = get(&app, "/openapi.json", "").await.ok();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut checked = BTreeSet::new();
        let paths = document["paths"].as_object().unwrap().clone();
        for path in paths.keys().filter(|path| path.starts_with("/analytics/") || path.starts_with("/logs/groups")) {
            let real = path.replace("{key}", "_user").replace("{group_by}", "model");
            let more = if path.contains("group_by") {
                "columns=cost,avg_latency,p99_latency,last_seen,success_rate"
            } else {
                ""
            };
            assert_valid(&document, "get", path, &get(&app, &ranged(&real, more), ADMIN).await);
            checked.insert(format!("get {path}"));
        }
        let query = json!({
            "range": { "from": FROM, "to": TO }, "group_by": ["metadata._user"], "bucket": "day",
            "measures": ["cost", "p99_latency", "last_seen", "error_rate"], "limit": 1,
        });
        let export = post(&app, "/logs/exports", ADMIN, json!({ "filters": filters() })).await;
        let export_id = export.json()["id"].as_str().unwrap().to_owned();
        let export_path = format!("/logs/exports/{export_id}");
        let created = post(&app, "/logs", ADMIN, log()).await;
        let log_id = created.json()["logIds"][0].as_str().unwrap().to_owned();
        let feedback = post(&app, "/feedback", ADMIN, json!({ "trace_id": "t", "value": 1 })).await;
        let feedback_id = feedback.json()["feedback_ids"][0].as_str().unwrap().to_owned();
        let changed = json!({ "feedback_id": feedback_id, "value": 2 });
        let mut check = |method: &str, path: &str, reply: Reply| {
            assert_valid(&document, method, path, &reply);
            checked.insert(format!("{method} {path}"));
        };
        check("post", "/query", post(&app, "/query", ADMIN, query.clone()).await);
        check("post", "/query/explain", post(&app, "/query/explain", ADMIN, query).await);
        check("post", "/logs", created);
        check("get", "/logs/{id}", get(&app, &format!("/logs/{log_id}"), ADMIN).await);
        check("post", "/feedback", feedback);
        check("put", "/feedback", put(&app, "/feedback", ADMIN, changed.clone()).await);
        check("put", "/feedback/{id}", put(&app, &format!("/feedback/{feedback_id}"), ADMIN, changed).await);
        check("post", "/logs/exports", export);
        check("get", "/logs/exports", get(&app, "/logs/exports", ADMIN).await);
        check("get", "/logs/exports/restrictions", get(&app, "/logs/exports/restrictions", ADMIN).await);
        check("get", "/logs/exports/{id}", get(&app, &export_path, ADMIN).await);
        check("put", "/logs/exports/{id}", put(&app, &export_path, ADMIN, json!({ "description": "new" })).await);
        check(
            "post",
            "/logs/exports/{id}/cancel",
            post(&app, &format!("{export_path}/cancel"), ADMIN, Value::Null).await,
        );
        check(
            "post",
            "/logs/exports/{id}/start",
            post(&app, &format!("{export_path}/start"), ADMIN, Value::Null).await,
        );
        ended(&app, &export_id, ADMIN).await;
        check("get", "/logs/exports/{id}/download", get(&app, &format!("{export_path}/download"), ADMIN).await);
        check("get", "/admin/workspaces", get(&app, "/admin/workspaces", ADMIN).await);
        check("get", "/virtual-keys", get(&app, "/virtual-keys", ADMIN).await);
        check("get", "/openapi.json", get(&app, "/openapi.json", "").await);
        for path in ["/export", "/logs/exports/{id}/file"] {
            checked.insert(format!("get {path}"));
        }
        let focus = ranged("/focus", "account=a&tags=_user&manifest=true");
        assert_valid(&document, "get", "/focus", &get(&app, &focus, ADMIN).await);
        let session = format!("/sessions/_user/ada?time_of_generation_min={FROM}");
        let session = get(&app, &session, ADMIN).await;
        assert_valid(&document, "get", "/sessions/{key}/{value}", &session);
        assert_valid(&document, "get", "/traces/{id}", &get(&app, "/traces/trace-1", ADMIN).await);
        checked.extend(["/focus", "/sessions/{key}/{value}", "/traces/{id}"].map(|path| format!("get {path}")));
        let session = session.ok();
        let schemas = &document["components"]["schemas"];
        for (name, value) in
            [("TraceView", &session), ("Turn", &session["turns"][0]), ("TraceSummary", &session["summary"])]
        {
            let documented = schemas[name]["properties"].as_object().unwrap().keys().collect::<BTreeSet<_>>();
            assert_eq!(documented, value.as_object().unwrap().keys().collect(), "{name}");
        }

        let documented = paths
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")));
        assert_eq!(documented.collect::<BTreeSet<_>>(), checked);
        let validator = jsonschema::validator_for(
            &json!({ "$ref": "#/components/schemas/ErrorBody", "components": document["components"] }),
        )
        .unwrap();
        assert!(validator.is_valid(&get(&app, "/nothing", "").await.json()));
        let _ = send(&app, Method::GET, "/", "", None).await;
    }
}
