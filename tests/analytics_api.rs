//! The shapes and numbers of the HTTP API.

#![allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "the numbers are small and exact")]

#[path = "common/api.rs"]
mod api;

use axum::Router;
use http::Method;
use serde_json::{Value, json};

use api::{ADMIN, FROM, Sample, get, hour, post, ranged, samples, secret, stores};

/// Returns the API over each store, with the sample events.
fn apps() -> Vec<Router> {
    stores(&samples()).into_iter().map(api::api).collect()
}

async fn graph(app: &Router, name: &str, key: &str) -> Value {
    let graph = get(app, &ranged(&format!("/analytics/graphs/{name}"), ""), key).await.ok();
    assert_eq!(graph["object"], "analytics-graph");
    assert_eq!(names(&graph), ["data_points", "object", "summary"]);
    graph
}

/// Returns the names of the members, sorted.
fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Checks that every point has these members, and that the points begin every hour.
fn assert_points(graph: &Value, expected: &[&str]) {
    let points = graph["data_points"].as_array().unwrap();
    assert_eq!(points.len(), 72, "three days in hours");
    for (at, point) in points.iter().enumerate() {
        let mut expected = expected.to_vec();
        expected.push("timestamp");
        expected.sort_unstable();
        assert_eq!(names(point), expected);
        let time = humantime::format_rfc3339_seconds(hour(at as u64)).to_string();
        assert_eq!(point["timestamp"], time);
    }
}

/// Returns the sum of the known values.
fn sum(graph: &Value, member: &str) -> f64 {
    let values = graph["data_points"].as_array().unwrap().iter().map(|point| &point[member]);
    values.filter(|value| !value.is_null()).map(|value| value.as_f64().unwrap()).sum()
}

fn acme() -> String {
    secret("acme")
}

#[tokio::test]
async fn graphs_of_volume_have_portkeys_shapes() {
    for app in apps() {
        let requests = graph(&app, "requests", &acme()).await;
        assert_eq!(requests["summary"], json!({ "total": 10 }));
        assert_points(&requests, &["total"]);
        assert_eq!(requests["data_points"][27]["total"], 2);
        assert_eq!(sum(&requests, "total"), 10.0);

        let cost = graph(&app, "cost", &acme()).await;
        // Cents: 3 + 7.0000001 + 3 + 1.5 + 3, of 8 calls whose cost is known.
        let total = 17.500_000_1;
        assert_eq!(names(&cost["summary"]), ["avg", "total"]);
        assert_eq!(cost["summary"]["total"], json!(total));
        assert!((cost["summary"]["avg"].as_f64().unwrap() - total / 8.0).abs() < 1e-9);
        assert_points(&cost, &["avg", "total"]);
        assert_eq!(cost["data_points"][1], json!({ "timestamp": "2026-06-01T01:00:00Z", "total": 3.0, "avg": 3.0 }));
        assert_eq!(cost["data_points"][0], json!({ "timestamp": "2026-06-01T00:00:00Z", "total": 0.0, "avg": null }));
        // The only call of this hour has no price.
        assert_eq!(cost["data_points"][51], json!({ "timestamp": "2026-06-03T03:00:00Z", "total": null, "avg": null }));

        let tokens = graph(&app, "tokens", &acme()).await;
        assert_eq!(tokens["summary"]["total"], 4 * 120 + 250 + 15);
        assert!((tokens["summary"]["avg"].as_f64().unwrap() - 745.0 / 6.0).abs() < 1e-9);
        assert_points(&tokens, &["avg", "total"]);

        let latency = graph(&app, "latency", &acme()).await;
        assert_eq!(names(&latency["summary"]), ["avg", "p50", "p90", "p99"]);
        assert_eq!(
            latency["summary"]["avg"],
            json!(f64::from(200 + 400 + 1_000 + 200 + 5 + 7 + 9 + 200 + 200 + 50) / 10.0)
        );
        assert_points(&latency, &["avg", "p50", "p90", "p99"]);
        let point = &latency["data_points"][26];
        assert!((point["p99"].as_f64().unwrap() - 1_000.0).abs() <= 10.0, "{point}");
        assert_eq!(latency["data_points"][0]["p50"], Value::Null, "unknown is not zero");
    }
}

