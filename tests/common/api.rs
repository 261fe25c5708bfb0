//! The HTTP API over sample events, for the tests of `analytics::api`.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    cell::RefCell,
    fmt::Write as _,
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use tower::ServiceExt;
use tower_tagging::{
    Event,
    analytics::{
        Analytics, Grant,
        api::{Api, RegistryAccess},
    },
    event::Outcome,
    metadata::Scope,
    registry::Registry,
    sink::BatchWriter,
    store::{MemoryStore, PostgresStore, SqliteStore},
    tags,
    trace::{SpanId, TraceContext, TraceId},
    usage::{Cost, CostStatus, LlmCall, Money, Operation, Usage},
};

/// The organization-wide key.
pub(crate) const ADMIN: &str = "admin-key-7d1f0c2b9a8e4635";

/// The range of the sample events.
pub(crate) const FROM: &str = "2026-06-01T00:00:00Z";
pub(crate) const TO: &str = "2026-06-04T00:00:00Z";

/// Returns a path with the range of the sample events, and further parameters.
pub(crate) fn ranged(path: &str, more: &str) -> String {
    format!("{path}?time_of_generation_min={FROM}&time_of_generation_max={TO}&{more}")
}

/// Returns the secret of a key of the registry.
pub(crate) fn secret(name: &str) -> String {
    format!("secret-of-{name}-0123456789abcdef")
}

/// Returns a registry with keys of all kinds.
pub(crate) fn registry() -> Registry {
    let mut text = String::from(
        r#"
        [workspaces.acme]
        name = "Acme Corp"
        metadata = { company = "acme" }

        [workspaces.globex]
        metadata = { company = "globex" }

        [virtual_keys.openai-acme]
        provider = "openai"
        base_url = "https://api.openai.example"
        secret_env = "PATH"
        workspaces = ["acme"]

        [virtual_keys.openai-globex]
        provider = "openai"
        base_url = "https://api.openai.example"
        secret_env = "PATH"
        workspaces = ["globex"]
        "#,
    );
    let all = r#"["analytics.view", "logs.view", "logs.write", "logs.export", "keys.list"]"#;
    for (name, settings) in [
        ("acme", format!("workspace = \"acme\"\npermissions = {all}")),
        ("globex", format!("workspace = \"globex\"\npermissions = {all}")),
        ("acme-view", "workspace = \"acme\"\npermissions = [\"analytics.view\"]".to_owned()),
        ("acme-logs", "workspace = \"acme\"\npermissions = [\"logs.view\"]".to_owned()),
        ("acme-write", "workspace = \"acme\"\npermissions = [\"logs.write\"]".to_owned()),
        ("acme-export", "workspace = \"acme\"\npermissions = [\"logs.export\"]".to_owned()),
        ("acme-list", "workspace = \"acme\"\npermissions = [\"keys.list\"]".to_owned()),
        ("acme-admin", "workspace = \"acme\"\npermissions = [\"admin\"]".to_owned()),
        ("acme-none", "workspace = \"acme\"".to_owned()),
        ("org-admin", "permissions = [\"admin\"]".to_owned()),
        ("org-view", "permissions = [\"analytics.view\"]".to_owned()),
        ("disabled", format!("workspace = \"acme\"\npermissions = {all}\ndisabled = true")),
        ("expired", format!("workspace = \"acme\"\npermissions = {all}\nexpires_at = 2020-01-01T00:00:00Z")),
    ] {
        let digest = tower_tagging::registry::SecretDigest::of(secret(name));
        write!(text, "\n[api_keys.{name}]\nsecrets = [{{ sha256 = \"{digest}\" }}]\n{settings}\n").unwrap();
    }
    Registry::from_toml(&text).unwrap()
}

/// Returns analytics over the memory store, with these events.
pub(crate) fn memory(events: &[Arc<Event>]) -> Analytics {
    let store = MemoryStore::new();
    store.writer().write(events).unwrap();
    Analytics::new(store)
}

