//! Limits what each tenant spends per month, and rejects its calls with status 429 once the budget is spent.
//!
//! ```text
//! cargo run --example budget --features limit,llm
//! ```
//!
//! Calls reserve what they may cost before they run, so that parallel calls cannot exceed the budget together.

use std::{error::Error, time::Duration};

use axum::{Router, body::Body, extract::Request, http::header::CONTENT_TYPE, response::IntoResponse, routing::post};
use tower::ServiceExt;
use tower_tagging::{
    TagSources, TaggingLayer,
    limit::{LimitDecision, LimitLayer, LimitRule, Limiter, Window},
    usage::UsageTap,
};

/// Responds like a provider. A proxy would forward the request.
async fn chat() -> impl IntoResponse {
    let answer = r#"{"object":"chat.completion","model":"gpt-4o","choices":[{"message":{"content":"Hello"}}],
        "usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;
    ([(CONTENT_TYPE, "application/json")], answer)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A call of this model with 1,000 input and 100 output tokens costs 0.0035 USD.
    let per_tenant = LimitRule::budget("tenant-monthly", "0.01 USD".parse()?, Window::month("Europe/Berlin")?)
        .group_by("metadata.tenant")
        .on_unpriced(LimitDecision::Deny)
        .on_store_error(LimitDecision::Deny)
        .build()?;
    let limiter = Limiter::builder().rule(per_tenant).build()?;
    let tagging = TaggingLayer::builder().sources(TagSources::portkey()).usage(UsageTap::new()).build()?;
    let layer = LimitLayer::new(limiter.clone(), tagging);
    let delivery = layer.delivery();
    let app = Router::new().route("/v1/chat/completions", post(chat)).layer(layer);

    for tenant in ["acme", "acme", "acme", "acme", "globex"] {
        let request = Request::post("/v1/chat/completions")
            .header(CONTENT_TYPE, "application/json")
            .header("x-portkey-metadata", format!(r#"{{"tenant":"{tenant}"}}"#))
            .body(Body::from(r#"{"model":"gpt-4o","max_tokens":100,"messages":[]}"#))?;
        let response = app.clone().oneshot(request).await?;
        let (status, retry_after) = (response.status(), response.headers().get("retry-after").cloned());
        axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        // What a call cost is settled when its event is delivered.
        while delivery.report().sinks.iter().any(|sink| sink.in_flight() > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("{tenant}: {status}, retry after {retry_after:?}");
    }
    for usage in limiter.usage().await? {
        println!("{:?}: {} of {}", usage.group, usage.settled, usage.limit);
    }
    Ok(())
}
