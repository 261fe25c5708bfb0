//! Hostile and invalid input of the HTTP API, and the layers around it.

#[path = "common/api.rs"]
mod api;

use std::{
    io::Read,
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use http::{Method, Request};
use percent::encoded;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_tagging::analytics::api::{Api, RegistryAccess};

use api::{ADMIN, FROM, TO, filters, get, post, ranged, samples, secret, send, stores};

mod percent {
    /// Encodes every byte of a parameter.
    pub(super) fn encoded(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
    }
}

/// Texts that break out of quotes, comments, and parameters in SQL, JSON, HTML, and headers.
const HOSTILE: &[&str] = &[
    "'",
    "''",
    "\"",
    "`",
    "\\",
    ";",
    "--",
    "/*",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "'; DROP TABLE tagging_events; --",
    "x' UNION SELECT * FROM tagging_events --",
    "1; SELECT pg_sleep(5)",
    "%27%20OR%201=1",
    "$1",
    "?1",
    ":name",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "a\r\nx-evil: 1",
    "' || (SELECT 1) || '",
    "') OR 1=1 --",
    "%",
    "_%",
    "\u{202e}abc",
    "ä'ö",
    "$.x",
    "a.b",
    "a\"]",
    "*",
    "{\"$ne\":null}",
];

const PARAMETERS: &[&str] = &[
    "workspace_slug",
    "total_units_min",
    "total_units_max",
    "prompt_token_min",
    "prompt_token_max",
    "completion_token_min",
    "completion_token_max",
    "cost_min",
    "cost_max",
    "status_code",
    "weighted_feedback_min",
    "weighted_feedback_max",
    "virtual_keys",
    "configs",
    "api_key_ids",
    "trace_id",
    "span_id",
    "prompt_slug",
    "ai_org_model",
    "ai_model",
    "metadata",
    "cache_status",
    "current_page",
    "page_size",
    "columns",
    "order_by",
    "order_by_type",
    "include_total",
    "time_zone",
];

fn app() -> Router {
    api::api(api::memory(&samples()))
}

fn apps() -> Vec<Router> {
    stores(&samples()).into_iter().map(api::api).collect()
}

/// Hostile text selects nothing or is refused. It never selects more than the requests that match it, or breaks the store.
#[tokio::test]
async fn hostile_text_in_parameters_matches_nothing_or_is_refused() {
    for app in apps() {
        for parameter in PARAMETERS {
            for text in HOSTILE {
                for path in ["/analytics/groups/model", "/analytics/graphs/requests"] {
                    let path = ranged(path, &format!("{parameter}={}", encoded(text)));
                    let reply = get(&app, &path, &secret("acme")).await;
                    match reply.status.as_u16() {
                        400 => _ = reply.fails(400, "AB01"),
                        200 if *parameter == "workspace_slug" => {}
                        200 => {
                            let body = reply.json();
                            let total = body["summary"]["total"].as_u64().or(body["total"].as_u64()).unwrap();
                            assert_eq!(total, 0, "{parameter}={text}: {body}");
                        }
                        status => panic!("{parameter}={text}: {status}"),
                    }
                }
            }
        }
        // Nothing was harmed.
        let graph = get(&app, &ranged("/analytics/graphs/requests", ""), ADMIN).await.ok();
        assert_eq!(graph["summary"]["total"], 13);
    }
}

#[tokio::test]
async fn hostile_names_of_keys_and_values_of_tags_match_nothing() {
    for app in apps() {
        for text in HOSTILE {
            let list =
                get(&app, &ranged(&format!("/analytics/groups/metadata/{}", encoded(text)), ""), &secret("acme"))
                    .await
                    .ok();
            assert_eq!((&list["total"], &list["data"]), (&json!(0), &json!([])), "{text}");
            for tags in [json!({ *text: "ada" }), json!({ "_user": text })] {
                let path = ranged("/analytics/graphs/requests", &format!("metadata={}", encoded(&tags.to_string())));
                assert_eq!(get(&app, &path, ADMIN).await.ok()["summary"]["total"], 0, "{tags}");
            }
            let dimension = format!("metadata.{text}");
            for filters in [
                json!([{ "on": dimension, "op": "is", "value": "ada" }]),
                json!([{ "on": "metadata._user", "op": "prefix", "value": text }]),
                json!([{ "on": "model", "op": "in", "value": [text] }]),
                json!([{ "on": "trace", "op": "is", "value": text }]),
            ] {
                let body = json!({ "range": { "from": FROM, "to": TO }, "filters": filters, "group_by": [dimension] });
                assert_eq!(post(&app, "/query", ADMIN, body).await.ok()["total"][0], 0, "{filters}");
            }
            let body = json!({ "range": { "from": FROM, "to": TO }, "group_by": [dimension], "measures": [format!("distinct({dimension})")] });
            let answer = post(&app, "/query", ADMIN, body).await.ok();
            assert_eq!((&answer["group_count"], &answer["total"][0]), (&json!(1), &json!(0)), "{text}");
            for path in [format!("/logs/{}", encoded(text)), format!("/logs/exports/{}", encoded(text))] {
                get(&app, &path, ADMIN).await.fails(404, "AB02");
            }
            get(&app, &ranged(&format!("/analytics/groups/{}", encoded(text)), ""), ADMIN).await.fails(400, "AB01");
        }
    }
}

#[tokio::test]
async fn missing_repeated_unknown_and_invalid_parameters_are_refused_by_name() {
    let app = app();
    for (query, part) in [
        (String::new(), "time_of_generation_min"),
        (format!("time_of_generation_min={FROM}"), "time_of_generation_max"),
        (format!("time_of_generation_min=2026-06-01&time_of_generation_max={TO}"), "2026-06-01"),
        (format!("time_of_generation_min={TO}&time_of_generation_max={FROM}"), "range"),
        (format!("time_of_generation_min={FROM}&time_of_generation_max={FROM}"), "range"),
        (ranged("", "time_of_generation_min=2020-01-01T00:00:00Z"), "repeated"),
        (ranged("", "workspace_slgu=acme"), "workspace_slgu"),
        (ranged("", "time_zone=Nowhere"), "Nowhere"),
        (ranged("", "cost_min=x"), "cost_min"),
        (ranged("", "cost_min=-1"), "cost_min"),
        (ranged("", "cost_max=NaN"), "cost_max"),
        (ranged("", "total_units_min=1.5"), "total_units_min"),
        (ranged("", "prompt_token_max=99999999999999999999"), "prompt_token_max"),
        (ranged("", "status_code=20x"), "20x"),
        (ranged("", "status_code=99"), "99"),
        (ranged("", "weighted_feedback_min=-11"), "weighted_feedback_min"),
        (ranged("", "weighted_feedback_max=10.5"), "weighted_feedback_max"),
        (ranged("", "ai_org_model=gpt-4o"), "gpt-4o"),
        (ranged("", "ai_org_model=openai__"), "openai__"),
        (ranged("", "cache_status=warm"), "warm"),
        (ranged("", "metadata=team"), "metadata"),
        (ranged("", "metadata=%5B%5D"), "metadata"),
        (ranged("", "metadata=%7B%22a%22%3A%7B%7D%7D"), "metadata"),
        (ranged("", "metadata=%7B%22a%22%3Anull%7D"), "metadata"),
        (ranged("", "metadata=%7B%22%22%3A%22a%22%7D"), "key of a tag"),
        (ranged("", "api_key_ids=a%00b"), "NUL"),
        (ranged("", "api_key_ids=%FF"), "UTF-8"),
        (ranged("", &format!("trace_id={}", vec!["a"; 1_001].join(","))), "1000"),
    ] {
        let path = format!("/analytics/graphs/requests?{}", query.trim_start_matches('?'));
        let message = get(&app, &path, ADMIN).await.fails(400, "AB01");
        assert!(message.contains(part), "{query}: {message}");
    }
}

/// The error names the parameters that the endpoint accepts, which are those of the OpenAPI document.
#[tokio::test]
async fn parameters_that_an_endpoint_does_not_have_are_refused_with_those_that_it_has() {
    let app = app();
    let document = get(&app, "/openapi.json", "").await.ok();
    for (endpoint, path) in [
        ("/analytics/graphs/cost", ranged("/analytics/graphs/cost", "")),
        ("/analytics/graphs/feedbacks/scores", ranged("/analytics/graphs/feedbacks/scores", "")),
        ("/analytics/summary/cache", ranged("/analytics/summary/cache", "")),
        ("/analytics/groups/users", ranged("/analytics/groups/users", "")),
        ("/logs/groups/{group_by}", ranged("/logs/groups/model", "")),
        ("/logs/exports", "/logs/exports?".to_owned()),
        ("/admin/workspaces", "/admin/workspaces?".to_owned()),
        ("/virtual-keys", "/virtual-keys?".to_owned()),
        ("/traces/{id}", "/traces/trace-1?".to_owned()),
        ("/export", ranged("/export", "")),
        ("/focus", ranged("/focus", "account=a&")),
    ] {
        let parameters = document["paths"][endpoint]["get"]["parameters"].as_array().unwrap();
        let accepted = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let accepted: Vec<&str> = accepted.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        for other in PARAMETERS.iter().chain(&["status", "workspace_id", "exact_name", "format", "unknown"]) {
            if !accepted.contains(other) {
                let message = get(&app, &format!("{path}{other}=1"), ADMIN).await.fails(400, "AB01");
                let expected = format!("unknown parameter {other:?}: expected some of {}", accepted.join(", "));
                assert_eq!(message, expected, "{endpoint}");
            }
        }
    }
    let id = "0190a0b0-0000-7000-8000-000000000000";
    for (method, path) in [
        (Method::POST, "/query".to_owned()),
        (Method::GET, format!("/logs/{id}")),
        (Method::GET, format!("/logs/exports/{id}")),
        (Method::GET, "/logs/exports/restrictions".to_owned()),
        (Method::POST, format!("/logs/exports/{id}/start")),
    ] {
        let body = (method == Method::POST).then(|| json!({ "range": { "from": FROM, "to": TO } }));
        let message = send(&app, method, &format!("{path}?limit=5"), ADMIN, body).await.fails(400, "AB01");
        assert_eq!(message, "unknown parameter \"limit\": this endpoint has no parameters", "{path}");
    }
    // Portkey's SDKs use both forms of a name, but not together.
    let path = |more| ranged("/analytics/groups/model", more);
    assert_eq!(get(&app, &path("currentPage=1&pageSize=1"), ADMIN).await.ok()["data"].as_array().unwrap().len(), 1);
    get(&app, &path("current_page=0&currentPage=1"), ADMIN).await.fails(400, "AB01");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let app = app();
    for path in
        ["/", "/nothing", "/analytics", "/analytics/graphs/nothing", "/analytics/graphs/requests/", "/logs/exports/a/b"]
    {
        get(&app, path, ADMIN).await.fails(404, "AB02");
    }
    for (method, path) in
        [(Method::DELETE, "/logs"), (Method::POST, "/analytics/graphs/requests"), (Method::GET, "/query")]
    {
        send(&app, method, path, ADMIN, None).await.fails(405, "AB01");
    }
}

#[tokio::test]
async fn answers_have_security_headers_and_are_compressed() {
    let app = app();
    for path in [ranged("/analytics/graphs/requests", ""), "/nothing".to_owned(), "/openapi.json".to_owned()] {
        let reply = get(&app, &path, ADMIN).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("content-type", "application/json"),
        ] {
            assert_eq!(reply.headers[name], value, "{path}");
        }
    }
    let request = Request::get(ranged("/analytics/graphs/requests", ""))
        .header("accept-encoding", "gzip")
        .header("x-portkey-api-key", ADMIN);
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    let graph: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(graph["summary"]["total"], 13);
}

