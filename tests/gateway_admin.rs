//! The admin API of the gateway example, which the gateway itself answers, and the demo with its synthetic history.

mod common;
#[path = "../examples/gateway/demo_history.rs"]
mod demo_history;
#[path = "../examples/gateway/demo_request.rs"]
mod demo_request;
#[path = "common/gateway.rs"]
mod gateway;
#[path = "../examples/gateway/random.rs"]
mod random;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{Router, extract::Request as AxumRequest};
use common::{TempFolder, delivery::wait_until};
use gateway::{Gateway, chat, command};
use http::{HeaderMap, Request};
use http_body_util::Full;
use hyper::body::Bytes;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_tagging::{
    Event,
    event::Outcome,
    registry::{ApiKey, SecretDigest},
    usage::{CatalogPrices, CostStatus, LlmCall},
};

const KEY: &str = "admin-key-of-a-test";

/// The targets and headers that the upstream received.
type Received = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// Starts an upstream that answers every request with `upstream`.
async fn upstream() -> (String, Received) {
    let received = Received::default();
    let keep = received.clone();
    let answer = async move |request: AxumRequest| {
        keep.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
        "upstream"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (base, received)
}

/// Sends a request line as it is, and reads the whole response.
async fn raw(gateway: &Gateway, line: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn get(path: &str, key: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::get(path).body(Full::default()).unwrap();
    if let Some(key) = key {
        request.headers_mut().insert("x-portkey-api-key", key.parse().unwrap());
    }
    request
}

/// Returns the query for the last 31 days.
fn last_month() -> String {
    let now = SystemTime::now();
    let [from, to] = [now - Duration::from_secs(31 * 86_400), now + Duration::from_secs(60)]
        .map(|time| humantime::format_rfc3339_seconds(time).to_string());
    format!("time_of_generation_min={from}&time_of_generation_max={to}")
}

/// A request for the cost of each team.
fn team_costs(key: Option<&str>) -> Request<Full<Bytes>> {
    get(&format!("/tagging/v1/analytics/groups/metadata/team?{}", last_month()), key)
}

fn body(answer: &http::Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

/// Returns the requests and the cost in cents by the value of a tag.
fn groups(answer: &http::Response<Bytes>) -> BTreeMap<String, (u64, String)> {
    assert_eq!(answer.status(), 200, "{answer:?}");
    let answer = body(answer);
    let group = |group: &Value| {
        let cents = format!("{:.7}", group["cost"].as_f64().unwrap());
        (group["metadata_value"].as_str().unwrap().to_owned(), (group["requests"].as_u64().unwrap(), cents))
    };
    answer["data"].as_array().unwrap().iter().map(group).collect()
}

fn stored(database: &Path) -> i64 {
    let db = Connection::open(database).unwrap();
    db.query_row("SELECT COUNT(*) FROM tagging_events", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_everything_below_tagging_itself() {
    let (base, received) = upstream().await;
    let folder = TempFolder::new("admin-files-own");
    let database = folder.file("events.db");
    let config = folder.file("gateway.json");
    // Callers without a key are refused, but not below `/tagging/`, which has its own rules.
    std::fs::write(&config, json!({"access": {"unknown_keys": "reject"}}).to_string()).unwrap();
    let store = format!("sqlite:{}", database.display());
    let env = [("UPSTREAM", &*base), ("STORE", &store), ("ADMIN_KEY", KEY), ("CONFIG", config.to_str().unwrap())];
    let gateway = Gateway::start("admin-own", &env);
    let admin = format!("x-portkey-api-key: {KEY}\r\n");
    for headers in ["", &admin, "x-portkey-metadata: {\"_user\":\"ada\"}\r\nauthorization: Bearer nobody\r\n"] {
        for target in [
            "GET /tagging/",
            "GET /tagging/?a=b",
            "GET /tagging/nowhere",
            "POST /tagging/v1/chat/completions",
            "DELETE /tagging/v1/analytics",
            "OPTIONS /tagging/v1/",
            "PROPFIND /tagging/x",
            "POST /tagging/mcp",
            "GET /tagging/mcp?x",
            "DELETE /tagging/mcp",
            "GET /tagging/../v1/models",
            "GET /tagging/%2e%2e/v1/models",
            "GET /tagging/..%2f..%2fv1/models",
            "GET /tagging/./../..//v1/models",
            "GET /tagging//v1/models",
            "GET /tagging/%00%ff",
            "GET http://elsewhere.example/tagging/v1/models",
        ] {
            let answer = raw(&gateway, target, headers).await;
            // Pages redirect to the sign-in, and nothing redirects elsewhere.
            let is_to_sign_in = answer.contains("/sign-in?next=");
            let is_own = matches!(status(&answer), 200..300 | 400..500) || status(&answer) == 303 && is_to_sign_in;
            assert!(is_own, "{target}: {answer}");
            assert!(!answer.contains("upstream"), "{target}: {answer}");
            assert!(!answer.contains("x-trace-id") && !answer.contains("x-portkey-trace-id"), "{target}: {answer}");
        }
    }
    let (output, events) = gateway.stop();
    assert!(output.status.success(), "{output:?}");
    assert!(received.lock().unwrap().is_empty());
    assert_eq!((events, stored(&database)), (Vec::<Value>::new(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwards_paths_that_only_resemble_tagging() {
    let (base, received) = upstream().await;
    let folder = TempFolder::new("admin-files-similar");
    let store = format!("sqlite:{}", folder.file("events.db").display());
    let gateway = Gateway::start("admin-similar", &[("UPSTREAM", &base), ("STORE", &store), ("ADMIN_KEY", KEY)]);
    let targets = [
        "//tagging",
        "//tagging/v1",
        "/taggings/v1",
        "/Tagging/v1",
        "/TAGGING/",
        "/tagging;a/v1",
        "/tagging%2fv1",
        "/tagging%2F",
        "/%74agging/v1",
        "/tagging./v1",
        "/tagging%20/",
        "/v1/tagging/",
        "/./tagging/",
        "/x/../tagging/v1",
        "/tagging:x",
    ];
    for target in targets {
        let answer = raw(&gateway, &format!("GET {target}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("upstream"), "{target}: {answer}");
    }
    // Request targets without a path.
    for (line, expected) in [("OPTIONS *", 200), ("GET tagging:80", 400), ("CONNECT tagging:80", 405)] {
        assert_eq!(status(&raw(&gateway, line, "").await), expected, "{line}");
    }
    let (_, mut events) = gateway.stop();
    assert_eq!(events.split_off(targets.len()).len(), 3);
    let paths: Vec<_> = events.iter().map(|event| event["request"]["path"].as_str().unwrap()).collect();
    assert_eq!(paths, targets);
    let forwarded: Vec<_> = received.lock().unwrap().iter().map(|(target, _)| target.clone()).collect();
    assert_eq!(forwarded[..targets.len()], targets);
    assert_eq!(forwarded[targets.len()..], ["*"]);
}

/// Whoever opens the address of a demo finds the sign-in, and the printed link opens the dashboard once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_of_the_demo_opens_the_dashboard_once() {
    let gateway = Gateway::start("admin-dashboard", &[("STORE", "")]);
    let answer = gateway.send(get("/tagging/", None)).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "./sign-in?next="));
    let (output, events) = gateway.stop();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("/tagging/sign-in?token=once_"), "{printed}");
    assert_eq!(events, Vec::<Value>::new());
}

/// Its callers would see everything, whatever their workspace and permissions.
#[test]
fn the_admin_key_cannot_be_an_api_key() {
    let folder = TempFolder::new("admin-files-same-key");
    let config = folder.file("gateway.json");
    for change in [json!({}), json!({"disabled": true}), json!({"expires_at": "2020-01-01T00:00:00Z"})] {
        let mut key = json!({"secrets": [{"sha256": SecretDigest::of(KEY).to_string()}], "workspace": "acme"});
        key.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        std::fs::write(&config, json!({"workspaces": {"acme": {}}, "api_keys": {"web": key}}).to_string()).unwrap();
        let env = [("ADMIN_KEY", KEY), ("STORE", ""), ("CONFIG", config.to_str().unwrap())];
        let output = command(&env).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1), "{errors}");
        assert!(errors.contains("ADMIN_KEY") && errors.contains("use another") && !errors.contains(KEY), "{errors}");
    }
}

/// The sinks stay open until their events are delivered, so nothing warns of events that are delivered a moment later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_wait_at_the_end_are_delivered_without_a_warning() {
    let (base, _) = upstream().await;
    let folder = TempFolder::new("admin-files-waiting");
    let database = folder.file("events.db");
    let store = format!("sqlite:{}", database.display());
    let gateway = Gateway::start("admin-waiting", &[("UPSTREAM", &base), ("STORE", &store)]);
    let address = gateway.address;
    let db = Connection::open(&database).unwrap();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(gateway.send(chat(&[])).await.status(), 200);
    signal(gateway.child.as_ref().unwrap(), "-TERM");
    // The server has ended. The event still waits for the database.
    wait_until(|| std::net::TcpStream::connect(address).is_err());
    db.execute_batch("COMMIT").unwrap();
    let (output, events) = gateway.stop();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.contains("sqlite: 1 accepted, 1 delivered"), "{errors}");
    assert!(!errors.contains("dropped without"), "{errors}");
    assert_eq!((events.len(), stored(&database)), (1, 1));
}

/// A relative target works behind a proxy that adds a prefix.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_tagging_to_its_folder() {
    let gateway = Gateway::start("admin-redirect", &[("STORE", "")]);
    for (target, location) in [("/tagging", "tagging/"), ("/tagging?from=a&b=%2f", "tagging/?from=a&b=%2f")] {
        for method in ["GET", "HEAD", "POST"] {
            let answer = raw(&gateway, &format!("{method} {target}"), "").await;
            assert_eq!(status(&answer), 307, "{answer}");
            assert!(answer.contains(&format!("\r\nlocation: {location}\r\n")), "{answer}");
        }
    }
    assert_eq!(gateway.stop().1, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwards_tagging_without_an_admin_key() {
    let (base, received) = upstream().await;
    let folder = TempFolder::new("admin-files-none");
    let config = folder.file("gateway.json");
    let key = json!({"secrets": [{"sha256": SecretDigest::of("k").to_string()}], "permissions": ["admin"]});
    std::fs::write(&config, json!({"api_keys": {"web": key}}).to_string()).unwrap();
    let store = format!("sqlite:{}", folder.file("events.db").display());
    let env = [("UPSTREAM", &*base), ("STORE", &store), ("CONFIG", config.to_str().unwrap())];
    let gateway = Gateway::start("admin-none", &env);
    for path in ["/tagging", "/tagging/", "/tagging/v1/analytics/graphs/cost"] {
        let answer = gateway.send(get(path, Some("k"))).await;
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, b"upstream".as_slice()), "{path}");
    }
    let (output, events) = gateway.stop();
    assert_eq!((events.len(), received.lock().unwrap().len()), (3, 3));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("tagging/"), "{output:?}");
}

/// The key works in both headers, and no provider ever sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_key_opens_the_api_and_is_not_forwarded() {
    let (base, received) = upstream().await;
    let folder = TempFolder::new("admin-files-key");
    let store = format!("sqlite:{}", folder.file("events.db").display());
    let env =
        [("UPSTREAM", &*base), ("STORE", &store), ("ADMIN_KEY", KEY), ("PUBLIC_URL", "https://llm.example.com/ai/")];
    let gateway = Gateway::start("admin-key", &env);
    let bearer = |key: &str| {
        let mut request = team_costs(None);
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        request
    };
    for request in [team_costs(None), team_costs(Some("wrong")), team_costs(Some("")), bearer("wrong"), bearer("")] {
        let answer = gateway.send(request).await;
        assert_eq!(answer.status(), 401, "{answer:?}");
    }
    for request in [team_costs(Some(KEY)), bearer(KEY)] {
        let answer = gateway.send(request).await;
        assert_eq!((answer.status().as_u16(), &body(&answer)["total"]), (200, &json!(0)), "{answer:?}");
    }
    let headers = [("x-portkey-api-key", KEY), ("authorization", &*format!("Bearer {KEY}")), ("x-other", "kept")];
    assert_eq!(gateway.send(chat(&headers)).await.status(), 200);
    let (output, events) = gateway.stop();
    assert_eq!(events.len(), 1);
    let received = received.lock().unwrap();
    assert_eq!(received.len(), 1);
    assert!(received[0].1.contains_key("x-other") && !format!("{received:?}").contains(KEY), "{received:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("https://llm.example.com/ai/tagging/") && !errors.contains(KEY), "{errors}");
}

/// A demo, and the folder for temporary files that only this demo uses.
struct Demo {
    gateway: Gateway,
    temporary: TempFolder,
}

impl Demo {
    fn start(name: &str, env: &[(&str, &str)]) -> Self {
        let temporary = TempFolder::new(&format!("demo-files-{name}"));
        let mut all = vec![("STORE", ""), ("TMPDIR", temporary.path().to_str().unwrap())];
        all.extend_from_slice(env);
        let gateway = Gateway::start(&format!("demo-{name}"), &all);
        Self { gateway, temporary }
    }

    fn database(&self) -> PathBuf {
        let folders = folders(self.temporary.path());
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders[0].join("events.db")
    }

    fn stop(self) -> (String, Vec<Value>, TempFolder) {
        let (output, events) = self.gateway.stop();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stderr).unwrap(), events, self.temporary)
    }
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Returns the generated key from the output of a demo.
fn printed_key(errors: &str) -> Option<&str> {
    let (_, rest) = errors.split_once("x-portkey-api-key: ")?;
    rest.split('\'').next()
}

