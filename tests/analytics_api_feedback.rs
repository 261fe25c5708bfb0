//! The numbers of feedback in the graphs and groups of the HTTP API.

#[path = "common/api.rs"]
mod api;

use axum::Router;
use serde_json::{Value, json};

use api::{ADMIN, Sample, get, post, put, ranged, secret, stores};

/// Returns the API over each store with two traces of several requests, one of globex, and requests without feedback.
async fn apps() -> Vec<Router> {
    let step = |hour, model| Sample { hour, model: Some(model), trace: Some("trace-a"), ..Sample::default() };
    let samples = [
        step(1, "gpt-4o"),
        // Feedback counts for the first request of the trace only.
        step(2, "claude-sonnet-4-5"),
        step(30, "gpt-4o"),
        Sample {
            hour: 26,
            model: Some("claude-sonnet-4-5"),
            user: Some("bob"),
            trace: Some("trace-b"),
            ..Sample::default()
        },
        Sample { hour: 50, ..Sample::default() },
        Sample { workspace: "globex", hour: 4, trace: Some("trace-g"), ..Sample::default() },
    ];
    let events: Vec<_> = samples.iter().map(Sample::event).collect();
    let apps: Vec<Router> = stores(&events).into_iter().map(api::api).collect();
    for app in &apps {
        for (trace, value, weight, workspace) in [
            ("trace-a", 5, 1.0, "acme"),
            ("trace-a", -3, 0.5, "acme"),
            ("trace-b", 10, 0.25, "acme"),
            ("trace-g", 7, 1.0, "globex"),
            // No requests of the workspace have these trace ids.
            ("trace-g", 9, 1.0, "acme"),
            ("trace-z", 9, 1.0, "acme"),
        ] {
            let body = json!({ "trace_id": trace, "value": value, "weight": weight });
            post(app, "/feedback", &secret(workspace), body).await.ok();
        }
    }
    apps
}

async fn graph(app: &Router, name: &str, more: &str, key: &str) -> Value {
    get(app, &ranged(&format!("/analytics/graphs/{name}"), more), key).await.ok()
}

/// Returns the hours whose point has another value than `empty`.
fn filled(graph: &Value, member: &str, empty: &Value) -> Vec<(usize, Value)> {
    let points = graph["data_points"].as_array().unwrap().iter().map(|point| point[member].clone());
    points.enumerate().filter(|(_, value)| value != empty).collect()
}

#[tokio::test]
async fn each_entry_counts_once_at_the_time_of_the_first_request_of_its_trace() {
    for app in apps().await {
        for (key, total, hours) in [
            (ADMIN.to_owned(), 4, vec![(1, json!(2)), (4, json!(1)), (26, json!(1))]),
            (secret("acme"), 3, vec![(1, json!(2)), (26, json!(1))]),
            (secret("globex"), 1, vec![(4, json!(1))]),
        ] {
            let feedback = graph(&app, "feedbacks", "", &key).await;
            assert_eq!(feedback["summary"], json!({ "total": total }));
            assert_eq!(filled(&feedback, "total", &json!(0)), hours);
        }
    }
}

#[tokio::test]
async fn averages_multiply_each_value_by_its_weight() {
    for app in apps().await {
        // (5 · 1 − 3 · 0.5) / 2 and 10 · 0.25
        let hours = [(1, json!(1.75)), (26, json!(2.5))];
        let weighted = graph(&app, "feedbacks/weighted", "", &secret("acme")).await;
        assert_eq!(weighted["summary"], json!({ "avg": 2.0 }), "(5 − 1.5 + 2.5) / 3");
        assert_eq!(filled(&weighted, "avg", &Value::Null), hours);
        let weighted = graph(&app, "feedbacks/weighted", "", ADMIN).await;
        assert_eq!(weighted["summary"], json!({ "avg": 3.25 }), "(5 − 1.5 + 2.5 + 7) / 4");
    }
}

#[tokio::test]
async fn scores_are_counted_by_value() {
    for app in apps().await {
        let scores = graph(&app, "feedbacks/scores", "", &secret("acme")).await;
        assert_eq!(scores["summary"], json!({ "total": 3 }));
        let points: Vec<Value> = [-3, 5, 10].iter().map(|score| json!({ "score": score, "total": 1 })).collect();
        assert_eq!(scores["data_points"], json!(points));
        let scores = graph(&app, "feedbacks/scores", "", ADMIN).await;
        assert_eq!(scores["summary"], json!({ "total": 4 }));
    }
}

