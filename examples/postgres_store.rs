//! Stores events in Postgres, and queries the cost of each feature.
//!
//! ```text
//! DATABASE_URL=postgres://user@localhost/app cargo run --example postgres_store --features full
//! ```
//!
//! Creates the tables if they are missing, serves some LLM calls in process, and prints the cost by feature. If the
//! server requires TLS, use `PostgresStore::new` with a connector such as the one from `tokio-postgres-rustls`.

use std::{env, error::Error, time::Duration};

use axum::{Router, body::Body, response::IntoResponse, routing::post};
use http::{Request, header::CONTENT_TYPE};
use tower::ServiceExt;
use tower_tagging::{
    MetadataLayer, TaggingLayer,
    sources::{KeyCase, TagSources},
    store::{PostgresStore, tokio_postgres},
    usage::UsageTap,
};

const SPEND_BY_FEATURE: &str = "
    SELECT raw_metadata->>'Feature' AS feature, COUNT(*) AS requests, SUM(input_tokens) AS input_tokens,
        SUM(output_tokens) AS output_tokens, SUM(total_cost) AS total_cost
    FROM llm_requests GROUP BY 1 ORDER BY total_cost DESC";

/// Responds like a provider. A proxy would forward the request.
async fn chat() -> impl IntoResponse {
    let answer = r#"{"object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"message":{"content":"Hello"}}],
        "usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306}}"#;
    ([(CONTENT_TYPE, "application/json")], answer)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL must name a Postgres database")?;
    let store = PostgresStore::from_url(&url)?;
    store.migrate().await?;
    store.activate_key("Feature").await?;

    let tagging = TaggingLayer::builder()
        // `x-majordomo-user-id` becomes `User-Id`.
        .metadata(MetadataLayer::builder().sources(TagSources::majordomo().key_case(KeyCase::Title)))
        .usage(UsageTap::new())
        .sink(store.sink())
        .build()?;
    let delivery = tagging.delivery();
    let app = Router::new().route("/v1/chat/completions", post(chat)).layer(tagging);

    for (feature, user) in [("search", "ada"), ("document-review", "ada"), ("document-review", "grace")] {
        let request = Request::post("/v1/chat/completions")
            .header("x-majordomo-feature", feature)
            .header("x-majordomo-user-id", user)
            .body(Body::from(r#"{"model": "gpt-4o", "messages": []}"#))?;
        let response = app.clone().oneshot(request).await?;
        axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    }
    let report = delivery.shutdown(Duration::from_secs(10)).await;
    eprintln!("{report}");

    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    for message in client.simple_query(SPEND_BY_FEATURE).await? {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
            let columns = ["feature", "requests", "input_tokens", "output_tokens", "total_cost"];
            eprintln!("{}", columns.map(|name| format!("{name} {}", row.get(name).unwrap_or("NULL"))).join(", "));
        }
    }
    drop(client);
    connection.await??;

    for key in store.list_keys().await? {
        eprintln!("{}: {} requests, about {} values", key.name, key.requests, key.distinct_values);
    }
    Ok(())
}