#[tokio::test]
async fn bodies_above_the_limit_are_refused() {
    let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
    let analytics = stores(&[]).remove(0);
    let app = Api::new(analytics, access).max_body_bytes(100).into_router();
    let large = json!({ "range": { "from": FROM, "to": TO }, "measures": ["x".repeat(100)] });
    post(&app, "/query", ADMIN, large.clone()).await.fails(413, "AB01");
    // Without a length, the limit applies while the body is read.
    let chunks: Vec<_> =
        large.to_string().into_bytes().chunks(10).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let request = Request::post("/query").header("x-portkey-api-key", ADMIN).body(body).unwrap();
    assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 413);
    post(&app, "/query", ADMIN, json!({ "range": { "from": FROM, "to": TO } })).await.ok();
}

#[tokio::test]
async fn requests_above_the_time_limit_are_ended() {
    let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
    let app = Api::new(stores(&[]).remove(0), access).timeout(Duration::from_millis(50)).into_router();
    // The body never ends.
    let body = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = Request::post("/query").header("x-portkey-api-key", ADMIN).body(body).unwrap();
    let start = Instant::now();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(
        (response.status(), start.elapsed() < Duration::from_secs(5)),
        (http::StatusCode::GATEWAY_TIMEOUT, true)
    );
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["data"]["errorCode"], "AB04");
}