/// Returns analytics over each store, with these events.
///
/// Postgres is one of them if `API_DATABASE_URL` names a server whose user may create databases.
pub(crate) fn stores(events: &[Arc<Event>]) -> Vec<Analytics> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("tower_tagging_api_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(format!("{name}.db"));
    let sqlite = SqliteStore::open(&path).unwrap();
    sqlite.migrate().unwrap();
    sqlite.writer().write(events).unwrap();
    DATABASES.with(|databases| databases.borrow_mut().files.push(path));
    let mut stores = vec![memory(events), Analytics::new(sqlite)];
    if let Ok(server) = std::env::var("API_DATABASE_URL") {
        stores.push(on_postgres(postgres(server.clone(), name.clone(), events.to_vec())));
        DATABASES.with(|databases| databases.borrow_mut().on_postgres.push((server, name)));
    }
    stores
}

/// Creates a database with these events.
async fn postgres(server: String, name: String, events: Vec<Arc<Event>>) -> Analytics {
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    let (host, _) = server.rsplit_once('/').unwrap();
    let store = PostgresStore::from_url(&format!("{host}/{name}")).unwrap();
    store.migrate().await.unwrap();
    let analytics = Analytics::new(store);
    analytics.write(events, &Grant::everything()).await.unwrap();
    analytics
}

async fn execute(server: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
}

/// Runs a future in a runtime that outlives those of tests.
fn on_postgres<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    std::thread::spawn(|| RUNTIME.block_on(future)).join().unwrap()
}

thread_local! {
    static DATABASES: RefCell<Databases> = const { RefCell::new(Databases { files: Vec::new(), on_postgres: Vec::new() }) };
}

/// The databases of a test, which are removed when its thread ends.
struct Databases {
    files: Vec<PathBuf>,
    /// URLs of servers and names of databases.
    on_postgres: Vec<(String, String)>,
}

impl Drop for Databases {
    fn drop(&mut self) {
        for path in &self.files {
            for suffix in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
            }
        }
        for (server, name) in std::mem::take(&mut self.on_postgres) {
            on_postgres(async move { execute(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await });
        }
    }
}

