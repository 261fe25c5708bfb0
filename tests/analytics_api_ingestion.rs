//! Requests of other systems that are sent to `POST /logs`: once or again, with old and future times, and under the rules of
//! the key.

#[path = "common/api.rs"]
mod api;

use std::time::{Duration, SystemTime};

use axum::{Router, body::Body};
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_tagging::{
    analytics::api::{Api, RegistryAccess},
    registry::{Registry, SecretDigest},
};

use api::{ADMIN, Reply, get, post, samples, secret, stores};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn apps() -> Vec<Router> {
    stores(&[]).into_iter().map(api::api).collect()
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

fn ago(age: Duration) -> String {
    time(SystemTime::now() - age)
}

/// Returns a log with some members.
fn log(mut members: Value) -> Value {
    members["request"] = json!({ "url": "/v1/chat/completions" });
    members["response"] = json!({ "status": 200 });
    members
}

async fn ids(app: &Router, key: &str, body: Value) -> Vec<String> {
    let created = post(app, "/logs", key, body).await.ok();
    created["logIds"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Sends logs with an `idempotency-key`.
async fn with_key(app: &Router, key: &str, idempotency_key: &str, body: &Value) -> Reply {
    let request = Request::post("/logs").header("x-portkey-api-key", key).header("idempotency-key", idempotency_key);
    let response = app.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Reply { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

async fn count(app: &Router, key: &str) -> Value {
    let (from, to) = (ago(800 * DAY), time(SystemTime::now() + DAY));
    let path = format!("/analytics/graphs/requests?time_of_generation_min={from}&time_of_generation_max={to}");
    get(app, &path, key).await.ok()["summary"]["total"].clone()
}

#[tokio::test]
async fn a_log_that_is_sent_again_with_its_id_is_stored_once() {
    for app in apps() {
        let acme = secret("acme");
        let first = ids(&app, &acme, log(json!({ "id": "run-7/step-1", "metadata": { "feature": "first" } }))).await;
        // Also later, with other contents, with a time, and twice in a list.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let again = log(json!({ "id": "run-7/step-1", "metadata": { "feature": "second" } }));
        let timed = log(json!({ "id": "run-7/step-1", "created_at": ago(DAY) }));
        assert_eq!(ids(&app, &acme, again.clone()).await, first);
        let other = log(json!({ "id": "run-7/step-2" }));
        let list = ids(&app, &acme, json!([other, again, timed, other])).await;
        assert_eq!((&list[1], &list[2], &list[0]), (&first[0], &first[0], &list[3]));
        assert_eq!(count(&app, &acme).await, 2);
        let stored = get(&app, &format!("/logs/{}", first[0]), &acme).await.ok();
        assert_eq!(stored["metadata"]["feature"], "first");
        // Another key of the workspace sends the same log.
        assert_eq!(ids(&app, &secret("acme-write"), log(json!({ "id": "run-7/step-1" }))).await, first);
        assert_eq!(count(&app, &acme).await, 2);
        // Logs without an id are different ones.
        ids(&app, &acme, json!([log(json!({})), log(json!({}))])).await;
        assert_eq!(count(&app, &acme).await, 4);
    }
}

/// The id of one workspace neither collides with that of another, nor reveals it.
#[tokio::test]
async fn ids_belong_to_a_workspace() {
    for app in apps() {
        let body = log(json!({ "id": "shared" }));
        let mut all = Vec::new();
        for key in [&secret("acme"), &secret("globex"), ADMIN] {
            all.extend(ids(&app, key, body.clone()).await);
        }
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3);
        assert_eq!((count(&app, &secret("acme")).await, count(&app, &secret("globex")).await), (json!(1), json!(1)));
        assert_eq!(count(&app, ADMIN).await, 3);
        // The id of an event of another workspace, as an id, is just a text.
        let event = all[0].clone();
        let own = ids(&app, &secret("globex"), log(json!({ "id": event }))).await;
        assert!(!all.contains(&own[0]));
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_a_whole_request_repeatable() {
    for app in apps() {
        let acme = secret("acme");
        let body = json!([log(json!({})), log(json!({ "id": "own" })), log(json!({}))]);
        let first = with_key(&app, &acme, "batch-1", &body).await.ok();
        assert_eq!(with_key(&app, &acme, "batch-1", &body).await.ok()["logIds"], first["logIds"]);
        assert_eq!(count(&app, &acme).await, 3);
        let second = with_key(&app, &acme, "batch-2", &body).await.ok();
        assert_eq!(second["logIds"][1], first["logIds"][1], "the log has its own id");
        assert_ne!(second["logIds"][0], first["logIds"][0]);
        // The key of a request is no id of a log.
        ids(&app, &acme, log(json!({ "id": "batch-1" }))).await;
        assert_eq!(count(&app, &acme).await, 6);
    }
}

#[tokio::test]
async fn ids_have_a_bounded_size() {
    for app in apps() {
        let acme = secret("acme");
        ids(&app, &acme, log(json!({ "id": "ü".repeat(128) }))).await;
        for id in [String::new(), "x".repeat(257)] {
            let message = post(&app, "/logs", &acme, log(json!({ "id": id }))).await.fails(400, "AB01");
            assert_eq!(message, "invalid id of logs [0]: expected 1 to 256 bytes");
            let message = with_key(&app, &acme, &id, &log(json!({}))).await.fails(400, "AB01");
            assert_eq!(message, "invalid idempotency-key: expected 1 to 256 bytes");
        }
        assert_eq!(count(&app, &acme).await, 1);
    }
}

#[tokio::test]
async fn times_are_at_most_400_days_ago_and_never_in_the_future() {
    for analytics in stores(&[]) {
        let access = || RegistryAccess::new(api::registry()).admin_key(ADMIN);
        let app = Api::new(analytics.clone(), access()).into_router();
        let acme = secret("acme");
        let refused = [
            (ago(401 * DAY), "expected a time from 20"),
            ("1970-01-21T10:00:00Z".to_owned(), "expected a time from 20"),
            (time(SystemTime::now() + DAY), "would end in the future"),
            ("9999-01-01T00:00:00Z".to_owned(), "would end in the future"),
        ];
        for (created_at, reason) in refused {
            let message = post(&app, "/logs", &acme, log(json!({ "created_at": created_at }))).await.fails(400, "AB01");
            assert!(message.contains(reason) && message.contains(&created_at), "{message}");
        }
        // It began in the past, and would end in an hour.
        let mut long = log(json!({ "created_at": ago(DAY) }));
        long["response"]["response_time"] = json!(25 * 3_600_000);
        let message = post(&app, "/logs", &acme, long).await.fails(400, "AB01");
        assert!(message.contains("would end in the future, after 90000000 ms"), "{message}");
        for created_at in [ago(399 * DAY), ago(Duration::ZERO), time(SystemTime::now() + Duration::from_secs(120))] {
            ids(&app, &acme, log(json!({ "created_at": created_at }))).await;
        }
        assert_eq!(count(&app, &acme).await, 3);

        let app = Api::new(analytics, access()).max_log_age(DAY).into_router();
        ids(&app, &acme, log(json!({ "created_at": ago(DAY / 2) }))).await;
        post(&app, "/logs", &acme, log(json!({ "created_at": ago(2 * DAY) }))).await.fails(400, "AB01");
    }
}

/// Tags of a log pass the same rules as those of a request with the key.
#[tokio::test]
async fn the_rules_of_the_key_apply_to_the_tags_of_a_log() {
    let digest = |name: &str| SecretDigest::of(secret(name));
    let config = format!(
        r#"
        [workspaces.acme]
        metadata = {{ company = "acme" }}

        [api_keys.drops]
        workspace = "acme"
        permissions = ["logs.write", "logs.view"]
        secrets = [{{ sha256 = "{}" }}]
        metadata = {{ team = "growth" }}
        forced = {{ _user = "ada", environment = "production" }}
        claims = {{ allow = ["feature", "_user", "environment", "tier=gold*"], otherwise = "drop" }}

        [api_keys.rejects]
        workspace = "acme"
        permissions = ["logs.write", "logs.view"]
        secrets = [{{ sha256 = "{}" }}]
        claims = {{ allow = ["feature"], otherwise = "reject" }}
        "#,
        digest("drops"),
        digest("rejects")
    );
    for analytics in stores(&samples()) {
        let app = Api::new(analytics, RegistryAccess::new(Registry::from_toml(&config).unwrap())).into_router();
        let body = log(json!({
            "metadata": { "_user": "eve", "environment": "staging", "team": "other", "company": "globex", "feature": "chat",
                "tier": "gold-1", "secret_budget": "x" },
        }));
        let mut in_headers = log(json!({}));
        in_headers["request"]["headers"] =
            json!({ "x-portkey-metadata": { "_user": "eve", "team": "other", "feature": "chat", "tier": "silver" } });
        in_headers["request"]["body"] = json!({ "model": "gpt-4o", "user": "mallory" });
        let expected = json!({ "_user": "ada", "environment": "production", "team": "growth", "company": "acme", "feature": "chat" });
        for (body, tier) in [(body, Some("gold-1")), (in_headers, None)] {
            let id = ids(&app, &secret("drops"), body).await.remove(0);
            let stored = get(&app, &format!("/logs/{id}"), &secret("drops")).await.ok();
            let mut expected = expected.clone();
            if let Some(tier) = tier {
                expected["tier"] = json!(tier);
            }
            assert_eq!(stored["metadata"], expected);
            assert_eq!(stored["metrics"]["api_key_id"], "drops");
        }
        let allowed = log(json!({ "metadata": { "feature": "chat" } }));
        let denied = log(json!({ "metadata": { "feature": "chat", "team": "other" } }));
        ids(&app, &secret("rejects"), allowed.clone()).await;
        let message = post(&app, "/logs", &secret("rejects"), json!([allowed, denied])).await.fails(400, "AB01");
        assert!(message.contains("rejected"), "{message}");
    }
}
