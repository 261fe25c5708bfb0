//! Logs, feedback, lists, and the OpenAPI document of the HTTP API.

#[path = "common/api.rs"]
mod api;

use std::collections::BTreeSet;

use axum::Router;
use http::Method;
use serde_json::{Value, json};

use api::{ADMIN, FROM, Reply, TO, ended, filters, get, post, put, ranged, samples, secret, send, stores};

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
        ("post", "/logs/exports", &["413"]),
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
        check("get", "/logs/{id}/cost", get(&app, &format!("/logs/{log_id}/cost"), ADMIN).await);
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
