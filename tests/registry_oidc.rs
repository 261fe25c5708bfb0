//! Tokens of a real OpenID provider become trusted tags.

#[path = "common/oidc.rs"]
mod oidc;

use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use oidc::{OidcProvider, user};
use tower::{Layer, ServiceExt};
use tower_tagging::{
    Scope, TagSources, TaggingLayer,
    metadata::Scopes,
    registry::{JwtError, JwtVerifier, JwtVerifierBuilder, Registry, RegistryLayer, TagMapping},
    sink::MockSink,
    tags,
};

const CLIENT: &str = "llm";
const TEAM: HeaderName = HeaderName::from_static("x-team");

/// Returns a verifier for the tokens of a provider.
fn verifier(provider: &OidcProvider) -> JwtVerifierBuilder {
    let discovery = provider.discovery();
    JwtVerifier::builder()
        .jwks_url(discovery["jwks_uri"].as_str().unwrap())
        .issuer(discovery["issuer"].as_str().unwrap())
        .early_refresh_interval(Duration::from_secs(1))
}

#[test]
#[ignore = "needs oidc-provider-mock"]
fn a_token_of_a_real_provider_becomes_trusted_tags() {
    let provider = OidcProvider::start(&[user("ada", "acme"), user("eve", "evil")]);
    let mapping = TagMapping::new()
        .with("/org/id", "tenant_id", Scope::Workspace)
        .and_then(|tags| tags.with("/sub", "_user", Scope::Forced))
        .and_then(|tags| tags.choose("/groups", TEAM, "team", Scope::Workspace))
        .unwrap();
    let verifier = verifier(&provider).audience(CLIENT).tags(mapping).build().unwrap();
    assert!(verifier.wait_for_keys(Duration::from_secs(30)), "{:?}", verifier.status());

    let token = provider.id_token(CLIENT, "ada");
    assert!(verifier.is_addressed_by(&token));
    let claims = verifier.verify(&token, SystemTime::now()).unwrap();
    let mut scopes = Scopes::new();
    let headers = HeaderMap::from_iter([(TEAM, HeaderValue::from_static("ads"))]);
    let notes = verifier.tags().read_request(&claims, &headers, &mut scopes);
    assert_eq!(notes, []);
    assert_eq!(*scopes.get(Scope::Workspace), tags! { "tenant_id" => "acme", "team" => "ads" });
    assert_eq!(*scopes.get(Scope::Forced), tags! { "_user" => "ada" });

    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 3600);
    assert_eq!(verifier.verify(&token, tomorrow), Err(JwtError::Expired));
    let for_another = provider.id_token("another-client", "ada");
    assert_eq!(verifier.verify(&for_another, SystemTime::now()), Err(JwtError::WrongAudience));
    // The header and claims of one token with the signature of another.
    let eve = provider.id_token(CLIENT, "eve");
    let spliced = format!("{}.{}", token.rsplit_once('.').unwrap().0, eve.rsplit_once('.').unwrap().1);
    assert_eq!(verifier.verify(&spliced, SystemTime::now()), Err(JwtError::BadSignature));
}

#[test]
#[ignore = "needs oidc-provider-mock"]
fn a_token_identifies_the_caller_of_a_request() {
    let provider = OidcProvider::start(&[user("ada", "acme")]);
    let discovery = provider.discovery();
    let text = |member: &str| discovery[member].as_str().unwrap().to_owned();
    let config = serde_json::json!({
        "access": {"unknown_keys": "reject"},
        "jwt": {
            "jwks_url": text("jwks_uri"), "issuer": text("issuer"), "audience": CLIENT, "algorithms": ["RS256"],
            "tags": {
                "/org/id": {"key": "tenant_id", "scope": "workspace"}, "/sub": {"key": "_user", "scope": "forced"}
            }
        }
    });
    let registry = Registry::from_json(&config.to_string()).unwrap();
    assert!(registry.jwt_verifier().unwrap().wait_for_keys(Duration::from_secs(30)));
    let sink = MockSink::new();
    let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(sink.clone()).build().unwrap();
    let service = RegistryLayer::new(registry, tagging).layer(tower::service_fn(async |_: Request<_>| {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    }));
    let token = provider.id_token(CLIENT, "ada");
    for (token, status) in [(token.as_str(), 200), (&token[..token.len() - 8], 401), ("another", 401)] {
        let request = Request::get("/")
            .header("authorization", format!("Bearer {token}"))
            .header("x-portkey-metadata", r#"{"tenant_id":"evil","_user":"eve"}"#)
            .body(String::new())
            .unwrap();
        let response = service.clone().oneshot(request).now_or_never().unwrap().unwrap();
        assert_eq!(response.status(), status);
    }
    let events = sink.events();
    assert_eq!(events[0].metadata(), &tags! { "_user" => "ada", "tenant_id" => "acme" });
    assert_eq!((events[1].rejection(), events[2].rejection()), (Some("invalid_token"), Some("unknown_key")));
}

#[test]
#[ignore = "needs oidc-provider-mock"]
fn a_restart_of_the_provider_with_a_new_key_needs_no_restart_of_the_service() {
    let users = [user("ada", "acme")];
    let provider = OidcProvider::start(&users);
    let verifier = verifier(&provider).audience(CLIENT).build().unwrap();
    assert!(verifier.wait_for_keys(Duration::from_secs(30)));
    let old = provider.id_token(CLIENT, "ada");
    assert!(verifier.verify(&old, SystemTime::now()).is_ok());

    let port = provider.port;
    drop(provider);
    assert!(verifier.verify(&old, SystemTime::now()).is_ok(), "the last keys stay in force");
    let provider = OidcProvider::start_at(port, &users);
    let new = provider.id_token(CLIENT, "ada");
    let deadline = Instant::now() + Duration::from_secs(30);
    while verifier.verify(&new, SystemTime::now()).is_err() {
        assert!(Instant::now() < deadline, "{:?}", verifier.status());
        std::thread::sleep(Duration::from_millis(50));
    }
    // The provider's tokens have no key id.
    assert_eq!(verifier.verify(&old, SystemTime::now()), Err(JwtError::BadSignature));
}