#[tokio::test]
async fn days_follow_the_zone_of_the_api_unless_a_request_names_one() {
    let access = || RegistryAccess::new(api::registry()).admin_key(ADMIN);
    let analytics = stores(&[]).remove(0);
    let error = Api::new(analytics.clone(), access()).zone("Mars").unwrap_err().to_string();
    assert!(error.contains("Mars"), "{error}");
    let app = Api::new(analytics, access()).zone("Europe/Berlin").unwrap().into_router();
    for (zone, second_day) in [(None, "2026-06-01T22:00:00Z"), (Some("UTC"), "2026-06-02T00:00:00Z")] {
        let range = json!({ "from": FROM, "to": "2026-06-20T00:00:00Z", "zone": zone });
        let answer = post(&app, "/query", ADMIN, json!({ "range": range, "bucket": "day" })).await.ok();
        assert_eq!(answer["buckets"][1], second_day);
        let zone = zone.map(|zone| format!("&time_zone={zone}")).unwrap_or_default();
        let path = "/analytics/graphs/requests?time_of_generation_min=2026-06-01T00:00:00Z";
        let path = format!("{path}&time_of_generation_max=2026-06-20T00:00:00Z{zone}");
        let graph = get(&app, &path, ADMIN).await.ok();
        assert_eq!(graph["data_points"][1]["timestamp"], second_day);
    }
}