#[tokio::test]
async fn graphs_of_users_have_portkeys_shapes() {
    for app in apps() {
        let users = graph(&app, "users", ADMIN).await;
        assert_eq!(users["summary"], json!({ "total": 3 }));
        assert_points(&users, &["total"]);
        assert_eq!(users["data_points"][1]["total"], 2);

        let requests = graph(&app, "users/requests", &acme()).await;
        assert_eq!(requests["summary"], json!({ "total": 8, "unique": 2, "avg": 4.0 }));
        assert_points(&requests, &["avg"]);
        assert_eq!(requests["data_points"][27]["avg"], 1.0);
        assert_eq!(requests["data_points"][52]["avg"], Value::Null);
    }
}

#[tokio::test]
async fn graphs_of_errors_have_portkeys_shapes() {
    for app in apps() {
        let errors = graph(&app, "errors", &acme()).await;
        assert_eq!(errors["summary"], json!({ "total": 3 }));
        assert_points(&errors, &["total"]);
        assert_eq!(sum(&errors, "total"), 3.0);

        let rate = graph(&app, "errors/rate", &acme()).await;
        assert_eq!(rate["summary"], json!({ "rate": 30.0 }));
        assert_points(&rate, &["rate"]);
        assert_eq!((&rate["data_points"][27]["rate"], &rate["data_points"][0]["rate"]), (&json!(50.0), &Value::Null));

        let stacks = graph(&app, "errors/stacks", &acme()).await;
        assert_eq!(stacks["summary"], json!({ "total": 3 }));
        assert_points(&stacks, &["stats"]);
        assert_eq!(stacks["data_points"][27]["stats"], json!([{ "response_status_code": 429, "count": 1 }]));
        assert_eq!(stacks["data_points"][0]["stats"], json!([]));

        let codes = graph(&app, "errors/status-codes", &acme()).await;
        assert_eq!(codes["summary"], json!({ "total_errors": 3, "unique_error_codes": 2 }));
        let points = json!([{ "status_code": 500, "count": 2 }, { "status_code": 429, "count": 1 }]);
        assert_eq!(codes["data_points"], points);
    }
}

#[tokio::test]
async fn graphs_of_caches_and_retries_keep_their_shapes_with_zeros() {
    for app in apps() {
        let rescued = graph(&app, "requests/rescued", &acme()).await;
        assert_eq!(rescued["summary"], json!({ "retry": 0, "fallback": 0 }));
        assert_points(&rescued, &["fallback", "retry"]);
        assert_eq!((&rescued["data_points"][1]["retry"], sum(&rescued, "fallback")), (&json!([]), 0.0));

        let hits = graph(&app, "cache/hit-rate", &acme()).await;
        assert_eq!(hits["summary"], json!({ "total": 0, "rate": 0.0 }));
        let members = [
            "cumulative_semantic_cache_savings",
            "cumulative_simple_cache_savings",
            "rate",
            "semantic_hits",
            "simple_hits",
        ];
        assert_points(&hits, &members);
        assert!(members.iter().all(|member| sum(&hits, member) == 0.0));

        let latency = graph(&app, "cache/latency", &acme()).await;
        assert_eq!(latency["summary"], json!({}));
        assert_points(&latency, &["avg"]);
        assert_eq!(sum(&latency, "avg"), 0.0);

        let summary = get(&app, &ranged("/analytics/summary/cache", ""), &acme()).await.ok();
        let zeros = json!({ "hits": 0, "avg_latency": 0.0, "total_requests": 10, "cache_speedup": 0.0 });
        assert_eq!(summary, json!({ "summary": zeros, "object": "analytics-summary" }));
    }
}

