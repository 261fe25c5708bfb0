//! Limits each user by the plan that it has paid for, and answers those who exceed it with a friendly 429.
//!
//! ```text
//! cargo run --example fair_use --features limit
//! ```
//!
//! The plan is a trusted tag, which the service looks up by the API key. Clients cannot set it.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
        request::Parts,
    },
    middleware::map_response,
    response::Response,
    routing::get,
};
use tower::ServiceExt;
use tower_tagging::{
    MetadataLayer, Scope, TaggingLayer,
    limit::{Amount, LimitDecision, LimitLayer, LimitRule, Limiter, OnMissing, Window},
    metadata::Scopes,
    tags,
};

/// Looks up the owner of a key. A service would ask its database, or use a `Registry`.
fn owner(head: &Parts) -> Scopes {
    match head.headers.get("x-api-key").map(HeaderValue::as_bytes) {
        Some(b"key-of-ada") => Scopes::new().with(Scope::Forced, tags! { "_user" => "ada", "plan" => "free" }),
        Some(b"key-of-bob") => Scopes::new().with(Scope::Forced, tags! { "_user" => "bob", "plan" => "team" }),
        _ => Scopes::new(),
    }
}

/// A plan: a number of requests per minute and per day, for each of its users.
fn plan(name: &str, per_minute: u64, per_day: u64) -> Result<[LimitRule; 2], Box<dyn Error>> {
    let minute = LimitRule::rate(format!("{name}-minute"), Amount::requests(per_minute), Duration::from_secs(60))
        .when("metadata.plan", [name])
        .group_by("metadata._user")
        // Requests without a known key have no plan.
        .on_missing(OnMissing::Deny)
        .on_store_error(LimitDecision::Allow)
        .build()?;
    let day = LimitRule::budget(format!("{name}-day"), Amount::requests(per_day), Window::day("UTC")?)
        .when("metadata.plan", [name])
        .group_by("metadata._user")
        .on_store_error(LimitDecision::Allow)
        .build()?;
    Ok([minute, day])
}

/// Replaces the problem document of a limit by a text for people, and keeps its headers.
async fn friendly(response: Response) -> Response {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return response;
    }
    let (mut head, _) = response.into_parts();
    let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or("60");
    let text = format!("You have used what your plan includes. Please try again in {seconds} seconds, or upgrade.\n");
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(text))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rules = [plan("free", 2, 100)?, plan("team", 60, 10_000)?];
    let limiter = Limiter::builder().rules(rules.into_iter().flatten()).headers_on_success().build()?;
    let tagging = TaggingLayer::builder().metadata(MetadataLayer::builder().resolver(owner)).build()?;
    let layer = LimitLayer::new(limiter.clone(), tagging);
    let delivery = layer.delivery();
    let app = Router::new().route("/", get(|| async { "hello\n" })).layer(layer).layer(map_response(friendly));

    for key in ["key-of-ada", "key-of-ada", "key-of-ada", "key-of-bob", "unknown"] {
        let request = Request::get("/").header("x-api-key", key).body(Body::empty())?;
        let response = app.clone().oneshot(request).await?;
        let (status, limit) = (response.status(), response.headers().get("ratelimit").cloned());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        print!("{key}: {status}, RateLimit: {limit:?}\n  {}", String::from_utf8_lossy(&body));
    }
    eprintln!("{}", delivery.shutdown(Duration::from_secs(10)).await);
    for counts in limiter.counts() {
        println!("{}: {} passed, {} rejected", counts.rule, counts.passed, counts.rejected);
    }
    Ok(())
}