/// Returns the API over analytics, with the keys of the [`registry`].
pub(crate) fn api(analytics: Analytics) -> Router {
    let access = RegistryAccess::new(registry()).admin_key(ADMIN);
    // The sample events have a fixed time.
    Api::new(analytics, access).max_log_age(Duration::from_secs(100 * 365 * 24 * 3_600)).into_router()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Returns the body of a success.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// Checks the status and the code of an error.
    pub(crate) fn fails(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!((self.status.as_u16(), &body["data"]["errorCode"]), (status, &Value::from(code)), "{self:?}");
        assert_eq!(body["success"], false);
        assert_eq!(body.as_object().unwrap().len(), 2);
        body["data"]["message"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn send(app: &Router, method: Method, path: &str, key: &str, body: Option<Value>) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    if !key.is_empty() {
        request = request.header("x-portkey-api-key", key);
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Reply { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

pub(crate) async fn get(app: &Router, path: &str, key: &str) -> Reply {
    send(app, Method::GET, path, key, None).await
}

pub(crate) async fn post(app: &Router, path: &str, key: &str, body: Value) -> Reply {
    send(app, Method::POST, path, key, Some(body)).await
}

pub(crate) async fn put(app: &Router, path: &str, key: &str, body: Value) -> Reply {
    send(app, Method::PUT, path, key, Some(body)).await
}

/// Returns the filters of an export of the sample events.
pub(crate) fn filters() -> Value {
    serde_json::json!({ "time_of_generation_min": FROM, "time_of_generation_max": TO })
}

/// Waits until an export is no longer in progress.
pub(crate) async fn ended(app: &Router, id: &str, key: &str) -> Value {
    for _ in 0..500 {
        let export = get(app, &format!("/logs/exports/{id}"), key).await.ok();
        if export["status"] != "in_progress" {
            return export;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the export does not end");
}

/// Returns the time of an hour after the start of the range.
pub(crate) fn hour(hour: u64) -> SystemTime {
    // 2026-06-01T00:00:00Z
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_272_000 + hour * 3_600)
}

/// A priced call of a workspace.
pub(crate) struct Sample {
    pub(crate) workspace: &'static str,
    pub(crate) user: Option<&'static str>,
    pub(crate) model: Option<&'static str>,
    pub(crate) status: u16,
    pub(crate) hour: u64,
    pub(crate) nanos: Option<u64>,
    pub(crate) tokens: (u64, u64),
    pub(crate) millis: u64,
    pub(crate) trace: Option<&'static str>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            workspace: "acme",
            user: Some("ada"),
            model: Some("gpt-4o"),
            status: 200,
            hour: 1,
            nanos: Some(30_000_000),
            tokens: (100, 20),
            millis: 200,
            trace: None,
        }
    }
}

impl Sample {
    pub(crate) fn event(&self) -> Arc<Event> {
        let mut trace = TraceContext::new(
            TraceId::from_bytes(trace_bytes()).unwrap(),
            SpanId::from_hex("00f067aa0ba902b7").unwrap(),
        );
        if let Some(id) = self.trace {
            trace = trace.with_client_trace_id(id);
        }
        let mut event = Event::builder()
            .time(hour(self.hour))
            .trace(trace)
            .method(Method::POST)
            .path("/v1/chat/completions")
            .host("api.example.com")
            .api_key(format!("{}-key", self.workspace))
            .workspace(self.workspace)
            .virtual_key("openai-prod")
            .outcome(Outcome::Completed)
            .status(StatusCode::from_u16(self.status).unwrap())
            .duration(Duration::from_millis(self.millis))
            .tags(Scope::Workspace, tags! { "tenant_id" => self.workspace });
        if let Some(user) = self.user {
            event = event.tags(Scope::Request, tags! { "_user" => user, "feature" => "search" });
        }
        if let Some(model) = self.model {
            let mut call = LlmCall::builder()
                .provider(if model.starts_with("claude") { "anthropic" } else { "openai" })
                .operation(Operation::Chat)
                .request_model(model)
                .response_model(model);
            if self.tokens != (0, 0) {
                call = call.usage(Usage::tokens(self.tokens.0, self.tokens.1));
            }
            call = match self.nanos {
                Some(nanos) => {
                    let (input, output) = (Money::from_nano_usd(nanos / 3), Money::from_nano_usd(nanos - nanos / 3));
                    call.cost(Cost::custom(Money::from_nano_usd(nanos)).parts(input, output))
                }
                None => call.cost_status(CostStatus::UnpricedModel),
            };
            event = event.llm(call.build());
        }
        Arc::new(event.build())
    }
}

fn trace_bytes() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

/// Returns the events of two workspaces over three days: 10 requests of acme and 3 of globex.
pub(crate) fn samples() -> Vec<Arc<Event>> {
    let samples = [
        Sample { trace: Some("trace-1"), ..Sample::default() },
        Sample { hour: 2, nanos: Some(70_000_001), tokens: (200, 50), millis: 400, ..Sample::default() },
        Sample { hour: 26, user: Some("bob"), millis: 1_000, ..Sample::default() },
        Sample {
            hour: 27,
            user: Some("bob"),
            model: Some("claude-sonnet-4-5"),
            nanos: Some(15_000_000),
            ..Sample::default()
        },
        Sample { hour: 27, status: 429, nanos: Some(0), tokens: (0, 0), millis: 5, ..Sample::default() },
        Sample { hour: 28, status: 500, nanos: Some(0), tokens: (0, 0), millis: 7, ..Sample::default() },
        Sample { hour: 50, status: 500, nanos: Some(0), tokens: (0, 0), millis: 9, ..Sample::default() },
        Sample { hour: 51, model: Some("in-house-1"), nanos: None, tokens: (10, 5), ..Sample::default() },
        Sample { hour: 52, user: None, ..Sample::default() },
        Sample { hour: 53, user: None, model: None, nanos: None, millis: 50, ..Sample::default() },
        Sample { workspace: "globex", user: Some("carol"), trace: Some("trace-g"), ..Sample::default() },
        Sample { workspace: "globex", user: Some("ada"), hour: 30, nanos: Some(999_999_999), ..Sample::default() },
        Sample {
            workspace: "globex",
            user: Some("carol"),
            hour: 31,
            status: 404,
            nanos: Some(0),
            tokens: (0, 0),
            ..Sample::default()
        },
    ];
    samples.iter().map(Sample::event).collect()
}