/// Every answer of Portkey's shapes reports how far its numbers can be trusted.
#[tokio::test]
async fn answers_that_are_not_exact_have_their_basis() {
    let names =
        ["graphs/requests", "graphs/cost", "graphs/errors/stacks", "summary/cache", "groups/users", "groups/model"];
    let limited = |rows| stores(&samples()).remove(1).row_limits(rows, std::time::Duration::from_secs(5));
    for (rows, is_exact) in [(1_000, true), (3, false)] {
        let app = api::api(limited(rows));
        for name in names {
            // Numbers need rows.
            let path = ranged(&format!("/analytics/{name}"), "total_units_min=1");
            let reply = get(&app, &path, ADMIN).await;
            let body = reply.ok();
            assert_eq!(reply.headers["x-tagging-exact"], if is_exact { "true" } else { "false" }, "{name}");
            assert_eq!(reply.headers["x-tagging-data-up-to"], "2026-06-03T05:00:00Z", "{name}");
            if is_exact {
                assert!(body.get("basis").is_none(), "{name}: Portkey's shape: {body}");
            } else {
                let basis = &body["basis"];
                assert_eq!((&basis["is_exact"], &basis["to"]), (&json!(false), &json!(api::TO)), "{name}");
                assert!(basis["from"].as_str().unwrap() > FROM, "{name}: {basis}");
                assert!(basis["notes"][0].as_str().unwrap().contains("3 rows"), "{name}: {basis}");
            }
        }
        let query = json!({ "range": { "from": FROM, "to": api::TO }, "filters": [{ "on": "total_tokens", "op": "between", "value": [1, null] }] });
        let reply = post(&app, "/query", ADMIN, query).await;
        assert_eq!(
            (&reply.ok()["basis"]["is_exact"], &reply.headers["x-tagging-exact"]),
            (&json!(is_exact), &http::HeaderValue::from_str(&is_exact.to_string()).unwrap())
        );
    }
}

#[tokio::test]
async fn paths_of_the_node_sdk_answer_as_the_documented_ones() {
    for app in apps() {
        for (path, alias) in [
            ("users/requests", "users-requests"),
            ("errors/rate", "errors-rate"),
            ("errors/stacks", "errors-stack"),
            ("errors/status-codes", "errors-status-code"),
            ("requests/rescued", "requests-rescued"),
            ("cache/hit-rate", "cache-hit-rate"),
            ("cache/latency", "cache-latency"),
            ("feedbacks/scores", "feedbacks/score"),
        ] {
            assert_eq!(graph(&app, path, ADMIN).await, graph(&app, alias, ADMIN).await, "{alias}");
        }
    }
}

async fn groups(app: &Router, name: &str, more: &str, key: &str) -> Value {
    let list = get(app, &ranged(&format!("/analytics/groups/{name}"), more), key).await.ok();
    assert_eq!((names(&list), &list["object"]), (vec!["data", "object", "total"], &json!("list")));
    for row in list["data"].as_array().unwrap() {
        assert_eq!(row["object"], "analytics-group");
        assert!(row["requests"].is_u64(), "numbers are not texts: {row}");
    }
    list
}

