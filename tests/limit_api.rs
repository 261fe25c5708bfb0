//! Limits through the HTTP API, on each store.

#[path = "common/api.rs"]
mod api;

use std::time::{Duration, SystemTime};

use axum::Router;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower_tagging::{
    analytics::{
        Analytics, Grant,
        api::{Api, RegistryAccess},
    },
    limit::{Amount, LimitDecision, LimitRule, LimitRuleBuilder, Limiter, Window},
    registry::{Registry, VirtualKeyStatus},
    store::{MemoryStore, SqliteStore},
};

use api::{ADMIN, Reply, get, post, put, samples, secret, send, stores};

const USAGE: &str = "/policies/usage-limits";
const RATE: &str = "/policies/rate-limits";

/// One process of a service: its API, its registry, and its limiter.
struct Process {
    app: Router,
    limiter: Limiter,
    registry: Registry,
}

impl Process {
    fn new(analytics: &Analytics, rules: Vec<LimitRule>) -> Self {
        let registry = api::registry();
        let limiter = Limiter::builder().rules(rules).build().unwrap();
        let access = RegistryAccess::new(registry.clone()).admin_key(ADMIN);
        let app = Api::new(analytics.clone(), access).merge(limiter.api()).into_router();
        Self { app, limiter, registry }
    }

    /// Creates a limit, and returns its id.
    async fn create(&self, path: &str, key: &str, body: Value) -> String {
        let created = post(&self.app, path, key, body).await.ok();
        created["id"].as_str().unwrap().to_owned()
    }

    async fn fill(&self, rule: &str, group: &[Option<&str>], amount: &str) {
        let amount: Amount = amount.parse().unwrap();
        self.limiter.fill(rule, group, &amount, None).await.unwrap();
    }

    async fn delete(&self, path: &str, key: &str) -> Reply {
        send(&self.app, Method::DELETE, path, key, None).await
    }
}

fn month() -> Window {
    Window::month("UTC").unwrap()
}

fn decided(rule: LimitRuleBuilder) -> LimitRule {
    rule.on_unpriced(LimitDecision::Allow).on_store_error(LimitDecision::Deny).build().unwrap()
}

/// Returns rules of the configuration: one of all workspaces, one of acme, and a rate.
fn configured() -> Vec<LimitRule> {
    vec![
        decided(LimitRule::budget("all", "900 USD".parse().unwrap(), month()).group_by("workspace")),
        decided(LimitRule::budget("of-acme", Amount::tokens(5_000), month()).when("workspace", ["acme"])),
        decided(LimitRule::rate("speed", Amount::requests(60), Duration::from_secs(60))),
    ]
}

fn usage_limit() -> Value {
    json!({
        "name": "Growth", "description": "Money of the team", "type": "cost", "credit_limit": 500.5, "alert_threshold": 400.5,
        "conditions": [
            { "key": "metadata.environment", "value": ["production", "staging"] },
            { "key": "metadata.team", "value": "internal", "excludes": true }
        ],
        "group_by": [{ "key": "metadata.team" }, { "key": "api_key" }],
        "periodic_reset": "monthly"
    })
}

fn message(reply: &Reply) -> String {
    let body = reply.json();
    assert_eq!(body["success"], false, "{body}");
    body["data"]["message"].as_str().unwrap().to_owned()
}

fn error(reply: &Reply) -> (StatusCode, String) {
    (reply.status, reply.json()["data"]["errorCode"].as_str().unwrap_or_default().to_owned())
}

async fn log(analytics: &Analytics) -> Vec<(String, String, String)> {
    let changes = analytics.changes(None, 100, &Grant::everything()).await.unwrap();
    let text = |text: Option<String>| text.unwrap_or_default();
    changes.into_iter().rev().map(|change| (text(change.author), change.action, text(change.workspace))).collect()
}