#[tokio::test]
async fn models_have_the_feedback_on_their_first_requests() {
    for app in apps().await {
        let models = graph(&app, "feedbacks/ai-models", "", ADMIN).await;
        let point = |model: &str, total: u64, average: f64| json!({ "ai_model": model, "total": total, "avg_weighted_feedback": average });
        let mut points = models["data_points"].as_array().unwrap().clone();
        points.sort_by_key(|point| point["ai_model"].to_string());
        // (5 − 1.5 + 7) / 3
        assert_eq!(points, [point("claude-sonnet-4-5", 1, 2.5), point("gpt-4o", 3, 3.5)]);

        // The first request of trace-a has another model, so its feedback counts for none of these requests.
        let claude = graph(&app, "feedbacks", "ai_model=claude-sonnet-4-5", ADMIN).await;
        assert_eq!(claude["summary"], json!({ "total": 1 }));
        let scores = graph(&app, "feedbacks/scores", "ai_model=claude-sonnet-4-5", ADMIN).await;
        assert_eq!(scores["data_points"], json!([{ "score": 10, "total": 1 }]));
    }
}

#[tokio::test]
async fn groups_have_the_requests_with_feedback_and_their_average() {
    for app in apps().await {
        let users = get(&app, &ranged("/analytics/groups/metadata/_user", ""), &secret("acme")).await.ok();
        let rows = users["data"].as_array().unwrap();
        for (user, requests, with_feedback, average) in [("ada", 4, 1, 1.75), ("bob", 1, 1, 2.5)] {
            let row = rows.iter().find(|row| row["metadata_value"] == user).unwrap();
            assert_eq!(
                (&row["requests"], &row["requests_with_feedback"], &row["avg_weighted_feedback"]),
                (&json!(requests), &json!(with_feedback), &json!(average)),
                "{user}"
            );
        }
    }
}

#[tokio::test]
async fn changed_feedback_replaces_the_earlier_value() {
    for app in apps().await {
        let body = json!({ "trace_id": "trace-b", "value": 4 });
        let id = post(&app, "/feedback", &secret("acme"), body).await.ok()["feedback_ids"][0].clone();
        let body = json!({ "feedback_id": id, "value": -10, "weight": 0.5 });
        put(&app, "/feedback", &secret("acme"), body).await.ok();
        let weighted = graph(&app, "feedbacks/weighted", "trace_id=trace-b", &secret("acme")).await;
        assert_eq!(weighted["summary"], json!({ "avg": -1.25 }), "(2.5 − 5) / 2");
        let feedback = graph(&app, "feedbacks", "trace_id=trace-b", &secret("acme")).await;
        assert_eq!(feedback["summary"], json!({ "total": 2 }));
    }
}

/// Clients of different workspaces may choose the same trace id.
#[tokio::test]
async fn feedback_belongs_to_a_trace_of_its_workspace() {
    let call = |workspace, hour| Sample { workspace, hour, trace: Some("chat-1"), ..Sample::default() };
    let events: Vec<_> = [call("acme", 1), call("acme", 2), call("globex", 3)].iter().map(Sample::event).collect();
    for app in stores(&events).into_iter().map(api::api) {
        for (workspace, value) in [("acme", 8), ("globex", -8)] {
            let body = json!({ "trace_id": "chat-1", "value": value });
            post(&app, "/feedback", &secret(workspace), body).await.ok();
        }
        for (condition, key, requests) in [
            ("weighted_feedback_min=1", ADMIN.to_owned(), 2),
            ("weighted_feedback_max=-1", ADMIN.to_owned(), 1),
            // The average of both workspaces.
            ("weighted_feedback_min=-1&weighted_feedback_max=1", ADMIN.to_owned(), 0),
            ("weighted_feedback_min=1", secret("acme"), 2),
            ("weighted_feedback_min=1", secret("globex"), 0),
        ] {
            let found = graph(&app, "requests", condition, &key).await;
            assert_eq!(found["summary"]["total"], json!(requests), "{condition}");
        }
    }
}