/// Checks that an answer is a success or an error with a reason.
fn assert_answer(reply: &api::Reply) {
    match reply.status.as_u16() {
        200 => _ = reply.json(),
        400 => assert!(!reply.fails(400, "AB01").is_empty()),
        404 => _ = reply.fails(404, "AB02"),
        _ => panic!("{reply:?}"),
    }
}

proptest! {
    #[test]
    fn any_query_string_has_an_answer(
        pairs in prop::collection::vec((prop::sample::select(PARAMETERS.to_vec()), "\\PC{0,20}|[0-9.,-]{0,12}|\\{\"[a-z_]{0,5}\":\"[a-z]{0,5}\"\\}"), 0..6),
        tail in "[ -~]{0,20}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut query = pairs.iter().map(|(name, value)| format!("&{name}={}", encoded(value))).collect::<Vec<_>>().concat();
        query.push('&');
        query.push_str(&tail.replace([' ', '#', '"', '<', '>', '`', '{', '}', '\\', '^', '|'], "+"));
        runtime.block_on(async {
            let app = app();
            for path in ["/analytics/graphs/requests", "/analytics/groups/model", "/analytics/graphs/errors/stacks"] {
                assert_answer(&get(&app, &ranged(path, &query), ADMIN).await);
            }
        });
    }

    #[test]
    fn any_query_body_has_an_answer(
        on in "[a-z_.]{0,12}|metadata\\.\\PC{0,8}|model|status|cost_nanos|trace",
        op in prop::sample::select(vec!["is", "is_not", "in", "not_in", "has", "has_not", "prefix", "between"]),
        value in prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            prop::collection::vec(prop_oneof![Just(Value::Null), any::<u32>().prop_map(Value::from), "\\PC{0,6}".prop_map(Value::from)], 0..4).prop_map(Value::from),
        ],
        group in "[a-z_]{0,10}|metadata\\.\\PC{0,8}|model|status",
        measure in "[a-z_0-9()]{0,12}|cost|distinct\\(metadata\\.[a-z]{0,3}\\)",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = json!({
            "range": { "from": FROM, "to": TO },
            "filters": [{ "on": on, "op": op, "value": value }],
            "group_by": [group],
            "measures": [measure],
        });
        runtime.block_on(async { assert_answer(&post(&app(), "/query", ADMIN, body).await) });
    }

    #[test]
    fn any_body_has_an_answer(body in "\\PC{0,60}|[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = app();
            for path in ["/query", "/logs", "/feedback", "/logs/exports"] {
                let request = Request::post(path).header("x-portkey-api-key", ADMIN).body(Body::from(body.clone())).unwrap();
                let response = app.clone().oneshot(request).await.unwrap();
                assert!([200, 400].contains(&response.status().as_u16()), "{path} {body}: {}", response.status());
            }
        });
    }
}