#[tokio::test]
async fn groups_have_portkeys_shapes() {
    for app in apps() {
        let users = groups(&app, "users", "", &acme()).await;
        assert_eq!(users["total"], 2);
        assert_eq!(
            users["data"][0],
            json!({ "user": "ada", "requests": 6, "cost": 10.000_000_1, "object": "analytics-group" })
        );

        let models = groups(&app, "ai-models", "", &acme()).await;
        assert_eq!(models["total"], 3);
        assert_eq!(models["data"][0], json!({ "ai_model": "gpt-4o", "requests": 7, "object": "analytics-group" }));

        let tags = groups(&app, "metadata/_user", "", &acme()).await;
        let row = &tags["data"][1];
        let members = [
            "avg_tokens",
            "avg_weighted_feedback",
            "cost",
            "last_seen",
            "metadata_value",
            "object",
            "requests",
            "requests_with_feedback",
        ];
        assert_eq!(names(row), members);
        assert_eq!((&row["metadata_value"], &row["requests"], &row["cost"]), (&json!("bob"), &json!(2), &json!(4.5)));
        assert_eq!(row["avg_tokens"], 120.0);
        assert_eq!((&row["requests_with_feedback"], &row["avg_weighted_feedback"]), (&json!(0), &Value::Null));
        assert_eq!(row["last_seen"], "2026-06-02T03:00:00Z");
        assert_eq!(tags["total"], 2, "requests without the tag are in no group");

        let codes = groups(&app, "status_code", "", &acme()).await;
        assert_eq!(codes["data"][0], json!({ "status_code": 200, "requests": 7, "object": "analytics-group" }));
        for (name, first) in [
            ("ai_service", json!("openai")),
            ("provider", json!("openai")),
            ("model", json!("gpt-4o")),
            ("api_key", json!("acme-key")),
            ("workspace", json!("acme")),
            ("virtual_key", json!("openai-prod")),
        ] {
            assert_eq!(groups(&app, name, "", ADMIN).await["data"][0][name], first, "{name}");
        }
        for name in ["config", "prompt"] {
            assert_eq!(groups(&app, name, "", ADMIN).await, json!({ "object": "list", "total": 0, "data": [] }));
        }
        let workspaces = groups(&app, "workspaces", "", ADMIN).await;
        assert_eq!((&workspaces["total"], &workspaces["data"][0]["workspace"]), (&json!(2), &json!("acme")));
        let error = get(&app, &ranged("/analytics/groups/nothing", ""), ADMIN).await.fails(400, "AB01");
        assert!(error.contains("nothing") && error.contains("model"), "{error}");
    }
}

#[tokio::test]
async fn groups_have_the_columns_that_a_request_names() {
    const COLUMNS: &[&str] = &[
        "cost",
        "total_tokens",
        "avg_tokens",
        "avg_input_tokens",
        "avg_output_tokens",
        "avg_latency",
        "p95_latency",
        "p99_latency",
        "success_rate",
        "error_count",
        "cache_hit_rate",
        "last_seen",
        "first_seen",
    ];
    for app in apps() {
        let list = groups(&app, "model", &format!("columns={}", COLUMNS.join(",")), &acme()).await;
        let mut expected = COLUMNS.to_vec();
        expected.extend(["model", "object", "requests"]);
        expected.sort_unstable();
        let row = &list["data"][0];
        assert_eq!(names(row), expected);
        assert_eq!(row["cost"], 16.000_000_1);
        assert_eq!(
            (&row["total_tokens"], &row["error_count"], &row["cache_hit_rate"]),
            (&json!(610), &json!(3), &json!(0))
        );
        assert!((row["success_rate"].as_f64().unwrap() - 400.0 / 7.0).abs() < 1e-9);
        assert_eq!(
            (&row["first_seen"], &row["last_seen"]),
            (&json!("2026-06-01T01:00:00Z"), &json!("2026-06-03T04:00:00Z"))
        );
        // The cost of a model without a price is unknown.
        let unpriced = list["data"].as_array().unwrap().iter().find(|row| row["model"] == "in-house-1").unwrap();
        assert_eq!((&unpriced["cost"], &unpriced["total_tokens"]), (&Value::Null, &json!(15)));
        // Groups with columns of their own take others too.
        let users = groups(&app, "users", "columns=error_count", &acme()).await;
        assert_eq!(names(&users["data"][0]), ["cost", "error_count", "object", "requests", "user"]);
        let error =
            get(&app, &ranged("/analytics/groups/model", "columns=cost,nothing"), &acme()).await.fails(400, "AB01");
        assert!(error.contains("nothing") && error.contains("avg_latency"), "{error}");
        let logs = get(&app, &ranged("/logs/groups/model", "columns=cost"), &acme()).await.ok();
        assert_eq!(
            logs["data"][0],
            json!({ "model": "gpt-4o", "requests": 7, "cost": 16.000_000_1, "object": "analytics-group" })
        );
    }
}

