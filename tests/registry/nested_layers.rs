//! A registry within another layer that reads tags and emits events.

use axum::{Router, routing::post};
use tower_tagging::{
    TagSources, TaggingLayer,
    metadata::{Diagnostic, DiagnosticCode},
    registry::{Claims, ContractMode, Otherwise, Registry, RegistryBuilder, RegistryLayer},
};

use crate::{
    common::Recorder,
    governed::{Governed, JSON, WEB, handler, key, requires, schema},
};

fn within_tagging(builder: RegistryBuilder) -> Governed {
    let (recorder, registry) = (Recorder::new(), builder.build().unwrap());
    let outer = TaggingLayer::builder().sources(TagSources::portkey()).sink(recorder.clone()).build().unwrap();
    let inner = TaggingLayer::builder().build().unwrap();
    let app = Router::new().route("/", post(handler)).layer(RegistryLayer::new(registry.clone(), inner)).layer(outer);
    Governed { recorder, registry, app }
}

#[tokio::test]
async fn contracts_see_the_user_of_a_body_that_another_layer_reads() {
    let user = serde_json::json!({"type": "string", "pattern": "^u-"});
    let pattern = serde_json::json!({"type": "object", "additionalProperties": true, "properties": {"_user": user}});
    for (builder, body, status, user) in [
        (Registry::builder().contract(schema(ContractMode::Reject, &pattern)), r#"{"user":"ada"}"#, 400, "ada"),
        (Registry::builder().contract(schema(ContractMode::Reject, &pattern)), r#"{"user":"u-1"}"#, 200, "u-1"),
        (Registry::builder().contract(requires(ContractMode::Reject, &["_user"])), r#"{"user":"ada"}"#, 200, "ada"),
    ] {
        let governed = within_tagging(builder);
        let answer = governed.send(&[WEB, JSON], body).await;
        let event = governed.recorder.single();
        assert_eq!((answer.status.as_u16(), event.metadata().get("_user")), (status, Some(user)), "{body}");
        // One layer counts the body.
        assert_eq!(event.request_body_bytes(), Some(body.len() as u64));
    }
}

#[tokio::test]
async fn a_claim_on_the_user_of_the_body_is_denied_once() {
    for (otherwise, status) in [(Otherwise::Reject, 403), (Otherwise::Drop, 200)] {
        let claims = Claims::new(["_user=u-*"], otherwise).unwrap();
        let governed = within_tagging(Registry::builder().api_key(key("web").claims(claims)));
        let answer = governed.send(&[WEB, JSON], r#"{"user":"ada"}"#).await;
        let event = governed.recorder.single();
        assert_eq!((answer.status.as_u16(), event.metadata().get("_user")), (status, None));
        let codes: Vec<_> = event.diagnostics().iter().map(Diagnostic::code).collect();
        assert_eq!(codes, [DiagnosticCode::ClaimDenied]);
        assert_eq!(governed.registry.report().keys["web"].denied_claims, 1);
    }
}