/// A parameter that changes nothing is refused, so that nobody relies on it.
#[tokio::test]
async fn parameters_without_effect_are_refused() {
    let app = app();
    for (path, part) in [
        (ranged("/focus", "account=a&time_zone=Europe/Berlin"), "unknown parameter \"time_zone\""),
        (ranged("/focus", "account=a&archive=true&manifest=true"), "the archive contains the manifest"),
        (ranged("/export", "time_zone=Europe/Berlin"), "unknown parameter \"time_zone\""),
        (ranged("/export", "keys=team"), "invalid keys: expected the format csv, found jsonl"),
        (ranged("/export", "format=parquet&keys=team"), "invalid keys: expected the format csv, found parquet"),
        (ranged("/export", "format=csv&summary=true"), "invalid summary: expected the format jsonl, found csv"),
        (ranged("/analytics/groups/model", "time_zone=UTC"), "unknown parameter \"time_zone\""),
        (ranged("/analytics/summary/cache", "time_zone=UTC"), "unknown parameter \"time_zone\""),
        (ranged("/analytics/graphs/errors/status-codes", "time_zone=UTC"), "unknown parameter \"time_zone\""),
        (ranged("/analytics/graphs/feedbacks/scores", "time_zone=UTC"), "unknown parameter \"time_zone\""),
        (ranged("/analytics/graphs/feedbacks/ai-models", "time_zone=UTC"), "unknown parameter \"time_zone\""),
    ] {
        let message = get(&app, &path, ADMIN).await.fails(400, "AB01");
        assert!(message.contains(part), "{path}: {message}");
    }
    for path in [
        ranged("/export", "format=csv&summary=false"),
        ranged("/focus", "account=a&archive=false&manifest=true"),
        ranged("/analytics/graphs/errors/stacks", "time_zone=Europe/Berlin"),
    ] {
        let reply = get(&app, &path, ADMIN).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }
    let mut filters = filters();
    filters["time_zone"] = json!("UTC");
    let message = post(&app, "/logs/exports", ADMIN, json!({ "filters": filters })).await.fails(400, "AB01");
    assert!(message.contains("unknown filter \"time_zone\""), "{message}");
}

