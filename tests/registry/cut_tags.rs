//! Rules that a client tries to evade with characters that are removed, parts that are cut off, and other names.

use http::StatusCode;
use serde_json::json;
use tower_tagging::{
    Scope, TaggingLayer,
    metadata::{Diagnostic, DiagnosticCode, Limits},
    registry::{
        Claims, KeyStyle, Names, Otherwise, Registry, RegistryLayer, Screening, ScreeningAction, ScreeningKind,
        Workspace,
    },
    tags,
};

use crate::{
    common::Recorder,
    governed::{Governed, WEB, governed, handler, key, metadata},
};

/// The key is cut to that of a trusted header, or a key that claims do not allow.
#[tokio::test]
async fn a_key_that_is_cut_off_passes_the_rules_again() {
    let tight = || Workspace::new("tight").limits(Limits::default().key_chars(9));
    let governed = governed(
        Registry::builder()
            .workspace(tight())
            .trusted_header("x-tenant-id", "tenant_id", Scope::Workspace)
            .api_key(key("web").workspace("tight")),
    );
    let event = governed.event(&[WEB, metadata(r#"{"tenant_id2":"evil"}"#)]).await;
    assert!(event.metadata().is_empty(), "{:?}", event.metadata());
    assert_eq!(event.diagnostics()[0].code(), DiagnosticCode::Shadowed);
    assert_eq!(governed.registry.report().keys["web"].shadowed, 1);

    let claims = Claims::new(["tier*long"], Otherwise::Reject).unwrap();
    let governed =
        self::governed(Registry::builder().workspace(tight()).api_key(key("web").workspace("tight").claims(claims)));
    let answer = governed.send(&[WEB, metadata(r#"{"tier_12345_long":"x"}"#)], "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(governed.recorder.single().metadata().is_empty());
}

#[tokio::test]
async fn a_value_that_is_cut_off_passes_the_claims_again() {
    let claims = Claims::new(["environment=*-test"], Otherwise::Drop).unwrap();
    let tight = Workspace::new("tight").limits(Limits::default().value_chars(10));
    let governed = governed(Registry::builder().workspace(tight).api_key(key("web").workspace("tight").claims(claims)));
    let event = governed.event(&[WEB, metadata(r#"{"environment":"production-test"}"#)]).await;
    assert!(event.metadata().is_empty(), "{:?}", event.metadata());
    assert_eq!(event.diagnostics()[0].code(), DiagnosticCode::ClaimDenied);
    let event = governed.event(&[WEB, metadata(r#"{"environment":"web-test"}"#)]).await;
    assert_eq!(event.metadata(), &tags! { "environment" => "web-test" });
}

/// Only the claims are asked again: the key was renamed and the value screened before.
#[tokio::test]
async fn a_value_that_is_cut_off_changes_neither_key_nor_screening() {
    let names = Names::builder().style(KeyStyle::Lower).alias("user-id", "UserId").build().unwrap();
    let screening = Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Mask).build().unwrap();
    let claims = Claims::new(["UserId=*", "note=a@example.com*"], Otherwise::Reject).unwrap();
    let builder = Registry::builder().names(names).screening(screening).api_key(key("web").claims(claims));
    let governed = governed(builder);
    let json = json!({"USER-ID": "x".repeat(200), "note": format!("a@example.com {}", "y".repeat(200))}).to_string();
    let answer = governed.send(&[WEB, ("x-portkey-metadata", &json)], "").await;
    let event = governed.recorder.single();
    assert_eq!(answer.status, StatusCode::OK);
    let note = format!("[email] {}", "y".repeat(120));
    assert_eq!(event.metadata(), &tags! { "UserId" => "x".repeat(128), "note" => &note });
    assert_eq!(governed.registry.report().screened["emails"], 1);
}

/// A header with as many names as fit must not take quadratic work.
#[tokio::test]
async fn many_renamed_keys_take_linear_work() {
    let governed = governed(Registry::builder().names(Names::builder().style(KeyStyle::Snake).build().unwrap()));
    let members: Vec<String> = (0..40_000).map(|number| format!("\"aB{number}\":1")).collect();
    let event = governed.event(&[("x-portkey-metadata", &format!("{{{}}}", members.join(",")))]).await;
    assert!(event.metadata().len() > 1_000);
}

/// Screening sees the whole value, and what it wrote is not screened again.
#[tokio::test]
async fn a_value_is_screened_before_it_is_cut_off() {
    let screening = Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Mask).build().unwrap();
    let tight = Workspace::new("tight").limits(Limits::default().value_chars(12));
    let web = key("web").workspace("tight");
    let governed = governed(Registry::builder().screening(screening).workspace(tight).api_key(web));
    let event = governed.event(&[WEB, metadata(r#"{"note":"to ada@example.com and others"}"#)]).await;
    assert_eq!(event.metadata(), &tags! { "note" => "to [email] a" });
    assert_eq!(governed.registry.report().screened["emails"], 1);
    let codes: Vec<_> = event.diagnostics().iter().map(Diagnostic::code).collect();
    assert_eq!(codes, [DiagnosticCode::Screened, DiagnosticCode::ValueTruncated]);
}

#[tokio::test]
async fn control_characters_hide_nothing_from_screening() {
    let screening = Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Mask).build().unwrap();
    let governed = governed(Registry::builder().screening(screening));
    for json in [
        json!({"zoe\u{1}@example.com": "x"}),
        json!({"zoe\u{1}@example.com": null}),
        json!({"zoe\u{1}@example.com": 3}),
        json!({"mail": "zoe@exam\u{2}ple.com"}),
        json!({"zoe\u{1}@example.com": "x".repeat(200)}),
    ] {
        let event = governed.event(&[("x-portkey-metadata", &json.to_string())]).await;
        let text = serde_json::to_string(&*event).unwrap();
        assert!(!text.contains("zoe") && !text.contains("example") && !text.contains("ple.com"), "{text}");
        assert!(!event.diagnostics().is_empty());
    }
}

/// A key style changes the form by which a secret is recognized.
#[tokio::test]
async fn a_secret_as_a_key_is_screened_before_it_is_renamed() {
    let screening = Screening::builder().kind(ScreeningKind::Secrets, ScreeningAction::Mask).build().unwrap();
    let names = Names::builder().style(KeyStyle::Snake).build().unwrap();
    let claims = Claims::new(["team"], Otherwise::Reject).unwrap();
    let builder = Registry::builder().screening(screening).names(names).api_key(key("web").claims(claims));
    let governed = governed(builder);
    let secret = "sk-proj-Zq3vN8xK2mT5wR7yB1cD4fG6hJ9kL0pQ3sV8uX2aE5iO7nM1";
    let json = json!({secret: "x"}).to_string();
    for headers in [vec![("x-portkey-metadata", json.as_str())], vec![WEB, ("x-portkey-metadata", &json)]] {
        let answer = governed.send(&headers, "").await;
        let event = governed.recorder.take().pop().unwrap();
        let text = format!("{} {}", answer.body, serde_json::to_string(&*event).unwrap()).to_lowercase();
        assert!(text.contains("[secret]") && !text.contains("zq3v") && !text.contains("zq3_v"), "{text}");
    }
}

#[tokio::test]
async fn tags_of_every_request_are_screened() {
    let screening = Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Mask).build().unwrap();
    let (recorder, registry) = (Recorder::new(), Registry::builder().screening(screening).build().unwrap());
    let tagging = TaggingLayer::builder()
        .scope(Scope::Workspace, tags! { "contact" => "it@example.com" })
        .scope(Scope::Fallback, tags! { "owner" => "owner@example.com" });
    let tagging = tagging.sink(recorder.clone()).build().unwrap();
    let app = axum::Router::new()
        .route("/", axum::routing::post(handler))
        .layer(RegistryLayer::new(registry.clone(), tagging));
    let governed = Governed { recorder, registry, app };
    let event = governed.event(&[]).await;
    assert_eq!(event.metadata(), &tags! { "contact" => "[email]", "owner" => "[email]" });

    // Also if another layer has set them, and read the tags, before the caller is known.
    let (recorder, registry) = (Recorder::new(), governed.registry);
    let outer = TaggingLayer::builder().scope(Scope::Workspace, tags! { "contact" => "it@example.com" });
    let outer = outer.sink(recorder.clone()).build().unwrap();
    let inner = TaggingLayer::builder().scope(Scope::Forced, tags! { "owner" => "owner@example.com" }).build().unwrap();
    let app = axum::Router::new()
        .route("/", axum::routing::post(handler))
        .layer(RegistryLayer::new(registry.clone(), inner))
        .layer(outer);
    let governed = Governed { recorder, registry, app };
    let event = governed.event(&[]).await;
    assert_eq!(event.metadata(), &tags! { "contact" => "[email]", "owner" => "[email]" });
}

/// The key's own name is the strongest, then the first other name. What differs is visible, in either order.
#[tokio::test]
async fn several_names_of_a_key_lose_no_value_silently() {
    let names = Names::builder().alias("user_id", "_user").alias("userId", "_user").build().unwrap();
    let governed = governed(Registry::builder().names(names));
    for (json, user, conflict) in [
        (r#"{"user_id":"ada"}"#, "ada", None),
        (r#"{"user_id":"ada","userId":"ada"}"#, "ada", None),
        (r#"{"user_id":"ada","userId":"eve"}"#, "ada", Some("eve")),
        (r#"{"user_id":"","userId":"ada"}"#, "ada", None),
        (r#"{"user_id":"ada","userId":""}"#, "ada", None),
        (r#"{"_user":"ada","userId":"eve"}"#, "ada", Some("eve")),
        (r#"{"userId":"eve","_user":"ada"}"#, "ada", Some("eve")),
        (r#"{"userId":"ada","_user":"ada"}"#, "ada", None),
        (r#"{"user_id":"","userId":"ada","user_id":"eve"}"#, "ada", Some("eve")),
        (r#"{"_user":"","userId":"ada"}"#, "ada", None),
        (r#"{"userId":"ada","_user":""}"#, "ada", None),
        // Of one name, the last value counts.
        (r#"{"user_id":"eve","user_id":"ada"}"#, "ada", None),
        (r#"{"_user":"eve","_user":"ada"}"#, "ada", None),
    ] {
        let event = governed.event(&[metadata(json)]).await;
        assert_eq!(event.metadata(), &tags! { "_user" => user }, "{json}");
        let notes: Vec<_> = event.diagnostics().iter().map(|note| (note.code(), note.detail())).collect();
        let expected: Vec<_> = conflict.iter().map(|value| (DiagnosticCode::Conflict, Some(*value))).collect();
        assert_eq!(notes, expected, "{json}");
    }
}