#[tokio::test]
async fn pages_of_groups_start_at_0_and_cover_every_group_once() {
    let events: Vec<_> = (0..25)
        .flat_map(|user| {
            let user: &'static str = Box::leak(format!("user-{user:02}").into_boxed_str());
            std::iter::repeat_with(move || Sample { user: Some(user), ..Sample::default() }.event())
                .take(1 + user.len() % 3)
        })
        .collect();
    for analytics in stores(&events) {
        let app = api::api(analytics);
        let mut users = Vec::new();
        for page in 0..4 {
            let list = groups(&app, "users", &format!("current_page={page}&page_size=7"), ADMIN).await;
            assert_eq!(list["total"], 25);
            let rows = list["data"].as_array().unwrap();
            assert_eq!(rows.len(), if page == 3 { 4 } else { 7 });
            users.extend(rows.iter().map(|row| row["user"].as_str().unwrap().to_owned()));
        }
        assert_eq!(users.iter().collect::<std::collections::BTreeSet<_>>().len(), 25);
        assert_eq!(groups(&app, "users", "current_page=9&page_size=7", ADMIN).await["data"], json!([]));
        assert_eq!(groups(&app, "users", "", ADMIN).await["data"].as_array().unwrap().len(), 25);
        for more in ["page_size=0", "page_size=1001", "page_size=x", "current_page=-1", "current_page=99999999999"] {
            get(&app, &ranged("/analytics/groups/users", more), ADMIN).await.fails(400, "AB01");
        }
    }
}

#[tokio::test]
async fn groups_are_ordered_as_asked() {
    for app in apps() {
        let first = |list: Value| list["data"][0]["model"].as_str().unwrap().to_owned();
        assert_eq!(first(groups(&app, "model", "order_by=cost&order_by_type=desc", &acme()).await), "gpt-4o");
        let cheapest = groups(&app, "model", "order_by=cost&order_by_type=asc", &acme()).await;
        assert_eq!(first(cheapest.clone()), "claude-sonnet-4-5");
        // The groups whose cost is unknown are the last ones.
        let last = cheapest["data"].as_array().unwrap().last().unwrap();
        assert_eq!((last["model"].as_str(), &last["cost"]), (Some("in-house-1"), &Value::Null));
        assert_eq!(
            first(groups(&app, "model", "order_by=requests&order_by_type=asc&include_total=true", &acme()).await),
            "claude-sonnet-4-5"
        );
        for more in ["order_by=nothing", "order_by_type=up", "include_total=maybe"] {
            get(&app, &ranged("/analytics/groups/model", more), &acme()).await.fails(400, "AB01");
        }
    }
}