/// The names of measures and dimensions are in the errors and in the OpenAPI document.
#[tokio::test]
async fn unknown_names_are_refused_with_the_known_ones() {
    let app = app();
    let document = get(&app, "/openapi.json", "").await.ok();
    let schemas = &document["components"]["schemas"];
    let names = |schema: &str| -> Vec<String> {
        let one = schemas[schema]["anyOf"][0]["enum"].as_array().unwrap();
        one.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let measures: Vec<String> = tower_tagging::analytics::Measure::ALL.iter().map(ToString::to_string).collect();
    let fields: Vec<String> = tower_tagging::store::Field::ALL.iter().map(ToString::to_string).collect();
    assert_eq!((names("MeasureName"), names("DimensionName")), (measures.clone(), fields.clone()));
    let range = json!({ "from": FROM, "to": TO });
    let refused = async |more: Value| {
        let mut body = json!({ "range": range });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(&app, "/query", ADMIN, body).await.fails(400, "AB01")
    };
    let message = refused(json!({ "measures": ["costs"] })).await;
    let expected = format!(
        "unknown measure \"costs\": expected one of {}, distinct(DIMENSION), coverage(metadata.KEY), cost_coverage(metadata.KEY)",
        measures.join(", ")
    );
    assert_eq!(message, expected);
    let expected =
        format!("unknown dimension \"team\": expected a tag such as metadata.team, or one of {}", fields.join(", "));
    assert_eq!(refused(json!({ "group_by": ["team"] })).await, expected);
    assert_eq!(refused(json!({ "filters": [{ "on": "team", "op": "has" }] })).await, expected);
    // What the server accepts is valid by the document, and what it refuses is not.
    let schema = json!({ "$ref": "#/components/schemas/QueryForm", "components": document["components"] });
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (more, is_valid) in [
        (
            json!({ "measures": ["cost", "distinct(model)", "coverage(metadata.team)"], "group_by": ["metadata.team", "model"] }),
            true,
        ),
        (json!({ "measures": ["cost"], "order": { "by": "cost" }, "bucket": "day" }), true),
        (json!({ "order": { "by": "values" }, "group_by": ["model"] }), true),
        (
            json!({ "filters": [{ "on": "latency_ms", "op": "between", "value": [1, null] }, { "on": "trace", "op": "is", "value": "t" }] }),
            true,
        ),
        (json!({ "measures": ["costs"] }), false),
        (json!({ "group_by": ["team"] }), false),
        (json!({ "bucket": "year" }), false),
        (json!({ "filters": [{ "on": "team", "op": "has" }] }), false),
    ] {
        let mut body = json!({ "range": range });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(validator.is_valid(&body), is_valid, "{more}");
        assert_eq!(post(&app, "/query", ADMIN, body).await.status == 200, is_valid, "{more}");
    }
}

/// Returns bodies of endpoints, with all of their members and some others.
fn bodies() -> [(&'static str, Value); 9] {
    let range = json!({ "from": FROM, "to": TO });
    let log = json!({ "request": { "url": "/" }, "response": {} });
    [
        (
            "/query",
            json!({ "range": range, "filters": [], "group_by": [], "bucket": "day", "measures": [], "order": { "by": "requests" }, "limit": 1, "cursor": "x", "unknown": 1 }),
        ),
        ("/query", json!({ "range": { "from": FROM, "to": TO, "zone": "UTC", "unknown": 1 } })),
        ("/query", json!({ "range": range, "filters": { "on": "model", "op": "is", "value": "x", "unknown": 1 } })),
        ("/query", json!({ "range": range, "order": { "by": "requests", "descending": true, "unknown": 1 } })),
        (
            "/logs",
            json!({ "request": log["request"], "response": log["response"], "metadata": {}, "created_at": "x", "id": "x" }),
        ),
        (
            "/logs",
            json!({ "request": { "url": "/", "provider": "x", "method": "GET", "headers": {}, "body": null }, "response": {} }),
        ),
        (
            "/logs",
            json!({ "request": { "url": "/" }, "response": { "status": 200, "headers": {}, "body": 1, "response_time": 1 } }),
        ),
        ("/feedback", json!({ "trace_id": "t", "feedback_id": "x", "value": 1, "weight": 1, "metadata": {} })),
        ("/logs/exports", json!({ "filters": {}, "workspace_id": "x", "description": "x", "requested_data": [] })),
    ]
}

/// Sends the bodies with values of all types for each of their members.
async fn replies_to_wrong_bodies(app: &Router) -> Vec<api::Reply> {
    let mut messages = Vec::new();
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e30),
        json!("text"),
        json!([]),
        json!([[1]]),
        json!({}),
        json!({ "x": 1 }),
    ];
    for (path, body) in bodies() {
        for value in &wrong {
            messages.push(post(app, path, ADMIN, value.clone()).await);
            for (name, member) in body.as_object().unwrap() {
                let mut changed = body.clone();
                changed[name] = value.clone();
                if path == "/query" && name == "filters" {
                    changed["filters"] = json!([value]);
                }
                messages.push(post(app, path, ADMIN, changed).await);
                for (inner, _) in member.as_object().into_iter().flatten() {
                    let mut changed = body.clone();
                    changed[name][inner] = value.clone();
                    if path == "/query" && name == "filters" {
                        changed["filters"] = json!([changed["filters"]]);
                    }
                    messages.push(post(app, path, ADMIN, changed).await);
                }
                let mut without = body.clone();
                without.as_object_mut().unwrap().remove(name);
                messages.push(post(app, path, ADMIN, without).await);
            }
        }
    }
    messages
}