fn read_until(child: &mut Child, end: &str) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while child.stderr.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
        text.push(byte[0]);
        if text.ends_with(end.as_bytes()) {
            return String::from_utf8(text).unwrap();
        }
    }
    panic!("{}", String::from_utf8_lossy(&text));
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_fills_a_temporary_store_prints_a_key_and_removes_the_store() {
    let mut demo = Demo::start("full", &[]);
    let database = demo.database();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(database.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "only this user may read the requests");
    }
    let printed = read_until(demo.gateway.child.as_mut().unwrap(), "synthetic requests of the last 30 days\n");
    assert_eq!(printed.lines().count(), 8, "{printed}");
    let key = printed_key(&printed).unwrap();
    assert!(ApiKey::is_well_formed(key), "{key}");
    assert_eq!(demo.gateway.send(team_costs(None)).await.status(), 401);
    let costs = groups(&demo.gateway.send(team_costs(Some(key))).await);
    // The keys of two workspaces, each of which sees its own requests, workspace, and virtual keys.
    let (_, workspaces) = printed.split_once("keys that see one workspace: ").unwrap();
    let workspaces: Vec<_> =
        workspaces.lines().next().unwrap().split(", ").map(|pair| pair.split_once(": ").unwrap()).collect();
    assert_eq!(workspaces.iter().map(|(slug, _)| *slug).collect::<Vec<_>>(), ["acme", "internal"]);
    let acme = workspaces[0].1.to_owned();
    let mut own_teams = 0;
    for (slug, own) in workspaces {
        let teams = groups(&demo.gateway.send(team_costs(Some(own))).await);
        own_teams += teams.len();
        assert!(teams.iter().all(|(team, cost)| costs.get(team) == Some(cost)), "{slug}: {teams:?}");
        let list = body(&demo.gateway.send(get("/tagging/v1/admin/workspaces", Some(own))).await);
        assert_eq!((&list["total"], &list["data"][0]["slug"]), (&json!(1), &json!(slug)));
    }
    assert_eq!(own_teams, 5, "the sixth team is in another workspace");
    for (path, total) in [("/tagging/v1/admin/workspaces", 2), ("/tagging/v1/virtual-keys", 1)] {
        assert_eq!(body(&demo.gateway.send(get(path, Some(key))).await)["total"], total, "{path}");
    }
    assert_eq!(demo.gateway.send(chat(&[])).await.status(), 200);
    // A request with the key of a workspace belongs to it, also if it names a virtual key, which the demo answers as any other.
    let with_key = [("x-portkey-api-key", &*acme), ("x-portkey-virtual-key", "openai-demo")];
    assert_eq!(demo.gateway.send(chat(&with_key)).await.status(), 200);
    // The demo's own requests are in the same store.
    wait_until(|| stored(&database) == i64::try_from(demo_history::REQUESTS).unwrap() + 2);
    let db = Connection::open(&database).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let newest = "FROM (SELECT * FROM tagging_events ORDER BY requested_at DESC LIMIT 2)";
    assert_eq!(count(&format!("SELECT count(*) {newest} WHERE workspace = 'acme' AND api_key = 'web'")), 1);
    assert_eq!(count(&format!("SELECT count(*) {newest} WHERE workspace IS NULL AND api_key IS NULL")), 1);
    for (key, values) in [("team", 6), ("feature", 4)] {
        let sql = format!("SELECT COUNT(DISTINCT raw_metadata->>'{key}') FROM tagging_events");
        assert_eq!(count(&sql), values, "{key}");
    }
    let sql = "SELECT raw_metadata->>'team', COUNT(*), SUM(total_cost_nanos) FROM tagging_events
        WHERE raw_metadata->>'team' IS NOT NULL GROUP BY 1";
    let mut select = db.prepare(sql).unwrap();
    let team = |row: &rusqlite::Row<'_>| {
        let nanos: i64 = row.get(2)?;
        // A cent has ten million nano-dollars.
        let cents = format!("{}.{:07}", nanos / 10_000_000, nanos % 10_000_000);
        Ok((row.get(0)?, (row.get::<_, i64>(1)?.unsigned_abs(), cents)))
    };
    let expected: BTreeMap<_, _> = select.query_map([], team).unwrap().map(Result::unwrap).collect();
    assert_eq!(costs, expected, "the API has the same sums as the rows");
    drop(select);
    let days = "SELECT COUNT(DISTINCT substr(requested_at, 1, 10)) FROM tagging_events";
    assert!((30..=31).contains(&count(days)), "{}", count(days));
    assert_eq!(
        count("SELECT COUNT(*) FROM tagging_events WHERE requested_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"),
        0
    );
    drop(db);
    let (errors, events, temporary) = demo.stop();
    assert_eq!(events.len(), 2, "synthetic requests are only in the store: {errors}");
    assert!(errors.contains("sqlite: 2 accepted, 2 delivered, 0 in flight"), "{errors}");
    assert_eq!(folders(temporary.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_history_can_be_switched_off() {
    let demo = Demo::start("off", &[("DEMO_HISTORY", "off"), ("ADMIN_KEY", KEY)]);
    let database = demo.database();
    assert_eq!(groups(&demo.gateway.send(team_costs(Some(KEY))).await), BTreeMap::new());
    assert_eq!(demo.gateway.send(chat(&[])).await.status(), 200);
    wait_until(|| stored(&database) == 1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stored(&database), 1);
    let (errors, _, temporary) = demo.stop();
    assert!(!errors.contains("synthetic") && printed_key(&errors).is_none() && !errors.contains(KEY), "{errors}");
    assert_eq!(folders(temporary.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_store_is_never_filled_and_gets_no_key() {
    let folder = TempFolder::new("admin-files-explicit");
    let database = folder.file("events.db");
    let store = format!("sqlite:{}", database.display());
    let (base, _) = upstream().await;
    for upstream in ["", &base] {
        let temporary = TempFolder::new("demo-files-explicit");
        let temporary_path = temporary.path().to_str().unwrap();
        let env = [("STORE", &*store), ("UPSTREAM", upstream), ("TMPDIR", temporary_path), ("DEMO_HISTORY", "on")];
        let gateway = Gateway::start("admin-explicit", &env);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(stored(&database), 0);
        assert_eq!(folders(temporary.path()), Vec::<PathBuf>::new());
        let (output, _) = gateway.stop();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(printed_key(&errors).is_none() && !errors.contains("synthetic"), "{errors}");
    }
}

/// With an upstream and without `STORE`, events go to `events.db` in the current folder, as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_without_a_store_uses_a_file_in_the_current_folder() {
    let (base, _) = upstream().await;
    let folder = TempFolder::new("admin-files-default");
    let mut child =
        command(&[("STORE", ""), ("UPSTREAM", &base), ("EVENTS", "-")]).current_dir(folder.path()).spawn().unwrap();
    read_until(&mut child, "try: curl ");
    assert_eq!(stored(&folder.file("events.db")), 0);
    signal(&child, "-TERM");
    assert!(child.wait().unwrap().success());
    assert!(folder.file("events.db").exists());
}

/// A key in the output of a server that others can reach would protect nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_on_other_addresses_generates_no_key() {
    let demo = Demo::start("public", &[("LISTEN", "0.0.0.0:0"), ("DEMO_HISTORY", "off")]);
    let answer = raw(&demo.gateway, "GET /tagging/", "").await;
    assert!(answer.contains("unknown route of the demo provider"), "{answer}");
    let (errors, events, _) = demo.stop();
    assert!(printed_key(&errors).is_none(), "{errors}");
    assert_eq!(events[0]["request"]["path"], "/tagging/");
    let demo = Demo::start("ipv6", &[("LISTEN", "[::ffff:127.0.0.1]:0"), ("DEMO_HISTORY", "off")]);
    assert!(printed_key(&demo.stop().0).is_some(), "this is a loopback address");
}

/// However a demo ends, its store does not stay.
#[test]
fn the_temporary_store_does_not_outlive_the_demo() {
    let temporary = TempFolder::new("demo-files-ends");
    let start = |env: &[(&str, &str)]| {
        let mut all = vec![("STORE", ""), ("TMPDIR", temporary.path().to_str().unwrap()), ("EVENTS", "-")];
        all.extend_from_slice(env);
        let mut child = command(&all).spawn().unwrap();
        read_until(&mut child, "time_of_generation_max=");
        child
    };
    // While the history is written.
    for name in ["-INT", "-TERM"] {
        let mut child = start(&[]);
        signal(&child, name);
        assert!(child.wait().unwrap().success());
        assert_eq!(folders(temporary.path()), Vec::<PathBuf>::new(), "{name}");
    }
    // The gateway does not start.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let path = temporary.path().to_str().unwrap();
    for bad in [("LISTEN", &*address), ("METADATA_PREFIXES", "in valid"), ("ADMIN_KEY", "in valid")] {
        let output = command(&[("STORE", ""), ("TMPDIR", path), bad]).output().unwrap();
        assert!(!output.status.success(), "{bad:?}");
        assert_eq!(folders(temporary.path()), Vec::<PathBuf>::new(), "{bad:?}");
    }
    // A demo that was killed leaves its folder for the next one. A running demo keeps its own.
    let mut killed = start(&[]);
    let mut running = start(&[]);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let all = folders(temporary.path());
    assert_eq!(all.len(), 2);
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    for folder in &all {
        File::options().write(true).open(folder.join("lock")).unwrap().set_modified(an_hour_ago).unwrap();
    }
    let mut next = start(&[]);
    let left = folders(temporary.path());
    assert_eq!(left.iter().filter(|folder| all.contains(folder)).count(), 1, "{left:?}");
    assert_eq!(left.len(), 2, "{left:?}");
    for child in [&mut running, &mut next] {
        signal(child, "-TERM");
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(folders(temporary.path()), Vec::<PathBuf>::new());
}

/// The sample configuration has a key of the workspace `acme` that may view analytics, and one without permissions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_workspace_see_only_its_requests() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateway/gateway.toml");
    let mut demo = Demo::start("workspace", &[("CONFIG", config.to_str().unwrap()), ("ADMIN_KEY", KEY)]);
    read_until(demo.gateway.child.as_mut().unwrap(), "synthetic requests of the last 30 days\n");
    let all = groups(&demo.gateway.send(team_costs(Some(KEY))).await);
    let own = groups(&demo.gateway.send(team_costs(Some("sk-gateway-demo"))).await);
    assert_eq!(own.keys().collect::<Vec<_>>(), ["growth", "search", "support"]);
    assert!(all.len() == 6 && own.iter().all(|(team, costs)| all.get(team) == Some(costs)), "{own:?} {all:?}");
    for path in ["/tagging/v1/admin/workspaces", "/tagging/v1/virtual-keys"] {
        assert_eq!(demo.gateway.send(get(path, Some("sk-gateway-demo"))).await.status(), 403, "{path}");
        assert_eq!(demo.gateway.send(get(path, Some(KEY))).await.status(), 200, "{path}");
    }
    let answer = demo.gateway.send(team_costs(Some("sk-gateway-ada"))).await;
    assert_eq!((answer.status().as_u16(), &body(&answer)["data"]["errorCode"]), (403, &json!("AB03")));
    let (errors, events, _) = demo.stop();
    assert_eq!(events, Vec::<Value>::new(), "these requests do not count: {errors}");
}

/// Only the operator knows the address under which clients reach the gateway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_to_files_begin_with_the_public_url() {
    for (public_url, expected) in [
        ("", "/tagging/v1/logs/exports/"),
        ("https://llm.example.com/ai/", "https://llm.example.com/ai/tagging/v1/logs/exports/"),
    ] {
        let env = [("DEMO_HISTORY", "off"), ("ADMIN_KEY", KEY), ("PUBLIC_URL", public_url)];
        let demo = Demo::start("links", &env);
        let filters =
            json!({"time_of_generation_min": "2026-01-01T00:00:00Z", "time_of_generation_max": "2036-01-01T00:00:00Z"});
        let export = json!({"filters": filters, "requested_data": ["id"]}).to_string();
        let send = async |method: &str, path: &str, text: &str| {
            let request = Request::builder().method(method).uri(format!("/tagging/v1/logs/exports{path}"));
            let request = request.header("content-type", "application/json").header("x-portkey-api-key", KEY);
            let answer = demo.gateway.send(request.body(Full::from(text.to_owned())).unwrap()).await;
            assert_eq!(answer.status(), 200, "{answer:?}");
            body(&answer)
        };
        let created = send("POST", "", &export).await;
        let id = created["id"].as_str().unwrap();
        send("POST", &format!("/{id}/start"), "").await;
        let mut status = json!(null);
        while status != "success" {
            assert_ne!(status, "failed");
            status = send("GET", &format!("/{id}"), "").await["status"].clone();
        }
        let link = send("GET", &format!("/{id}/download"), "").await["signed_url"].as_str().unwrap().to_owned();
        assert!(link.starts_with(&format!("{expected}{id}/")), "{link}");
        let path = link.strip_prefix("https://llm.example.com/ai").unwrap_or(&link);
        assert_eq!(demo.gateway.send(get(path, None)).await.status(), 200, "{path}");
        demo.stop();
    }
}

/// The tools answer only requests for the host that the operator names, and link to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tools_for_agents_have_the_public_host() {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_cost_analytics"}})
        .to_string();
    for (public_url, host, expected) in [
        ("", "localhost:8787", Ok("http://localhost:8787/tagging/")),
        ("", "llm.example.com", Err(403)),
        ("https://llm.example.com/ai/", "llm.example.com", Ok("https://llm.example.com/ai/tagging/")),
        ("https://llm.example.com/ai/", "localhost:8787", Err(403)),
    ] {
        let env = [("DEMO_HISTORY", "off"), ("ADMIN_KEY", KEY), ("PUBLIC_URL", public_url)];
        let demo = Demo::start("tools", &env);
        for key in ["", KEY] {
            let mut socket = TcpStream::connect(demo.gateway.address).await.unwrap();
            let request = format!(
                "POST /tagging/mcp HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 accept: application/json, text/event-stream\r\nx-portkey-api-key: {key}\r\ncontent-length: {}\r\n\r\n{call}",
                call.len()
            );
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            match (key, expected) {
                ("", _) => assert_eq!(status(&answer), 401, "{answer}"),
                (_, Err(refused)) => assert_eq!(status(&answer), refused, "{answer}"),
                (_, Ok(link)) => {
                    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
                    let body: Value = serde_json::from_str(body).unwrap();
                    assert_eq!(body["result"]["structuredContent"]["dashboard_url"], link, "{answer}");
                }
            }
        }
        demo.stop();
    }
}

#[test]
fn rejects_invalid_variables_of_the_admin_api() {
    let config = "examples/gateway/gateway.toml";
    for env in [
        &[("PUBLIC_URL", "llm.example.com")][..],
        &[("PUBLIC_URL", "https://user:password@llm.example.com")],
        &[("PUBLIC_URL", "https://llm.example.com?a=b")],
        &[("DEMO_HISTORY", "maybe")],
        &[("ADMIN_KEY", "se cret"), ("STORE", "")],
        &[("ADMIN_KEY", "sécret"), ("STORE", "")],
        &[("ADMIN_KEY", "tooshort"), ("STORE", "")],
        // There is nothing to read.
        &[("ADMIN_KEY", "secret"), ("STORE", "none")],
        &[("ADMIN_KEY", "secret"), ("TAGGING", "off")],
        &[("TAGGING", "off"), ("CONFIG", config)],
    ] {
        let output = command(env).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1), "{env:?}: {errors}");
        assert!(errors.contains(env[0].0) && !errors.contains("cret"), "{errors}");
        assert!(!errors.contains("password"), "{errors}");
    }
}