#[tokio::test]
async fn a_usage_limit_is_created_read_changed_and_deleted() {
    for analytics in stores(&samples()) {
        let (one, other) = (Process::new(&analytics, Vec::new()), Process::new(&analytics, Vec::new()));
        let id = one.create(USAGE, ADMIN, usage_limit()).await;
        let path = format!("{USAGE}/{id}");
        let read = get(&one.app, &path, ADMIN).await.ok();
        for (member, value) in usage_limit().as_object().unwrap() {
            assert_eq!(&read[member], value, "{member}");
        }
        for (member, value) in [
            ("object", json!("policy_usage_limits")),
            ("status", json!("active")),
            ("source", json!("api")),
            ("workspace_id", Value::Null),
            ("created_by", json!("administrator")),
            ("on_missing", json!("skip")),
            ("on_unpriced", json!("allow")),
            ("on_store_error", json!("allow")),
            ("mode", json!("enforce")),
            ("rejection_status", json!(429)),
        ] {
            assert_eq!(read[member], value, "{member}");
        }
        assert!(read["next_usage_reset_at"].as_str() > read["last_reset_at"].as_str(), "{read}");

        // It is in force in this process at once, and in others once they have read it.
        let names = |process: &Process| -> Vec<String> {
            process.limiter.rules().iter().map(|rule| rule.title().to_owned()).collect()
        };
        assert_eq!((names(&one), names(&other)), (vec!["Growth".to_owned()], Vec::new()));
        assert!(other.limiter.refresh_from(&analytics).await.unwrap());
        assert!(!other.limiter.refresh_from(&analytics).await.unwrap());
        assert_eq!(names(&other), ["Growth"]);

        let patch = json!({ "name": "Growth 2", "credit_limit": 600, "alert_threshold": null, "mode": "shadow", "periodic_reset_days": 10 });
        let changed = put(&one.app, &path, ADMIN, patch).await.ok();
        assert_eq!(
            (&changed["name"], &changed["credit_limit"], &changed["mode"], &changed["description"]),
            (&json!("Growth 2"), &json!(600.0), &json!("shadow"), &json!("Money of the team"))
        );
        // One kind of window replaces the other.
        assert_eq!((&changed["periodic_reset"], &changed["periodic_reset_days"]), (&Value::Null, &json!(10)));
        assert_eq!(changed["alert_threshold"], Value::Null);
        assert!(changed["last_updated_at"].as_str() > changed["created_at"].as_str());
        assert_eq!(get(&other.app, &path, ADMIN).await.ok(), changed);
        // Nothing changes, so nothing is recorded.
        put(&one.app, &path, ADMIN, json!({ "name": "Growth 2", "type": "cost" })).await.ok();
        let forever = put(&one.app, &path, ADMIN, json!({ "periodic_reset_days": null })).await.ok();
        assert_eq!((&forever["window"], &forever["next_usage_reset_at"]), (&json!("for ever"), &Value::Null));

        assert_eq!(one.delete(&path, ADMIN).await.ok(), json!({}));
        assert_eq!(error(&one.delete(&path, ADMIN).await), (StatusCode::NOT_FOUND, "AB02".to_owned()));
        assert_eq!(error(&get(&one.app, &path, ADMIN).await), (StatusCode::NOT_FOUND, "AB02".to_owned()));
        other.limiter.refresh_from(&analytics).await.unwrap();
        assert!(names(&one).is_empty() && names(&other).is_empty());
        let entry = |action: &str| ("administrator".to_owned(), action.to_owned(), String::new());
        assert_eq!(
            log(&analytics).await,
            [
                entry("create usage limit"),
                entry("change usage limit"),
                entry("change usage limit"),
                entry("delete usage limit")
            ]
        );
    }
}

#[tokio::test]
async fn a_rate_limit_is_created_read_changed_and_deleted() {
    for analytics in stores(&[]) {
        let process = Process::new(&analytics, Vec::new());
        let body = json!({
            "name": "Speed", "type": "tokens", "unit": "rpm", "value": 1000, "target": "llm",
            "conditions": [{ "key": "model", "value": ["@openai/gpt-4o", "@openai/o3"] }],
            "group_by": [{ "key": "virtual_key" }], "rejection_status": 412
        });
        let id = process.create(RATE, ADMIN, body.clone()).await;
        let path = format!("{RATE}/{id}");
        let read = get(&process.app, &path, ADMIN).await.ok();
        for member in ["name", "type", "unit", "target", "conditions", "group_by", "rejection_status"] {
            assert_eq!(read[member], body[member], "{member}");
        }
        assert_eq!((&read["value"], &read["object"]), (&json!(1000.0), &json!("policy_rate_limits")));
        let changed = put(&process.app, &path, ADMIN, json!({ "unit": "rph", "value": 2 })).await.ok();
        assert_eq!((&changed["unit"], &changed["value"]), (&json!("rph"), &json!(2.0)));
        // A rate is no usage limit.
        assert_eq!(get(&process.app, &format!("{USAGE}/{id}"), ADMIN).await.status, StatusCode::NOT_FOUND);
        process.delete(&path, ADMIN).await.ok();
        assert!(process.limiter.rules().is_empty());
    }
}