/// Messages use the words of JSON, not those of the implementation.
#[tokio::test]
async fn messages_about_bodies_have_no_names_of_the_implementation() {
    let app = app();
    let job = post(&app, "/logs/exports", ADMIN, json!({ "filters": filters() })).await.ok();
    let job = format!("/logs/exports/{}", job["id"].as_str().unwrap());
    let mut messages = replies_to_wrong_bodies(&app).await;
    for (path, method) in [
        (format!("{job}/download"), Method::GET),
        (format!("{job}/cancel"), Method::POST),
        (format!("{job}/cancel"), Method::POST),
    ] {
        messages.push(send(&app, method, &path, ADMIN, Some(Value::Null)).await);
    }
    let messages: std::collections::BTreeSet<String> = messages
        .iter()
        .filter(|reply| reply.status != 200)
        .map(|reply| reply.json()["data"]["message"].as_str().unwrap().to_owned())
        .collect();
    assert!(messages.len() > 40, "{messages:#?}");
    for message in &messages {
        let words: Vec<&str> = message.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
        for word in [
            "struct", "enum", "variant", "sequence", "map", "u8", "u16", "u32", "u64", "i8", "i64", "f64", "usize",
            "bool", "Option", "unit", "tuple", "newtype",
        ] {
            assert!(!words.contains(&word), "{word}: {message}");
        }
        for name in ["Form", "Draft", "InProgress", "Stopped", "Success"] {
            assert!(!message.contains(name), "{message}");
        }
    }
    let all = messages.into_iter().collect::<Vec<_>>().join("\n");
    for expected in [
        "expected an object with from and to",
        "expected a whole number",
        "expected a text",
        "expected a list",
        "unknown member `unknown`, expected one of",
        "unknown value `text`, expected one of `is`",
        "missing member `range`",
        "the export is a draft: expected one that is complete",
        "the export is stopped: expected one that is a draft or in progress",
    ] {
        assert!(all.contains(expected), "{expected}:\n{all}");
    }
}