/// Returns the history before a Monday at noon.
fn history() -> Vec<Event> {
    let now = humantime::parse_rfc3339("2026-11-30T12:00:00Z").unwrap();
    let prices = CatalogPrices::bundled();
    demo_history::requests(now).iter().map(|request| request.event(&prices)).collect()
}

#[test]
fn the_history_is_the_same_for_the_same_time() {
    assert_eq!(history(), history());
}

#[test]
fn the_history_has_something_to_show_in_each_view() {
    let events = history();
    assert_eq!(events.len(), demo_history::REQUESTS);
    assert_eq!(events.iter().map(Event::id).collect::<BTreeSet<_>>().len(), events.len());
    assert!(events.is_sorted_by_key(Event::time));
    for event in events.iter().step_by(97) {
        common::json(event);
    }

    let values = |key: &str| events.iter().filter_map(|event| event.metadata().get(key)).collect::<BTreeSet<_>>();
    assert_eq!(values("team"), BTreeSet::from(["finance", "growth", "platform", "research", "search", "support"]));
    assert_eq!(values("feature"), BTreeSet::from(["agent", "chat", "search", "summarize"]));
    for (key, at_least) in [("tenant_id", 8), ("_user", 100), ("session_id", 1_000), ("agent_run_id", 200)] {
        assert!(values(key).len() >= at_least, "{key}: {}", values(key).len());
    }
    let calls = || events.iter().filter_map(Event::llm);
    let models: BTreeSet<_> = calls().filter_map(LlmCall::response_model).collect();
    let providers: BTreeSet<_> = calls().filter_map(LlmCall::provider).collect();
    assert!(models.len() >= 8 && providers.len() >= 4, "{models:?} {providers:?}");
    let share = |count: usize| count * 1_000 / events.len();
    let errors = share(events.iter().filter(|event| event.is_error()).count());
    assert!((10..80).contains(&errors), "{errors}");
    assert!(share(events.iter().filter(|event| event.outcome() == Outcome::Cancelled).count()) > 5);
    assert!(share(calls().filter(|call| call.cost_status() == CostStatus::UnpricedModel).count()) > 10);
    assert!(share(calls().filter(|call| call.time_to_first_token().is_some()).count()) > 300);
    for status in [CostStatus::Priced, CostStatus::Partial] {
        assert!(calls().filter(|call| call.cost_status() == status).all(|call| call.cost().is_some()), "{status:?}");
    }
    // Only models without a price have none.
    let unpriced = calls().filter(|call| call.cost_status() == CostStatus::UnpricedModel);
    assert_eq!(unpriced.filter_map(LlmCall::provider).collect::<BTreeSet<_>>(), BTreeSet::from(["vllm"]));

    // Turns of a conversation and steps of an agent are in order, and the context grows.
    let mut turns = BTreeMap::<_, Vec<u64>>::new();
    let mut traces = BTreeMap::<_, Vec<&Event>>::new();
    for event in &events {
        if let (Some(session), Some(turn)) = (event.metadata().get("session_id"), event.metadata().get("turn")) {
            turns.entry(session).or_default().push(turn.parse().unwrap());
        }
        if event.metadata().contains_key("agent_run_id") {
            traces.entry(event.trace().trace_id().to_string()).or_default().push(event);
        }
    }
    assert!(turns.values().all(|turns| turns.is_sorted()) && turns.values().any(|turns| turns.len() > 5));
    for steps in traces.values() {
        let run = steps[0].metadata().get("agent_run_id");
        assert!(
            steps.iter().all(|step| step.metadata().get("agent_run_id") == run && step.trace().span_path().is_some())
        );
        let inputs: Vec<_> = steps.iter().filter_map(|step| step.llm()?.usage()?.input_tokens()).collect();
        assert!(inputs.is_sorted(), "{inputs:?}");
    }

    // Weekends are quiet, and the traffic grows.
    let day = |event: &Event| event.time().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let days = events.iter().fold(BTreeMap::<u64, usize>::new(), |mut days, event| {
        *days.entry(day(event)).or_default() += 1;
        days
    });
    let last = *days.keys().next_back().unwrap();
    // Two and one days before this Monday were a weekend.
    let week: Vec<usize> = (3..=7).map(|ago| days[&(last - ago)]).collect();
    assert!(days[&(last - 1)] * 2 < week[0] && days[&(last - 2)] * 2 < week[0], "{days:?}");
    let first_week: Vec<usize> = (24..=28).map(|ago| days[&(last - ago)]).collect();
    assert!(week.iter().sum::<usize>() > first_week.iter().sum::<usize>() * 3 / 2, "{days:?}");
}