#[tokio::test]
async fn invalid_limits_are_rejected_with_what_was_expected() {
    let process = Process::new(&Analytics::new(MemoryStore::new()), Vec::new());
    let usage = |member: &str, value: Value| {
        let mut body = json!({ "type": "cost", "credit_limit": 10 });
        body[member] = value;
        (USAGE, body)
    };
    let rate = |member: &str, value: Value| {
        let mut body = json!({ "type": "requests", "unit": "rpm", "value": 10 });
        body[member] = value;
        (RATE, body)
    };
    let condition = |key: &str, value: Value| usage("conditions", json!([{ "key": key, "value": value }]));
    for ((path, body), expected) in [
        (usage("credit_limit", json!(0.5)), "credit_limit: expected a number from 1 to"),
        (usage("type", json!("tokens")), "credit_limit: expected a number from 100 to"),
        (usage("type", json!("dollars")), "unknown value `dollars`"),
        ((USAGE, json!({ "type": "requests", "credit_limit": 1.5 })), "credit_limit: expected a whole number"),
        ((USAGE, json!({ "type": "cost" })), "missing member `credit_limit`"),
        (usage("alert_threshold", json!(10)), "alert_threshold: expected more than 0 and less than the limit 10"),
        (usage("periodic_reset", json!("daily")), "unknown value `daily`"),
        (usage("periodic_reset_days", json!(366)), "periodic_reset_days: expected 1 to 365"),
        (
            (USAGE, json!({ "type": "cost", "credit_limit": 9, "periodic_reset": "weekly", "periodic_reset_days": 3 })),
            "periodic_reset and periodic_reset_days: expected one of them",
        ),
        (usage("zone", json!("Europe/Berlin")), "zone: expected periodic_reset as well"),
        (
            (USAGE, json!({ "type": "cost", "credit_limit": 9, "periodic_reset": "weekly", "zone": "Mars" })),
            "zone: expected an IANA time zone",
        ),
        (usage("name", json!("x".repeat(256))), "name: expected at most 255 characters, found 256"),
        (usage("description", json!("x".repeat(501))), "description: expected at most 500 characters"),
        (usage("limit", json!(1)), "unknown member `limit`"),
        (usage("group_by", json!([{ "key": "config" }])), "key \"config\" is not supported"),
        (usage("group_by", json!([{ "key": "colour" }])), "key \"colour\" is unknown"),
        (usage("group_by", json!([{ "key": "api_key" }, { "key": "api_key" }])), "group_by: expected different keys"),
        (usage("rejection_status", json!(200)), "status: expected a status from 400 to 499"),
        (usage("on_missing", json!("pass")), "unknown value `pass`"),
        (usage("workspace_id", json!("")), "workspace_id: expected the slug of a workspace"),
        (condition("organisation_id", json!("x")), "key \"organisation_id\" is not supported"),
        (condition("metadata.", json!("x")), "key \"metadata.\" is unknown"),
        (condition("metadata.team", json!([])), "expected 1 to 100 values, found 0"),
        (condition("metadata.team", json!("")), "expected a value, found an empty text"),
        (condition("metadata.team", json!(7)), "expected a text or a list of texts"),
        (condition("model", json!(["@openai/gpt-4o", "@anthropic/claude"])), "expected models of one provider"),
        (
            condition("model", json!(["@openai/gpt-4o", "gpt-4o"])),
            "expected @provider/model or @provider/* in all values",
        ),
        (
            usage("conditions", json!([{ "key": "model", "value": "*", "excludes": ["@openai/gpt-4o"] }])),
            "cannot be excluded: expected @provider/*",
        ),
        (rate("target", json!("mcp_tools")), "target: expected llm"),
        (rate("value", json!(0)), "value: expected 1 to"),
        (rate("unit", json!("rpy")), "unknown value `rpy`"),
        (rate("on_unpriced", json!("allow")), "unknown member `on_unpriced`"),
    ] {
        let reply = post(&process.app, path, ADMIN, body.clone()).await;
        assert_eq!(error(&reply), (StatusCode::BAD_REQUEST, "AB01".to_owned()), "{body}");
        assert!(message(&reply).contains(expected), "{body}: {}", message(&reply));
    }
    assert_eq!(get(&process.app, USAGE, ADMIN).await.ok()["total"], 0);
    let id = process.create(USAGE, ADMIN, usage_limit()).await;
    for (patch, expected) in [
        (json!({ "type": "tokens" }), "type cannot be changed"),
        (json!({ "group_by": [] }), "group_by cannot be changed"),
        (json!({ "workspace_id": "acme" }), "workspace_id cannot be changed"),
        (json!({ "credit_limit": 300 }), "alert_threshold: expected more than 0 and less than the limit 300"),
        (json!({ "credit_limit": null }), "missing member `credit_limit`"),
        (json!({ "next_usage_reset_at": "2027-01-01" }), "unknown member `next_usage_reset_at`"),
        (json!({ "reset_usage_for_value": 5 }), "reset_usage_for_value: expected a text"),
        (json!({ "reset_usage_for_value": "x", "name": "y" }), "nothing is used by \"x\""),
        (json!([]), "expected an object"),
    ] {
        let reply = put(&process.app, &format!("{USAGE}/{id}"), ADMIN, patch.clone()).await;
        assert_eq!(error(&reply), (StatusCode::BAD_REQUEST, "AB01".to_owned()), "{patch}");
        assert!(message(&reply).contains(expected), "{patch}: {}", message(&reply));
    }
    for query in ["page_size=0", "status=gone", "type=money", "limit=3"] {
        assert_eq!(
            get(&process.app, &format!("{USAGE}?{query}"), ADMIN).await.status,
            StatusCode::BAD_REQUEST,
            "{query}"
        );
    }
}