#[tokio::test]
async fn every_filter_selects_the_requests_that_match() {
    for app in apps() {
        for (more, expected) in [
            ("", 13),
            ("workspace_slug=acme", 10),
            ("workspace_slug=acme,globex", 13),
            ("total_units_min=250", 1),
            ("total_units_max=15", 1),
            ("total_units_min=0", 13),
            ("prompt_token_min=100&prompt_token_max=100", 6),
            ("completion_token_min=20&completion_token_max=49", 6),
            ("cost_min=7", 2),
            ("cost_min=1.5&cost_max=1.5", 1),
            ("cost_max=0", 4),
            ("status_code=500", 2),
            ("status_code=500,429,404", 4),
            ("virtual_keys=openai-prod", 13),
            ("virtual_keys=other", 0),
            ("api_key_ids=acme-key", 10),
            ("trace_id=trace-1", 1),
            ("trace_id=trace-1,trace-g,unknown", 2),
            ("span_id=00f067aa0ba902b7", 13),
            ("ai_org_model=openai__gpt-4o", 10),
            ("ai_org_model=openai__gpt-4o,anthropic__claude-sonnet-4-5", 11),
            // Pairs, not any provider with any model.
            ("ai_org_model=anthropic__gpt-4o,openai__claude-sonnet-4-5", 0),
            ("ai_model=claude-sonnet-4-5", 1),
            ("metadata=%7B%22_user%22%3A%22ada%22%7D", 7),
            ("metadata=%7B%22_user%22%3A%22ada%22%2C%22tenant_id%22%3A%22globex%22%7D", 1),
            ("configs=pc-1", 0),
            ("prompt_slug=pp-1", 0),
            ("cache_status=disabled", 13),
            ("cache_status=hit", 0),
            ("cache_status=hit,disabled", 13),
            ("weighted_feedback_min=1", 0),
            ("status_code=200&ai_org_model=openai__gpt-4o&workspace_slug=acme", 4),
            ("workspace_slug=", 13),
        ] {
            let graph = get(&app, &ranged("/analytics/graphs/requests", more), ADMIN).await.ok();
            assert_eq!(graph["summary"]["total"], expected, "{more}");
        }
    }
}

#[tokio::test]
async fn a_trace_is_found_by_either_of_its_ids() {
    let event = Sample { trace: Some("trace-of-the-client"), ..Sample::default() }.event();
    let w3c = event.trace().trace_id().to_string();
    for analytics in stores(&[event, Sample::default().event()]) {
        let app = api::api(analytics);
        for id in ["trace-of-the-client", &w3c, &w3c.to_uppercase()] {
            let graph = get(&app, &ranged("/analytics/graphs/requests", &format!("trace_id={id}")), ADMIN).await.ok();
            assert_eq!(graph["summary"]["total"], 1, "{id}");
        }
    }
}

#[tokio::test]
async fn days_begin_at_midnight_of_the_zone() {
    let utc = "time_of_generation_min=2026-05-31T22:00:00Z&time_of_generation_max=2026-06-30T22:00:00Z";
    let local = "time_of_generation_min=2026-06-01T00:00:00%2B02:00&time_of_generation_max=2026-07-01T00:00:00%2B02:00";
    let unencoded = "time_of_generation_min=2026-06-01T00:00:00+02:00&time_of_generation_max=2026-07-01T00:00:00+02:00";
    for app in apps() {
        for range in [utc, local, unencoded] {
            let path = format!("/analytics/graphs/requests?{range}&time_zone=Europe/Berlin");
            let graph = get(&app, &path, ADMIN).await.ok();
            let points = graph["data_points"].as_array().unwrap();
            assert_eq!(points.len(), 30);
            assert_eq!(points[1]["timestamp"], "2026-06-01T22:00:00Z");
            assert_eq!(sum(&graph, "total"), 13.0);
        }
    }
}

