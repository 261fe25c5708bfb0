//! The order of the rules: key, names, claims, screening, merge and defaults, contract, limits.

use std::collections::BTreeSet;

use axum::{Router, routing::post};
use http::StatusCode;
use serde_json::json;
use tower_tagging::{
    Scope, TagSources, TaggingLayer,
    limit::{Amount, LimitDecision, LimitLayer, LimitRule, Limiter, Window},
    metadata::{DiagnosticCode, Limits, Overflow, Precedence},
    registry::{
        Claims, Contract, ContractMode, ErrorStyle, KeyStyle, LoginClaims, Names, Otherwise, Registry, RegistryLayer,
        Screening, ScreeningAction, ScreeningKind, TagMapping, TagPolicy, Workspace,
    },
    tags,
};

use crate::{
    common::Recorder,
    governed::{Governed, JSON, WEB, governed, handler, key, metadata, request, schema},
};

#[tokio::test]
async fn names_come_before_claims_and_claims_before_screening() {
    let names = Names::builder().style(KeyStyle::Snake).alias("mail", "contact").build().unwrap();
    let screening = Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Mask).build().unwrap();
    // The claim sees the value as it was sent, under the key that is stored.
    let claims = Claims::new(["contact=*@example.com"], Otherwise::Reject).unwrap();
    let builder = Registry::builder().names(names).screening(screening).api_key(key("web").claims(claims));
    let governed = governed(builder);
    let answer = governed.send(&[WEB, metadata(r#"{"Mail":"ada@example.com"}"#)], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(governed.recorder.take()[0].metadata(), &tags! { "contact" => "[email]" });
    for json in [r#"{"Mail":"ada@evil.example"}"#, r#"{"Mail":"[email]"}"#, r#"{"other":"ada@example.com"}"#] {
        let answer = governed.send(&[WEB, metadata(json)], "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{json}");
        let event = governed.recorder.take().pop().unwrap();
        assert!(!serde_json::to_string(&*event).unwrap().contains('@'), "what is dropped is screened as well");
    }
}

/// A tag that only a trusted source may set is a violation of claims first.
#[tokio::test]
async fn claims_come_before_reserved_keys() {
    for (otherwise, status, code) in
        [(Otherwise::Reject, 403, DiagnosticCode::ClaimDenied), (Otherwise::Drop, 200, DiagnosticCode::ClaimDenied)]
    {
        let claims = Claims::new(["_user"], otherwise).unwrap();
        let governed = governed(
            Registry::builder()
                .trusted_header("x-tenant-id", "tenant_id", Scope::Workspace)
                .api_key(key("web").claims(claims).forced(tags! { "plan" => "free" }).forced_override(true)),
        );
        for json in [r#"{"tenant_id":"evil"}"#, r#"{"plan":""}"#] {
            let answer = governed.send(&[WEB, metadata(json)], "").await;
            let event = governed.recorder.take().pop().unwrap();
            assert_eq!((answer.status.as_u16(), event.diagnostics()[0].code()), (status, code), "{json}");
            assert_eq!(event.metadata(), &tags! { "plan" => "free" });
        }
        let counters = governed.registry.report().keys["web"];
        assert_eq!((counters.denied_claims, counters.shadowed), (2, 0));
    }
}

#[tokio::test]
async fn contracts_see_what_screening_and_defaults_leave() {
    let properties = json!({
        "contact": {"type": "string", "enum": ["[email]"]},
        "env": {"type": "string", "default": "dev", "pattern": "^(dev|prod)$"},
    });
    let contract = schema(
        ContractMode::Reject,
        &json!({"type": "object", "additionalProperties": true, "required": ["contact", "env"], "properties": properties}),
    );
    let screening = Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Mask).build().unwrap();
    let governed = governed(Registry::builder().screening(screening).contract(contract));
    for (json, status) in [
        (r#"{"contact":"ada@example.com"}"#, 200),
        (r#"{"contact":"ada@example.com","env":"test"}"#, 400),
        (r#"{"contact":"ada"}"#, 400),
    ] {
        assert_eq!(governed.send(&[metadata(json)], "").await.status.as_u16(), status, "{json}");
    }
}

/// A request that breaks its contract takes nothing from a limit, and a limit sees the defaults of the contract.
#[tokio::test]
async fn contracts_come_before_limits() {
    let properties = json!({"team": {"type": "string"}, "env": {"type": "string", "default": "dev"}});
    let contract = schema(
        ContractMode::Reject,
        &json!({"type": "object", "additionalProperties": true, "required": ["team"], "properties": properties}),
    );
    let (recorder, registry) = (Recorder::new(), Registry::builder().contract(contract).build().unwrap());
    let rule = LimitRule::budget("calls", Amount::requests(1), Window::month("UTC").unwrap())
        .when("metadata.env", ["dev"])
        .on_store_error(LimitDecision::Deny)
        .build()
        .unwrap();
    let limiter = Limiter::builder().rule(rule).build().unwrap();
    let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(recorder.clone()).build().unwrap();
    let layer = LimitLayer::new(limiter, RegistryLayer::new(registry.clone(), tagging));
    let app = Router::new().route("/", post(handler)).layer(layer);
    let governed = Governed { recorder, registry, app };
    let mut statuses = Vec::new();
    for json in ["{}", r#"{"team":"a","env":"prod"}"#, r#"{"team":"a"}"#, "{}", r#"{"team":"a"}"#] {
        statuses.push(governed.send(&[metadata(json)], "").await.status.as_u16());
    }
    assert_eq!(statuses, [400, 200, 200, 400, 429]);
}

/// A default of a trusted source is weaker than the client.
#[tokio::test]
async fn a_default_of_a_trusted_source_reserves_nothing() {
    let mapping = TagMapping::new().with("/sub", "_user", Scope::Fallback).unwrap();
    let builder =
        || Registry::builder().login_claims(mapping.clone()).trusted_header("x-region", "region", Scope::Fallback);
    let governed = governed(builder());
    for (json, user, region) in
        [("{}", "joe", "eu"), (r#"{"_user":"ada","region":"us"}"#, "ada", "us"), (r#"{"_user":"ada"}"#, "ada", "eu")]
    {
        let mut request = request(&[metadata(json), ("x-region", "eu")], "");
        request.extensions_mut().insert(LoginClaims(json!({"sub": "joe"}).as_object().unwrap().clone()));
        governed.send_request(request).await;
        let event = governed.recorder.take().pop().unwrap();
        assert_eq!(event.metadata(), &tags! { "_user" => user, "region" => region });
        assert!(event.diagnostics().is_empty());
    }
    assert_eq!(governed.registry.report().anonymous.shadowed, 0);
}

/// With the override flag, the user of the body counts unless it is empty, also if clients override keys.
#[tokio::test]
async fn a_forced_user_that_may_be_overridden_gives_way_to_the_body() {
    for precedence in [Precedence::Strict, Precedence::Legacy] {
        for (has_override, body, expected) in [
            (true, r#"{"user":"eve"}"#, "eve"),
            (true, r#"{"user":""}"#, "owner"),
            (true, "{}", "owner"),
            (false, r#"{"user":"eve"}"#, "owner"),
        ] {
            let web = key("web").forced(tags! { "_user" => "owner" }).forced_override(has_override);
            let (recorder, registry) = (Recorder::new(), Registry::builder().api_key(web).build().unwrap());
            let layer = tower_tagging::MetadataLayer::builder().sources(TagSources::all()).precedence(precedence);
            let tagging = TaggingLayer::builder().metadata(layer).sink(recorder.clone()).build().unwrap();
            let app = Router::new().route("/", post(handler)).layer(RegistryLayer::new(registry.clone(), tagging));
            let governed = Governed { recorder, registry, app };
            governed.send(&[WEB, JSON], body).await;
            let event = governed.recorder.single();
            assert_eq!(&event.metadata()["_user"], expected, "{precedence:?} {has_override} {body}");
        }
    }
}

#[tokio::test]
async fn a_tag_that_is_too_long_is_answered_in_the_configured_style() {
    for (style, media_type) in
        [(ErrorStyle::Problem, "application/problem+json"), (ErrorStyle::Portkey, "application/json")]
    {
        let tight = Workspace::new("tight").limits(Limits::default().value_chars(3).overflow(Overflow::Reject));
        let builder = Registry::builder().errors(style).workspace(tight).api_key(key("web").workspace("tight"));
        let governed = governed(builder);
        let answer = governed.send(&[WEB, metadata(r#"{"team":"growth"}"#)], "").await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (StatusCode::BAD_REQUEST, &media_type.parse().unwrap())
        );
        assert!(answer.body.contains("team") && !answer.body.contains("growth"), "{}", answer.body);
        assert_eq!(governed.recorder.single().rejection(), Some("value_too_long"));
    }
}

/// The field `user` of the body is a tag like any other.
#[tokio::test]
async fn a_user_of_the_body_that_is_too_long_is_rejected_like_that_of_a_header() {
    let tight = Workspace::new("tight").limits(Limits::default().value_chars(3).overflow(Overflow::Reject));
    let governed = governed(Registry::builder().workspace(tight).api_key(key("web").workspace("tight")));
    for (body, status) in [(r#"{"user":"lovelace"}"#, 400), (r#"{"user":"ada"}"#, 200)] {
        assert_eq!(governed.send(&[WEB, JSON], body).await.status.as_u16(), status, "{body}");
    }
    assert_eq!(governed.recorder.take()[0].rejection(), Some("value_too_long"));
}

/// The answer names each key, whether it is missing or wrong, and no value.
#[tokio::test]
async fn answers_name_every_missing_and_wrong_key() {
    let contract = schema(
        ContractMode::Reject,
        &json!({"type": "object", "additionalProperties": true, "required": ["_user", "team"],
            "properties": {"_user": {"type": "string"}, "team": {"type": "string"},
                "env": {"type": "string", "enum": ["prod", "dev"]}}}),
    );
    let off = Contract::new(
        ContractMode::Off,
        &json!({"type": "object", "additionalProperties": true, "required": ["nothing"],
            "properties": {"nothing": {"type": "string"}}}),
    );
    let acme = Workspace::new("acme").contract(off.unwrap());
    let governed =
        governed(Registry::builder().contract(contract).workspace(acme).api_key(key("web").workspace("acme")));
    let answer = governed.send(&[WEB, metadata(r#"{"env":"test-value"}"#)], "").await;
    let mut violations: Vec<_> = answer.json()["violations"].as_array().unwrap().clone();
    violations.sort_by_key(|violation| violation["key"].as_str().map(str::to_owned));
    let found: Vec<_> = violations.iter().map(|violation| (&violation["key"], &violation["code"])).collect();
    assert_eq!(found.len(), 3, "{}", answer.body);
    assert_eq!(found.iter().map(|(key, _)| key.as_str().unwrap()).collect::<Vec<_>>(), ["_user", "env", "team"]);
    assert!(!answer.body.contains("test-value"), "{}", answer.body);
    // A contract that is off is not checked.
    let json = metadata(r#"{"_user":"ada","team":"growth","env":"dev"}"#);
    assert_eq!(governed.send(&[WEB, json], "").await.status, StatusCode::OK);
    let last = governed.recorder.take().pop().unwrap();
    assert!(last.diagnostics().is_empty(), "{:?}", last.diagnostics());
}

/// What an organization agreed on holds for the requests of its services.
#[tokio::test]
async fn a_policy_rules_the_tags_of_requests() {
    let screening = Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Mask).build().unwrap();
    let policy = TagPolicy::new()
        .required("_user")
        .alias("user_id", "_user")
        .one_of("environment", ["production", "development"])
        .default_value("environment", "development")
        .pattern("feature", "^[a-z-]+$")
        .max_length("note", 10)
        .screening(screening);
    let governed = governed(Registry::builder().policy(policy, ContractMode::Reject));
    for (json, broken) in [
        (r#"{"user_id":"ada","feature":"chat","note":"a@b.example"}"#, &[][..]),
        (r#"{"user_id":""}"#, &["_user"]),
        (r#"{"_user":"ada","environment":"test"}"#, &["environment"]),
        (r#"{"_user":"ada","feature":"Chat","note":"longer than ten"}"#, &["feature", "note"]),
    ] {
        let answer = governed.send(&[metadata(json)], "").await;
        let event = governed.recorder.take().pop().unwrap();
        if broken.is_empty() {
            let expected = tags! {
                "_user" => "ada", "environment" => "development", "feature" => "chat", "note" => "[email]"
            };
            assert_eq!((answer.status, event.metadata()), (StatusCode::OK, &expected));
            continue;
        }
        let body = answer.json();
        let keys: BTreeSet<_> =
            body["violations"].as_array().unwrap().iter().map(|violation| violation["key"].as_str().unwrap()).collect();
        assert_eq!((answer.status.as_u16(), keys), (400, broken.iter().copied().collect()), "{json}");
    }
}
