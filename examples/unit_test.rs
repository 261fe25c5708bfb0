//! Tests a handler with a mock sink, a manual clock, and sequential ids.
//!
//! ```text
//! cargo run --example unit_test --features axum,test-util
//! ```
//!
//! In your crate, enable `test-util` under `[dev-dependencies]`:
//! `tower-tagging = { version = "0.1", features = ["test-util"] }`.

use std::{error::Error, time::Duration};

use axum::{Router, body::Body, routing::get};
use tower::ServiceExt;
use tower_tagging::{
    EventLayer, MetadataLayer, TaggingLayer, Tags,
    event::{ManualClock, Outcome},
    sink::MockSink,
    sources::TagSources,
    tags,
    trace::SequentialIds,
};

/// The app under test. Its handler sets a tag and takes three seconds on the test's clock.
fn app(clock: ManualClock) -> Router {
    Router::new().route(
        "/search",
        get(async move |tags: Tags| {
            tags.insert("results", "3");
            clock.advance(Duration::from_secs(3));
            "three results"
        }),
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sink = MockSink::new();
    let clock = ManualClock::new();
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::portkey()))
        .events(EventLayer::new(sink.clone()).clock(clock.clone()))
        .ids(SequentialIds::new())
        .build()?;

    let request =
        http::Request::get("/search").header("x-portkey-metadata", r#"{"_user": "ada"}"#).body(Body::empty())?;
    let response = app(clock).layer(tagging).oneshot(request).await?;
    let body = axum::body::to_bytes(response.into_body(), 1024).await?;
    assert_eq!(body, "three results");

    let event = sink.single();
    assert_eq!(event.outcome(), Outcome::Completed);
    assert_eq!(event.metadata(), &tags! { "_user" => "ada", "results" => "3" });
    assert_eq!(event.duration(), Duration::from_secs(3));

    // Times and ids are the same in every run, so the output can be compared with a snapshot.
    println!("{}", serde_json::to_string_pretty(&*event)?);
    Ok(())
}
