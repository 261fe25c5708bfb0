//! Wraps an existing axum router and adds a tag in a handler.
//!
//! ```text
//! cargo run --example axum_router --features axum
//! ```
//!
//! Listens on a free port, sends itself two requests, and prints the events to standard output.

use std::{error::Error, time::Duration};

use axum::{Router, extract::Path, routing::get};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower_tagging::{
    MetadataLayer, TaggingLayer, Tags, metadata::Scope, sink::JsonLinesSink, sources::TagSources, tags,
};

/// The app. Only one handler uses tags.
fn router() -> Router {
    Router::new().route("/documents/{id}", get(document)).route("/health", get(|| async { "ok" }))
}

async fn document(tags: Tags, Path(id): Path<String>) -> String {
    tags.insert("document_id", &id);
    format!("document {id} for {}", tags.get("_user").unwrap_or_else(|| "anonymous".to_owned()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tagging = TaggingLayer::builder()
        .metadata(
            MetadataLayer::builder()
                .sources(TagSources::new().allow_list("x-user-id=_user, x-tenant=tenant, x-env=env"))
                .scope(Scope::Workspace, tags! { "env" => "prod" }),
        )
        .sink(JsonLinesSink::stdout())
        .build()?;
    let delivery = tagging.delivery();
    let app = router().layer(tagging);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(async {
                // Fails if the sender is dropped, which also means stop.
                let _ = stopped.await;
            })
            .await
    });

    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    for path in ["/documents/42", "/health"] {
        let request = http::Request::get(format!("http://{address}{path}"))
            .header("x-user-id", "ada")
            // Does not override the trusted tag.
            .header("x-env", "spoofed")
            .body(Empty::new())?;
        let response = client.request(request).await?;
        let trace_id = response.headers().get("x-trace-id").cloned();
        let body = response.into_body().collect().await?.to_bytes();
        eprintln!("{path}: {:?}, trace {trace_id:?}", String::from_utf8_lossy(&body));
    }

    drop(client);
    let _ = stop.send(());
    server.await??;
    eprintln!("{}", delivery.shutdown(Duration::from_secs(5)).await);
    Ok(())
}
