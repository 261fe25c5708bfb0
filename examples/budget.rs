//! Rejects the requests of a tenant with status 429 once its monthly budget is spent, even after a restart.
//!
//! ```text
//! cargo run --example budget --features axum,llm,sqlite
//! ```
//!
//! The cost of a call is only known when it ends, so a tenant can exceed its budget by the cost of its current calls. A
//! process tracks only its own calls. With several processes, read the sum from a shared database every few seconds.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::post,
};
use tower::ServiceExt;
use tower_tagging::{
    Event, MetadataLayer, Sink, TaggingLayer, Tags,
    metadata::{Scope, Scopes},
    store::SqliteStore,
    tags,
    usage::{LlmCall, Money, UsageTap},
};

/// The amount that each tenant has spent this month.
#[derive(Clone)]
struct Budget {
    limit: Money,
    spent: Arc<Mutex<HashMap<String, Money>>>,
}

impl Budget {
    /// Reads the amounts of this month from the file.
    fn load(limit: Money, file: &str) -> Result<Self, Box<dyn Error>> {
        let database = rusqlite::Connection::open(file)?;
        let mut query = database.prepare(
            "SELECT raw_metadata->>'tenant', SUM(total_cost_nanos) FROM llm_requests
             WHERE requested_at >= strftime('%Y-%m-01', 'now') AND raw_metadata->>'tenant' IS NOT NULL
                AND total_cost_nanos IS NOT NULL GROUP BY 1",
        )?;
        let spent = query.query_map([], |row| {
            let nanos: i64 = row.get(1)?;
            Ok((row.get(0)?, Money::from_nano_usd(nanos.unsigned_abs())))
        })?;
        let spent: Result<HashMap<_, _>, rusqlite::Error> = spent.collect();
        Ok(Self { limit, spent: Arc::new(Mutex::new(spent?)) })
    }

    fn is_spent(&self, tenant: &str) -> bool {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.get(tenant).is_some_and(|spent| *spent >= self.limit)
    }
}

impl Sink for Budget {
    // This runs on the task of the request, so it only updates memory.
    fn emit(&self, event: Arc<Event>) {
        let cost = event.llm().and_then(LlmCall::cost);
        if let (Some(tenant), Some(cost)) = (event.metadata().get("tenant"), cost) {
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            *spent.entry(tenant.to_owned()).or_default() += cost;
        }
    }

    fn name(&self) -> &'static str {
        "budget"
    }
}

/// Runs inside the tagging layer, so that a rejection also emits an event.
async fn within_budget(State(budget): State<Budget>, tags: Tags, request: Request, next: Next) -> Response {
    let tenant = tags.get("tenant").unwrap_or_default();
    if budget.is_spent(&tenant) {
        tags.set_error("the budget is spent");
        return (StatusCode::TOO_MANY_REQUESTS, "the budget of this month is spent\n").into_response();
    }
    next.run(request).await
}

/// Responds like a provider. A proxy would forward the request.
async fn chat() -> impl IntoResponse {
    let answer = r#"{"object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"message":{"content":"Hello"}}],
        "usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;
    ([(CONTENT_TYPE, "application/json")], answer)
}

/// Serves five calls, like a process between two restarts.
async fn serve(file: &str) -> Result<Vec<u16>, Box<dyn Error>> {
    let store = SqliteStore::open(file)?;
    store.migrate()?;
    // The budget covers two and a half calls.
    let budget = Budget::load("0.00875".parse()?, file)?;
    let keys = |head: &Parts| match head.headers.get("x-api-key").map(HeaderValue::as_bytes) {
        Some(b"key-of-acme") => Scopes::new().with(Scope::Workspace, tags! { "tenant" => "acme" }),
        _ => Scopes::new(),
    };
    let unknown = tags! { "tenant" => "unknown" };
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().scope(Scope::Workspace, unknown).resolver(keys))
        .usage(UsageTap::new())
        .sink(store.sink())
        .sink(budget.clone())
        .build()?;
    let delivery = tagging.delivery();
    let app = Router::new()
        .route("/v1/chat/completions", post(chat))
        .layer(from_fn_with_state(budget, within_budget))
        .layer(tagging);

    let mut statuses = Vec::new();
    for _ in 0..5 {
        let request = Request::post("/v1/chat/completions").header("x-api-key", "key-of-acme").body(Body::empty())?;
        let response = app.clone().oneshot(request).await?;
        statuses.push(response.status().as_u16());
        axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    }
    let report = delivery.shutdown(Duration::from_secs(10)).await;
    eprintln!("{report}");
    Ok(statuses)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("tower-tagging-budget-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("events.db").to_string_lossy().into_owned();
    let statuses = [serve(&file).await?, serve(&file).await?];
    eprintln!("first process: {:?}\nnext process: {:?}", statuses[0], statuses[1]);
    std::fs::remove_dir_all(folder)?;
    assert_eq!(statuses, [[200, 200, 200, 429, 429], [429; 5]]);
    Ok(())
}