#[tokio::test]
async fn sums_of_all_endpoints_reconcile() {
    for app in apps() {
        for key in [ADMIN.to_owned(), acme(), secret("globex")] {
            let requests = graph(&app, "requests", &key).await["summary"]["total"].as_u64().unwrap();
            let cost = graph(&app, "cost", &key).await;
            let total = cost["summary"]["total"].as_f64().unwrap();
            assert!((sum(&cost, "total") - total).abs() < 1e-6);
            let tokens = graph(&app, "tokens", &key).await;
            assert_eq!(sum(&tokens, "total"), tokens["summary"]["total"].as_f64().unwrap());
            for name in ["workspace", "status_code", "api_key"] {
                let list = groups(&app, name, "columns=cost,total_tokens,error_count", &key).await;
                let column = |member: &str| -> f64 {
                    list["data"].as_array().unwrap().iter().map(|row| row[member].as_f64().unwrap()).sum()
                };
                assert_eq!(column("requests"), requests as f64, "{name}");
                assert!((column("cost") - total).abs() < 1e-6, "{name}");
                assert_eq!(column("total_tokens"), tokens["summary"]["total"].as_f64().unwrap(), "{name}");
                let errors = graph(&app, "errors", &key).await["summary"]["total"].as_f64().unwrap();
                assert_eq!(column("error_count"), errors, "{name}");
            }
            let errors = graph(&app, "errors", &key).await["summary"]["total"].clone();
            assert_eq!(graph(&app, "errors/status-codes", &key).await["summary"]["total_errors"], errors);
            let stacks = graph(&app, "errors/stacks", &key).await;
            let stats =
                stacks["data_points"].as_array().unwrap().iter().flat_map(|point| point["stats"].as_array().unwrap());
            assert_eq!(stats.map(|stat| stat["count"].as_u64().unwrap()).sum::<u64>(), errors.as_u64().unwrap());

            let body = json!({
                "range": { "from": FROM, "to": api::TO },
                "group_by": ["metadata._user"],
                "bucket": "day",
                "measures": ["cost", "requests"],
            });
            let answer = post(&app, "/query", &key, body).await.ok();
            assert!((answer["total"][0].as_f64().unwrap() * 100.0 - total).abs() < 1e-6);
            let by_user: u64 =
                answer["groups"].as_array().unwrap().iter().map(|group| group["total"][1].as_u64().unwrap()).sum();
            assert_eq!(
                (by_user, answer["total"][1].as_u64().unwrap()),
                (requests, requests),
                "the unset value is a group"
            );
            let by_day: u64 = answer["series"].as_array().unwrap().iter().map(|cell| cell[1].as_u64().unwrap()).sum();
            assert_eq!(by_day, requests);
        }
    }
}

#[tokio::test]
async fn queries_have_filters_groups_measures_order_and_pages() {
    for app in apps() {
        let range = json!({ "from": FROM, "to": api::TO, "zone": "Europe/Berlin" });
        let total = |filters: Value| {
            let (app, range) = (app.clone(), range.clone());
            async move {
                let reply = post(&app, "/query", ADMIN, json!({ "range": range, "filters": filters })).await.ok();
                assert_eq!(reply["measures"], json!(["requests"]));
                reply["total"][0].as_u64().unwrap()
            }
        };
        for (filters, expected) in [
            (json!([{ "on": "metadata._user", "op": "is", "value": "ada" }]), 7),
            (json!([{ "on": "metadata._user", "op": "is_not", "value": "ada" }]), 6),
            (json!([{ "on": "metadata._user", "op": "in", "value": ["ada", "bob"] }]), 9),
            (json!([{ "on": "metadata._user", "op": "not_in", "value": ["ada", "bob"] }]), 4),
            (json!([{ "on": "metadata._user", "op": "has" }]), 11),
            (json!([{ "on": "metadata._user", "op": "has_not" }]), 2),
            (json!([{ "on": "model", "op": "prefix", "value": "gpt" }]), 10),
            (json!([{ "on": "status", "op": "between", "value": [500, null] }]), 2),
            (json!([{ "on": "status", "op": "is", "value": 429 }]), 1),
            (json!([{ "on": "cost_nanos", "op": "between", "value": [1, 15_000_000] }]), 1),
            (json!([{ "on": "trace", "op": "in", "value": ["trace-1", "trace-g"] }]), 2),
            (
                json!([{ "on": "workspace", "op": "is", "value": "acme" }, { "on": "is_error", "op": "is", "value": true }]),
                3,
            ),
        ] {
            assert_eq!(total(filters.clone()).await, expected, "{filters}");
        }

        let mut body = json!({
            "range": range,
            "group_by": ["workspace", "model"],
            "measures": ["cost", "requests", "distinct(metadata._user)", "coverage(metadata._user)", "p95_latency", "last_seen"],
            "order": { "by": "requests", "descending": true },
            "bucket": "day",
            "limit": 2,
            "cursor": null,
        });
        let first = post(&app, "/query", ADMIN, body.clone()).await.ok();
        assert_eq!(first["group_count"], 5);
        assert_eq!(first["groups"][0]["values"], json!(["acme", "gpt-4o"]));
        assert_eq!(first["groups"][0]["total"][1], 7);
        assert_eq!(first["buckets"].as_array().unwrap().len(), first["series"].as_array().unwrap().len());
        assert_eq!(first["basis"]["is_exact"], true);
        body["cursor"] = first["next"].clone();
        let second = post(&app, "/query", ADMIN, body).await.ok();
        assert_eq!(second["groups"].as_array().unwrap().len(), 2);
        assert_ne!(first["groups"], second["groups"]);
    }
}

