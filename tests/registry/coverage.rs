//! The share of requests, and of their cost, that carries each tag.

use axum::{Router, routing::post};
use tower_tagging::{
    Scope, TagSources, TaggingLayer, Tags,
    registry::{ContractMode, Registry, RegistryLayer},
    tags,
    usage::{ExtraCost, Money},
};

use crate::{
    common::Recorder,
    governed::{Governed, governed_with, metadata, requires},
};

#[tokio::test]
async fn coverage_counts_the_cost_of_requests_with_and_without_a_tag() {
    let (recorder, registry) =
        (Recorder::new(), Registry::builder().contract(requires(ContractMode::Report, &["team"])).build().unwrap());
    let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(recorder.clone()).build().unwrap();
    let paid = async |tags: Tags| {
        let nanos = if tags.get("team").is_some() { 3_000_000 } else { 1_000_000 };
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(nanos)));
    };
    let app = Router::new().route("/", post(paid)).layer(RegistryLayer::new(registry.clone(), tagging));
    let governed = Governed { recorder, registry, app };
    for json in [r#"{"team":"growth"}"#, "{}"] {
        governed.event(&[metadata(json)]).await;
    }
    let coverage = &governed.registry.coverage()[0];
    assert_eq!((coverage.requests, coverage.requests_with_tag), (2, 1));
    assert_eq!(
        (coverage.cost, coverage.cost_with_tag),
        (Money::from_nano_usd(4_000_000), Money::from_nano_usd(3_000_000))
    );
    assert_eq!((coverage.share_of_requests(), coverage.share_of_cost()), (Some(0.5), Some(0.75)));
}

/// What a handler sets comes too late for a contract, so coverage must not promise that the contract holds.
#[tokio::test]
async fn coverage_is_what_contracts_see() {
    for mode in [ContractMode::Report, ContractMode::Reject] {
        let (recorder, registry) =
            (Recorder::new(), Registry::builder().contract(requires(mode, &["feature"])).build().unwrap());
        let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(recorder.clone()).build().unwrap();
        let late = async |tags: Tags| tags.insert("feature", "chat");
        let app = Router::new().route("/", post(late)).layer(RegistryLayer::new(registry.clone(), tagging));
        let governed = Governed { recorder, registry, app };
        let answer = governed.send(&[], "").await;
        assert_eq!(answer.status.as_u16(), if mode == ContractMode::Report { 200 } else { 400 });
        let event = governed.recorder.single();
        assert_eq!(event.metadata().get("feature"), (mode == ContractMode::Report).then_some("chat"));
        assert_eq!(governed.registry.coverage()[0].share_of_requests(), Some(0.0));
    }
    let governed = governed_with(
        Registry::builder().contract(requires(ContractMode::Report, &["feature"])),
        TagSources::portkey(),
    );
    governed.event(&[metadata(r#"{"feature":"chat"}"#)]).await;
    assert_eq!(governed.registry.coverage()[0].share_of_requests(), Some(1.0));
}

/// A handler that changes or removes a tag of the client changes nothing about what the contract saw.
#[tokio::test]
async fn coverage_does_not_depend_on_the_handler() {
    let registry = Registry::builder().contract(requires(ContractMode::Reject, &["feature"])).build().unwrap();
    let recorder = Recorder::new();
    let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(recorder.clone()).build().unwrap();
    let late = async |tags: Tags| match &*tags.get("feature").unwrap() {
        "overwritten" => tags.insert("feature", "chat"),
        "removed" => drop(tags.remove("feature")),
        _ => tags.extend_scope(Scope::Workspace, tags! { "feature" => "forced" }),
    };
    let app = Router::new().route("/", post(late)).layer(RegistryLayer::new(registry.clone(), tagging));
    let governed = Governed { recorder, registry, app };
    for json in [r#"{"feature":"overwritten"}"#, r#"{"feature":"removed"}"#, r#"{"feature":"extended"}"#] {
        assert_eq!(governed.send(&[metadata(json)], "").await.status.as_u16(), 200);
    }
    governed.send(&[], "").await;
    governed.recorder.take();
    assert_eq!(governed.registry.coverage()[0].share_of_requests(), Some(0.75));
}