/// Earlier feedback may change each number, and the selection of a filter.
#[tokio::test]
async fn numbers_of_a_part_of_the_feedback_are_not_exact() {
    let call = Sample { hour: 1, trace: Some("chat-1"), ..Sample::default() };
    let store = stores(&[call.event()]).remove(1);
    let app = api::api(store.row_limits(10, std::time::Duration::from_secs(5)));
    for entries in [10, 11] {
        let given = if entries == 10 { 10 } else { 1 };
        let body = vec![json!({ "trace_id": "chat-1", "value": 4 }); given];
        post(&app, "/feedback", &secret("acme"), json!(body)).await.ok();
        let is_exact = entries == 10;
        for name in ["feedbacks", "feedbacks/scores", "feedbacks/weighted", "feedbacks/ai-models"] {
            let reply = get(&app, &ranged(&format!("/analytics/graphs/{name}"), ""), ADMIN).await;
            let body = reply.ok();
            assert_eq!(reply.headers["x-tagging-exact"], if is_exact { "true" } else { "false" }, "{name}");
            assert_eq!(reply.headers["x-tagging-data-up-to"], "2026-06-01T01:00:00Z", "{name}");
            let notes = body["basis"]["notes"].to_string();
            assert_eq!(notes.contains("latest entries"), !is_exact, "{name}: {body}");
        }
        let path = ranged("/analytics/graphs/requests", "weighted_feedback_min=1");
        let reply = get(&app, &path, ADMIN).await;
        if is_exact {
            assert_eq!(reply.ok()["summary"]["total"], 1);
        } else {
            assert!(reply.fails(400, "AB01").contains("more entries than a query reads"));
        }
    }
}

/// As in Portkey's API, feedback may arrive before its request does. It counts nowhere until then.
#[tokio::test]
async fn feedback_for_an_unknown_trace_counts_once_its_request_is_stored() {
    for app in apps().await {
        let acme = secret("acme");
        let before = graph(&app, "feedbacks", "", &acme).await["summary"]["total"].clone();
        let body = json!({ "trace_id": "later", "value": 4 });
        assert_eq!(post(&app, "/feedback", &acme, body).await.ok()["status"], "success");
        assert_eq!(graph(&app, "feedbacks", "", &acme).await["summary"]["total"], before);
        let log = json!({
            "request": { "url": "/v1/chat/completions" },
            "response": { "status": 200 },
            "metadata": { "traceId": "later" },
            "created_at": "2026-06-02T12:00:00Z",
        });
        post(&app, "/logs", &acme, log).await.ok();
        let after = graph(&app, "feedbacks", "", &acme).await["summary"]["total"].clone();
        assert_eq!(after.as_u64(), before.as_u64().map(|total| total + 1));
    }
}

/// Feedback of other workspaces takes no room in an answer about one.
#[tokio::test]
async fn a_filter_by_workspace_makes_filters_by_feedback_exact() {
    let traced = |workspace, trace| Sample { workspace, trace: Some(trace), ..Sample::default() };
    let events: Vec<_> =
        [traced("acme", "t-1"), traced("acme", "t-2"), traced("globex", "t-1")].map(|s| s.event()).into();
    for analytics in stores(&events) {
        // A query reads at most three entries.
        let app = api::api(analytics.clone().row_limits(3, std::time::Duration::from_secs(60)));
        for (workspace, trace, value) in [("acme", "t-1", 8), ("acme", "t-2", 2)] {
            post(&app, "/feedback", &secret(workspace), json!({ "trace_id": trace, "value": value })).await.ok();
        }
        for value in [-1, -2, -3, -4, -5] {
            post(&app, "/feedback", &secret("globex"), json!({ "trace_id": "t-1", "value": value })).await.ok();
        }
        for key in [ADMIN.to_owned(), secret("acme")] {
            for (range, total) in
                [("weighted_feedback_min=5", 1), ("weighted_feedback_min=2", 2), ("weighted_feedback_max=0", 0)]
            {
                let found = graph(&app, "requests", &format!("{range}&workspace_slug=acme"), &key).await;
                assert_eq!(found["summary"]["total"], total, "{range}");
            }
        }
        // Feedback of the whole organization counts in both.
        for (workspace, total) in [("acme", 1), ("globex", 0)] {
            let app = api::api(analytics.clone());
            let more = format!("weighted_feedback_min=5&workspace_slug={workspace}");
            assert_eq!(graph(&app, "requests", &more, ADMIN).await["summary"]["total"], total, "{workspace}");
        }
    }
}