#[tokio::test]
async fn only_administrators_change_limits_and_only_those_of_their_workspace() {
    for analytics in stores(&samples()) {
        let process = Process::new(&analytics, configured());
        let own = secret("acme-admin");
        let id = process.create(USAGE, &own, usage_limit()).await;
        let other =
            process.create(USAGE, ADMIN, json!({ "type": "cost", "credit_limit": 10, "workspace_id": "globex" })).await;
        let read = get(&process.app, &format!("{USAGE}/{id}"), &own).await.ok();
        assert_eq!((&read["workspace_id"], &read["created_by"]), (&json!("acme"), &json!("key acme-admin")));

        for key in ["acme", "acme-view", "acme-list", "acme-none"] {
            let key = secret(key);
            for (method, path, body) in [
                (Method::GET, USAGE.to_owned(), None),
                (Method::POST, USAGE.to_owned(), Some(usage_limit())),
                (Method::GET, format!("{USAGE}/{id}"), None),
                (Method::PUT, format!("{USAGE}/{id}"), Some(json!({ "name": "x" }))),
                (Method::DELETE, format!("{USAGE}/{id}"), None),
                (Method::GET, format!("{USAGE}/{id}/entities"), None),
                (Method::PUT, format!("{USAGE}/{id}/entities/x/reset"), None),
                (Method::GET, RATE.to_owned(), None),
            ] {
                let reply = send(&process.app, method, &path, &key, body).await;
                assert_eq!(error(&reply), (StatusCode::FORBIDDEN, "AB03".to_owned()), "{path}");
            }
        }
        let reply = get(&process.app, USAGE, "unknown").await;
        assert_eq!(error(&reply), (StatusCode::UNAUTHORIZED, "AB05".to_owned()));

        // Limits of others do not exist for the administrator of a workspace.
        for path in [format!("{USAGE}/{other}"), format!("{USAGE}/all"), format!("{RATE}/speed")] {
            assert_eq!(get(&process.app, &path, &own).await.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(put(&process.app, &path, &own, json!({ "name": "x" })).await.status, StatusCode::NOT_FOUND);
            assert_eq!(process.delete(&path, &own).await.status, StatusCode::NOT_FOUND);
        }
        let foreign = json!({ "type": "cost", "credit_limit": 10, "workspace_id": "globex" });
        assert_eq!(post(&process.app, USAGE, &own, foreign).await.status, StatusCode::FORBIDDEN);
        let list = get(&process.app, USAGE, &own).await;
        let ids: Vec<Value> = list.ok()["data"].as_array().unwrap().iter().map(|limit| limit["id"].clone()).collect();
        assert_eq!(ids, [json!("of-acme"), json!(id)]);
        assert!(!list.text.contains("globex"), "{}", list.text);

        // Limits of the configuration are listed, and cannot be changed.
        let all = get(&process.app, USAGE, ADMIN).await.ok();
        assert_eq!((&all["total"], &all["data"][0]["source"]), (&json!(4), &json!("config")));
        assert_eq!(all["data"][1]["workspace_id"], "acme");
        for path in [format!("{USAGE}/all"), format!("{USAGE}/of-acme"), format!("{RATE}/speed")] {
            assert_eq!(get(&process.app, &path, ADMIN).await.ok()["source"], "config");
            let change = put(&process.app, &path, ADMIN, json!({ "name": "x" })).await;
            assert_eq!(error(&change), (StatusCode::CONFLICT, "AB07".to_owned()));
            assert!(message(&change).contains("is from the configuration"), "{}", message(&change));
            assert_eq!(process.delete(&path, ADMIN).await.status, StatusCode::CONFLICT);
        }
        process.fill("all", &[Some("acme")], "1 USD").await;
        let entity = get(&process.app, &format!("{USAGE}/all/entities"), ADMIN).await.ok()["data"][0]["id"].clone();
        let reset = format!("{USAGE}/all/entities/{}/reset", entity.as_str().unwrap());
        assert_eq!(send(&process.app, Method::PUT, &reset, ADMIN, None).await.status, StatusCode::CONFLICT);

        let entry =
            |author: &str, workspace: &str| (author.to_owned(), "create usage limit".to_owned(), workspace.to_owned());
        assert_eq!(log(&analytics).await, [entry("key acme-admin", "acme"), entry("administrator", "globex")]);
    }
}

#[tokio::test]
async fn a_reset_is_a_credit_that_stays() {
    for analytics in stores(&samples()) {
        let (one, other) = (Process::new(&analytics, Vec::new()), Process::new(&analytics, Vec::new()));
        let body = json!({
            "type": "cost", "credit_limit": 100, "periodic_reset": "monthly",
            "group_by": [{ "key": "metadata.team" }, { "key": "api_key" }]
        });
        let id = one.create(USAGE, ADMIN, body).await;
        one.fill(&id, &[Some("growth"), Some("web")], "100.25 USD").await;
        one.fill(&id, &[Some("search"), None], "3 USD").await;
        let entities = format!("{USAGE}/{id}/entities");
        let list = async |query: &str| get(&one.app, &format!("{entities}?{query}"), ADMIN).await.ok();
        let all = list("").await;
        assert_eq!((&all["object"], &all["total"]), (&json!("list"), &json!(2)));
        let growth = &all["data"][0];
        assert_eq!(
            (&growth["value_key"], &growth["current_usage"], &growth["status"]),
            (&json!("metadata.team:growth-api_key:web"), &json!(100.25), &json!("exhausted"))
        );
        assert_eq!(list("status=exhausted").await["total"], 1);
        assert_eq!(list("search=search").await["data"][0]["current_usage"], 3.0);
        assert_eq!(list("page_size=1&current_page=1").await["data"][0]["value_key"], "metadata.team:search-api_key:");
        let usage = get(&one.app, &format!("{USAGE}/{id}?include_usage=true"), ADMIN).await.ok();
        assert_eq!(usage["value_key_usage_map"]["metadata.team:growth-api_key:web"]["status"], "exhausted");

        let reset = format!("{entities}/{}/reset", growth["id"].as_str().unwrap());
        let replies = futures_util::future::join_all((0..4).map(|_| send(&one.app, Method::PUT, &reset, ADMIN, None)));
        for reply in replies.await {
            assert_eq!(reply.ok(), json!({}));
        }
        let after = list("").await["data"][0].clone();
        assert_eq!(
            (&after["current_usage"], &after["status"], &after["credit"]),
            (&json!(0.0), &json!("active"), &json!(100.25))
        );
        one.fill(&id, &[Some("growth"), Some("web")], "7 USD").await;
        assert_eq!(list("").await["data"][0]["current_usage"], 7.0);
        // Nothing that was counted is gone, and other processes see the credit.
        let used = one.limiter.usage().await.unwrap();
        assert_eq!(
            (used[0].settled.to_string(), used[0].limit.to_string()),
            ("107.25 USD".into(), "200.25 USD".into())
        );
        other.limiter.refresh_from(&analytics).await.unwrap();
        other.fill(&id, &[Some("growth"), Some("web")], "150 USD").await;
        assert_eq!(other.limiter.usage().await.unwrap()[0].limit.to_string(), "200.25 USD");

        // By the value, with a change.
        let patch = json!({ "reset_usage_for_value": "growth", "credit_limit": 50 });
        put(&one.app, &format!("{USAGE}/{id}"), ADMIN, patch).await.ok();
        assert_eq!(one.limiter.usage().await.unwrap()[0].limit.to_string(), "157.25 USD");
        // In another process, which has not read that credit yet.
        put(&other.app, &format!("{USAGE}/{id}"), ADMIN, json!({ "reset_usage_for_value": "growth" })).await.ok();
        assert_eq!(other.limiter.usage().await.unwrap()[0].limit.to_string(), "200 USD");
        let actions: Vec<String> = log(&analytics).await.into_iter().map(|(_, action, _)| action).collect();
        let reset = "reset usage limit";
        assert_eq!(actions, ["create usage limit", reset, "change usage limit", reset, reset]);
        let unknown = send(&one.app, Method::PUT, &format!("{entities}/x/reset"), ADMIN, None).await;
        assert_eq!(error(&unknown), (StatusCode::NOT_FOUND, "AB02".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_the_same_time_do_not_lose_each_other() {
    for analytics in stores(&[]) {
        let processes = [Process::new(&analytics, Vec::new()), Process::new(&analytics, Vec::new())];
        let id = processes[0].create(USAGE, ADMIN, json!({ "type": "cost", "credit_limit": 10 })).await;
        let path = format!("{USAGE}/{id}");
        let patches = [json!({ "name": "one" }), json!({ "credit_limit": 77 }), json!({ "mode": "shadow" })];
        let replies = patches.iter().enumerate().map(|(at, patch)| {
            let (app, path, patch) = (processes[at % 2].app.clone(), path.clone(), patch.clone());
            tokio::spawn(async move { put(&app, &path, ADMIN, patch).await })
        });
        for reply in replies.collect::<Vec<_>>() {
            reply.await.unwrap().ok();
        }
        let read = get(&processes[0].app, &path, ADMIN).await.ok();
        assert_eq!(
            (&read["name"], &read["credit_limit"], &read["mode"]),
            (&json!("one"), &json!(77.0), &json!("shadow"))
        );
    }
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    for analytics in stores(&[]) {
        let process = Process::new(&analytics, configured());
        for number in 0..7 {
            let workspace = if number < 3 { json!("acme") } else { Value::Null };
            let body = json!({ "name": format!("n{number}"), "type": "requests", "credit_limit": 5, "workspace_id": workspace });
            process.create(USAGE, ADMIN, body).await;
        }
        let page = get(&process.app, &format!("{USAGE}?page_size=4&current_page=1"), ADMIN).await.ok();
        let names: Vec<&str> =
            page["data"].as_array().unwrap().iter().map(|limit| limit["name"].as_str().unwrap()).collect();
        assert_eq!((&page["total"], names), (&json!(9), vec!["n2", "n3", "n4", "n5"]));
        for (query, total) in [
            ("workspace_id=acme", 4),
            ("type=requests", 7),
            ("type=cost", 1),
            ("status=active", 9),
            ("status=archived", 0),
        ] {
            assert_eq!(get(&process.app, &format!("{USAGE}?{query}"), ADMIN).await.ok()["total"], total, "{query}");
        }
        process.create(RATE, ADMIN, json!({ "type": "tokens", "unit": "rps", "value": 5 })).await;
        for (query, total) in [("", 2), ("type=tokens", 1), ("unit=rpm", 1), ("target=mcp_tools", 0), ("target=llm", 2)]
        {
            assert_eq!(get(&process.app, &format!("{RATE}?{query}"), ADMIN).await.ok()["total"], total, "{query}");
        }
    }
}

#[tokio::test]
async fn virtual_keys_show_their_limits_and_are_marked_when_used_up() {
    for analytics in stores(&samples()) {
        let process = Process::new(&analytics, Vec::new());
        let of_team = json!({
            "type": "cost", "credit_limit": 1,
            "conditions": [{ "key": "virtual_key", "value": "openai-acme" }, { "key": "metadata.team", "value": "x" }]
        });
        // Before the budget of all requests.
        let team = process.create(USAGE, ADMIN, of_team).await;
        let id = process
            .create(
                USAGE,
                ADMIN,
                json!({
                    "type": "cost", "credit_limit": 10, "alert_threshold": 8, "periodic_reset": "monthly",
                    "group_by": [{ "key": "virtual_key" }]
                }),
            )
            .await;
        let rate = json!({
            "type": "requests", "unit": "rpm", "value": 5, "conditions": [{ "key": "virtual_key", "value": "openai-acme" }]
        });
        process.create(RATE, &secret("acme-admin"), rate).await;
        let keys = async |key: &str| get(&process.app, "/virtual-keys", key).await.ok()["data"].clone();
        let of =
            |keys: &Value, slug: &str| keys.as_array().unwrap().iter().find(|key| key["slug"] == slug).unwrap().clone();
        let acme = of(&keys(ADMIN).await, "openai-acme");
        assert_eq!(
            acme["usage_limits"],
            json!({ "type": "cost", "credit_limit": 10.0, "alert_threshold": 8.0, "periodic_reset": "monthly", "policy_id": id })
        );
        assert_eq!(acme["rate_limits"][0]["unit"], "rpm");
        assert_eq!(acme["status"], "active");
        let globex = of(&keys(ADMIN).await, "openai-globex");
        assert_eq!((&globex["usage_limits"]["policy_id"], &globex["rate_limits"]), (&json!(id), &json!([])));
        // A tenant sees the limits that its report has: that of all tenants is not one of them.
        let own = of(&keys(&secret("acme-admin")).await, "openai-acme");
        assert_eq!((&own["usage_limits"], &own["rate_limits"]), (&Value::Null, &acme["rate_limits"]));
        let globex = of(&keys(&secret("globex")).await, "openai-globex");
        assert_eq!((&globex["usage_limits"], &globex["rate_limits"]), (&Value::Null, &json!([])));

        // A budget of a part of the requests does not stop the others.
        process.fill(&team, &[], "5 USD").await;
        assert!(process.limiter.mark_virtual_keys(&process.registry).await.unwrap().is_empty());
        process.fill(&id, &[Some("openai-acme")], "10 USD").await;
        process.fill(&id, &[Some("openai-globex")], "9 USD").await;
        assert_eq!(of(&keys(ADMIN).await, "openai-acme")["status"], "exhausted");
        assert_eq!(process.limiter.mark_virtual_keys(&process.registry).await.unwrap(), ["openai-acme"]);
        let statuses = || process.registry.virtual_key_statuses(SystemTime::now());
        assert_eq!(statuses()["openai-acme"], VirtualKeyStatus::Exhausted);
        assert_eq!(statuses()["openai-globex"], VirtualKeyStatus::Active);

        // A raise makes room. What someone else has set stays.
        process.registry.set_virtual_key_status("openai-globex", VirtualKeyStatus::Exhausted);
        put(&process.app, &format!("{USAGE}/{id}"), ADMIN, json!({ "credit_limit": 11 })).await.ok();
        assert!(process.limiter.mark_virtual_keys(&process.registry).await.unwrap().is_empty());
        assert_eq!(statuses()["openai-acme"], VirtualKeyStatus::Active);
        assert_eq!(statuses()["openai-globex"], VirtualKeyStatus::Exhausted);
    }
}

#[tokio::test]
async fn a_stored_limit_that_is_not_valid_is_skipped() {
    let path = std::env::temp_dir().join(format!("tower_tagging_broken_limit_{}.db", std::process::id()));
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().unwrap();
    let analytics = Analytics::new(store);
    let process = Process::new(&analytics, Vec::new());
    process.create(USAGE, ADMIN, json!({ "name": "good", "type": "cost", "credit_limit": 10 })).await;
    let insert = "INSERT INTO tagging_limit_rules VALUES ('0', 'usage', ?1, '', 1, 1, '', 1)";
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute(insert, ["{\"type\":\"cost\",\"credit_limit\":-1}"]).unwrap();
    assert!(process.limiter.refresh_from(&analytics).await.unwrap());
    let names: Vec<String> = process.limiter.rules().iter().map(|rule| rule.title().to_owned()).collect();
    assert_eq!(names, ["good"]);
    assert_eq!(get(&process.app, USAGE, ADMIN).await.ok()["total"], 1);
    drop((database, process, analytics));
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

#[tokio::test]
async fn the_report_has_what_the_caller_may_see() {
    for analytics in stores(&samples()) {
        let process = Process::new(&analytics, configured());
        process.fill("all", &[Some("acme")], "90 USD").await;
        process.fill("all", &[Some("globex")], "450 USD").await;
        let all = get(&process.app, "/limits", ADMIN).await.ok();
        let rows: Vec<(&Value, &Value)> =
            all["data"].as_array().unwrap().iter().map(|row| (&row["group"], &row["used_percent"])).collect();
        assert_eq!(
            rows,
            [
                (&json!({ "workspace_id": "globex" }), &json!(50.0)),
                (&json!({ "workspace_id": "acme" }), &json!(10.0)),
                (&json!({}), &json!(0.0))
            ]
        );
        let row = &all["data"][0];
        assert_eq!((&row["limit"], &row["remaining"], &row["rejected"]), (&json!(900.0), &json!(450.0), &json!(0)));
        assert!(row["projection"].is_null() || row["projection"].as_f64() >= Some(450.0), "{row}");
        assert_eq!((&all["rates"][0]["unit"], &all["rates"][0]["rejected_in_24_hours"]), (&json!("rpm"), &json!(0)));

        // A tenant sees its own groups. The rate is that of all tenants together.
        let own = get(&process.app, "/limits", &secret("acme-view")).await;
        assert!(!own.text.contains("globex"), "{}", own.text);
        let own = own.ok();
        assert_eq!((&own["total"], &own["rates"]), (&json!(2), &json!([])));
        assert_eq!(get(&process.app, "/limits?rule=of-acme", &secret("acme-view")).await.ok()["total"], 1);
        assert_eq!(get(&process.app, "/limits?rule=of-acme", &secret("globex")).await.ok()["total"], 0);
        assert_eq!(
            get(&process.app, "/limits?page_size=1&current_page=2", ADMIN).await.ok()["data"][0]["rule"],
            "of-acme"
        );
        assert_eq!(get(&process.app, "/limits", &secret("acme-logs")).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn reports_say_that_a_limit_has_too_many_groups() {
    let analytics = Analytics::new(MemoryStore::new());
    let process = Process::new(&analytics, configured());
    let group_by = json!([{ "key": "metadata.team" }]);
    let full = json!({ "name": "Teams", "type": "requests", "credit_limit": 5, "group_by": group_by });
    let id = process.create(USAGE, ADMIN, full).await;
    let page = format!("{USAGE}/{id}/entities?page_size=1");
    for number in 0..10_000 {
        process.fill(&id, &[Some(&format!("t{number:05}"))], "1 request").await;
    }
    let all = get(&process.app, "/limits", ADMIN).await.ok();
    assert_eq!((&all["total"], &all["truncated"]), (&json!(10_001), &json!([])));
    let entities = get(&process.app, &page, ADMIN).await.ok();
    assert_eq!((&entities["total"], &entities["is_truncated"]), (&json!(10_000), &json!(false)));

    process.fill(&id, &[Some("u")], "1 request").await;
    let all = get(&process.app, "/limits", ADMIN).await.ok();
    assert_eq!((&all["total"], &all["truncated"]), (&json!(10_001), &json!([id])));
    let entities = get(&process.app, &page, ADMIN).await.ok();
    assert_eq!((&entities["total"], &entities["is_truncated"]), (&json!(10_000), &json!(true)));
    let reset = put(&process.app, &format!("{USAGE}/{id}"), ADMIN, json!({ "reset_usage_for_value": "u" })).await;
    assert!(message(&reset).contains("only the first 10,000 are searched"), "{}", reset.text);
    // The limits that a tenant sees are complete.
    assert_eq!(get(&process.app, "/limits", &secret("acme-view")).await.ok()["truncated"], json!([]));
}

#[tokio::test]
async fn the_report_hides_limits_whose_conditions_exclude_the_caller() {
    let rate = |name: &str| LimitRule::rate(name, Amount::requests(7), Duration::from_secs(60)).group_by("workspace");
    let budget = |name: &str| LimitRule::budget(name, Amount::tokens(5_000), month()).group_by("workspace");
    let rules = vec![
        decided(rate("rate-of-globex").when("workspace", ["globex"])),
        decided(rate("rate-except-acme").exclude("workspace", ["ac*"])),
        decided(rate("rate-of-both").when("workspace", ["acme", "globex"])),
        decided(budget("budget-of-globex").when("workspace", ["globex"])),
        decided(budget("budget-of-all").when("workspace", ["*"])),
    ];
    let process = Process::new(&Analytics::new(MemoryStore::new()), rules);
    // A group from before the condition was added.
    process.fill("budget-of-globex", &[Some("acme")], "5 tokens").await;
    process.fill("budget-of-all", &[Some("acme")], "5 tokens").await;
    let own = get(&process.app, "/limits", &secret("acme-view")).await.ok();
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|entry| entry["rule"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (names(&own["rates"]), names(&own["data"])),
        (vec!["rate-of-both".into()], vec!["budget-of-all".into()])
    );
    let other = get(&process.app, "/limits", &secret("globex")).await.ok();
    assert_eq!(names(&other["rates"]), ["rate-of-globex", "rate-except-acme", "rate-of-both"]);
}

#[tokio::test]
async fn the_openapi_document_has_the_endpoints() {
    let process = Process::new(&Analytics::new(MemoryStore::new()), Vec::new());
    let document = get(&process.app, "/openapi.json", "").await.ok();
    for (path, methods) in [
        ("/limits", &["get"][..]),
        (USAGE, &["get", "post"]),
        ("/policies/usage-limits/{id}", &["get", "put", "delete"]),
        ("/policies/usage-limits/{id}/entities", &["get"]),
        ("/policies/usage-limits/{id}/entities/{entity_id}/reset", &["put"]),
        (RATE, &["get", "post"]),
        ("/policies/rate-limits/{id}", &["get", "put", "delete"]),
        ("/query", &["post"]),
    ] {
        for method in methods {
            assert!(document["paths"][path][method].is_object(), "{method} {path}");
        }
    }
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert_eq!(send(&process.app, Method::PATCH, USAGE, ADMIN, None).await.status, StatusCode::METHOD_NOT_ALLOWED);
}