#[tokio::test]
async fn invalid_queries_are_refused_with_the_reason() {
    let range = json!({ "from": FROM, "to": api::TO });
    let app = apps().remove(0);
    for (change, part) in [
        (json!({ "range": { "from": "yesterday", "to": api::TO } }), "yesterday"),
        (json!({ "range": { "from": api::TO, "to": FROM } }), "range"),
        (json!({ "range": { "from": FROM, "to": api::TO, "zone": "Mars/Base" } }), "Mars/Base"),
        (json!({ "range": { "from": FROM, "to": api::TO, "tz": "UTC" } }), "tz"),
        (json!({ "filter": [] }), "filter"),
        (json!({ "filters": [{ "on": "model", "op": "like", "value": "%" }] }), "like"),
        (json!({ "filters": [{ "on": "nothing", "op": "is", "value": "1" }] }), "nothing"),
        (json!({ "filters": [{ "on": "metadata.", "op": "has" }] }), "metadata."),
        (json!({ "filters": [{ "on": "model", "op": "is" }] }), "model"),
        (json!({ "filters": [{ "on": "model", "op": "is", "value": ["a"] }] }), "model"),
        (json!({ "filters": [{ "on": "model", "op": "in", "value": "a" }] }), "model"),
        (json!({ "filters": [{ "on": "model", "op": "has", "value": "a" }] }), "model"),
        (json!({ "filters": [{ "on": "model", "op": "between", "value": [1, 2] }] }), "model"),
        (json!({ "filters": [{ "on": "status", "op": "between", "value": [1] }] }), "status"),
        (json!({ "filters": [{ "on": "status", "op": "between", "value": [-1, 2.5] }] }), "status"),
        (json!({ "filters": [{ "on": "trace", "op": "prefix", "value": "a" }] }), "trace"),
        (json!({ "filters": [{ "on": "model", "op": "is", "value": "a\u{0}b" }] }), "NUL"),
        (json!({ "group_by": ["nothing"] }), "nothing"),
        (json!({ "group_by": ["model", "status", "host", "route"] }), "3"),
        (json!({ "group_by": [format!("metadata.{}", "k".repeat(1_025))] }), "1024"),
        (json!({ "measures": ["nothing"] }), "nothing"),
        (json!({ "measures": vec!["cost"; 65] }), "64"),
        (json!({ "bucket": "fortnight" }), "fortnight"),
        (json!({ "bucket": "minute" }), "2000"),
        (json!({ "order": { "by": "cost" } }), "cost"),
        (json!({ "order": { "by": "values", "descending": true } }), "values"),
        (json!({ "limit": 0 }), "limit"),
        (json!({ "limit": 1_001 }), "limit"),
        (json!({ "group_by": ["model"], "cursor": "{" }), "cursor"),
    ] {
        let mut body = json!({ "range": range });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let message = post(&app, "/query", ADMIN, body).await.fails(400, "AB01");
        assert!(message.contains(part), "{change}: {message}");
    }
    let reply = api::send(&app, Method::POST, "/query", ADMIN, None).await;
    reply.fails(400, "AB01");
}
