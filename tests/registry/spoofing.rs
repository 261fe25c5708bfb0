//! Every way in which a client may try to set a trusted tag.

use std::time::{Duration, UNIX_EPOCH};

use axum::{Router, body::Body, routing::post};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::BodyExt;
use serde_json::json;
use tower_tagging::{
    EventLayer, Metadata, MetadataLayer, Scope, TagSources, TaggingLayer, Tags,
    event::ManualClock,
    metadata::{DiagnosticCode, Precedence},
    registry::{
        JwtAlgorithm, JwtVerifier, LoginClaims, PeerIdentity, Registry, RegistryLayer, SpiffeTags, TagMapping,
        Workspace,
    },
    sources::KeyCase,
    tags,
};

use crate::{
    JWKS, TOKEN,
    common::Recorder,
    governed::{Governed, key},
};

const EVIL: &str = "evil";

/// The tags of all trusted sources: where they are from, their scopes, keys, and values.
const TRUSTED: &[(&str, Scope, &str, &str)] = &[
    ("workspace", Scope::Workspace, "tenant", "acme"),
    ("key", Scope::ApiKey, "team", "growth"),
    ("forced", Scope::Forced, "owner", "ada"),
    ("forced", Scope::Forced, "_user", "grace"),
    ("header", Scope::Workspace, "region", "eu"),
    ("header", Scope::ApiKey, "tier", "gold"),
    ("login", Scope::Workspace, "org", "acme-org"),
    ("peer", Scope::ApiKey, "service", "web"),
    ("token", Scope::Workspace, "idp_login", "joe"),
];

/// Returns the keys that a reader could take for this one, and those that become it.
fn variants(key: &str) -> Vec<String> {
    let title: String = key[..1].to_uppercase() + &key[1..];
    vec![
        key.to_owned(),
        title,
        key.to_uppercase(),
        // Cyrillic, Greek, and fullwidth letters, invisible characters, and white space.
        key.replace('e', "е").replace('o', "ο"),
        key.replace('t', "ｔ").replace('o', "ｏ"),
        format!("{}\u{200b}{}", &key[..1], &key[1..]),
        format!("{key}\u{feff}"),
        format!(" {key} "),
        format!("{}\u{1}{}", &key[..2], &key[2..]),
    ]
}

fn governed(precedence: Precedence) -> Governed {
    let of = |source: &str| -> Metadata {
        TRUSTED.iter().filter(|tag| tag.0 == source).map(|(_, _, key, value)| (*key, *value)).collect()
    };
    let verifier = JwtVerifier::builder()
        .jwks(JWKS)
        .issuer("joe")
        .any_audience()
        .algorithms([JwtAlgorithm::Es256])
        .tags(TagMapping::new().with("/iss", "idp_login", Scope::Workspace).unwrap())
        .build()
        .unwrap();
    let web = key("web").workspace("acme").metadata(of("key")).forced(of("forced"));
    let registry = Registry::builder()
        .workspace(Workspace::new("acme").metadata(of("workspace")))
        .api_key(web)
        .trusted_header("x-region", "region", Scope::Workspace)
        .trusted_header("x-tier", "tier", Scope::ApiKey)
        .login_claims(TagMapping::new().with("/org", "org", Scope::Workspace).unwrap())
        .spiffe(SpiffeTags::new("example.org").unwrap().segment("sa", "service", Scope::ApiKey).unwrap())
        .jwt(verifier)
        .build()
        .unwrap();
    let allowed: Vec<String> = TRUSTED.iter().map(|(_, _, key, _)| format!("x-allowed-{key}={key}")).collect();
    let sources = TagSources::all().allow_list(&allowed.join(", ")).key_case(KeyCase::Title).prefix("x-tag-");
    let recorder = Recorder::new();
    // The token is valid at this time.
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_300_819_000));
    let events = EventLayer::new(recorder.clone()).clock(clock);
    let metadata = MetadataLayer::builder().sources(sources).precedence(precedence);
    let tagging = TaggingLayer::builder().metadata(metadata).events(events).build().unwrap();
    let late = async |tags: Tags, request: axum::extract::Request| {
        if let Some(key) = request.headers().get("x-late-key") {
            let key = String::from_utf8(key.as_bytes().to_vec()).unwrap();
            tags.insert(&key, EVIL);
            tags.extend([(&key, EVIL)]);
            tags.extend_scope(Scope::Request, Metadata::from([(key.as_str(), EVIL)]));
        }
        request.into_body().collect().await.unwrap();
    };
    let app = Router::new().route("/", post(late)).layer(RegistryLayer::new(registry.clone(), tagging));
    Governed { recorder, registry, app }
}

/// An attempt to set a tag: a header, or the field `user` of the body.
struct Attempt {
    source: &'static str,
    header: Option<(String, String)>,
    body: String,
}

impl Attempt {
    fn by_header(source: &'static str, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { source, header: Some((name.into(), value.into())), body: String::new() }
    }

    /// Returns the request with the values of all trusted sources, or only with the key.
    fn request(&self, is_complete: bool) -> Request<Body> {
        let mut request = Request::post("/").body(Body::from(self.body.clone())).unwrap();
        let bearer = format!("Bearer {TOKEN}");
        let trusted = [("authorization", bearer.as_str()), ("x-region", "eu"), ("x-tier", "gold")];
        let own = self.header.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fixed = [("x-portkey-api-key", "sk-web"), ("content-type", "application/json")];
        for (name, value) in fixed.into_iter().chain(trusted.into_iter().filter(|_| is_complete)).chain(own) {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        if is_complete {
            let claims = json!({"org": "acme-org"}).as_object().unwrap().clone();
            request.extensions_mut().insert(LoginClaims(claims));
            request.extensions_mut().insert(PeerIdentity("spiffe://example.org/ns/prod/sa/web".to_owned()));
        }
        request
    }
}

fn attempts(key: &str, variant: &str) -> Vec<Attempt> {
    let mut attempts = vec![Attempt::by_header("json", "x-portkey-metadata", json!({variant: EVIL}).to_string())];
    // Header values have no control characters.
    if !variant.contains('\u{1}') {
        attempts.push(Attempt::by_header("baggage", "baggage", format!("{variant}={EVIL}")));
        attempts.push(Attempt::by_header("handler", "x-late-key", variant));
    }
    // Names of headers have one case, and are ASCII.
    if variant == key {
        attempts.push(Attempt::by_header("prefix", format!("x-tag-{key}"), EVIL));
        attempts.push(Attempt::by_header("allow-list", format!("x-allowed-{key}"), EVIL));
        if key == "_user" {
            attempts.push(Attempt { source: "body", header: None, body: json!({"user": EVIL}).to_string() });
        }
    }
    attempts
}

#[tokio::test]
async fn no_client_value_gets_under_a_trusted_tag() {
    for precedence in [Precedence::Strict, Precedence::Legacy] {
        let governed = governed(precedence);
        let (mut shadowed, mut overridden) = (0, 0);
        for (origin, scope, key, value) in TRUSTED {
            for variant in variants(key) {
                for attempt in attempts(key, &variant) {
                    governed.send_request(attempt.request(true)).await;
                    let event = governed.recorder.take().pop().unwrap();
                    let tags = event.metadata();
                    let context = format!(
                        "{precedence:?} {origin} {variant:?} by {}: {tags:?} {:?}",
                        attempt.source,
                        event.diagnostics()
                    );
                    // In the legacy precedence, clients override keys and workspaces by definition, and the service those
                    // and other sources.
                    let is_weaker = *scope != Scope::Forced
                        && (matches!(*origin, "key" | "workspace") || attempt.source == "handler");
                    if precedence == Precedence::Legacy && is_weaker && tags.get(key) == Some(EVIL) {
                        let is_own_name = variant.replace('\u{1}', "").trim() == *key;
                        assert!(is_own_name, "{context}");
                        overridden += 1;
                        continue;
                    }
                    assert_eq!(tags.get(key), Some(*value), "{context}");
                    assert!(tags.iter().all(|(_, value)| value != EVIL), "{context}");
                    assert!(
                        event.diagnostics().iter().any(|note| note.code() == DiagnosticCode::Shadowed),
                        "{context}"
                    );
                    shadowed += 1;
                    assert_eq!(governed.registry.report().keys["web"].shadowed, shadowed, "{context}");
                    assert_eq!(governed.registry.report().workspaces["acme"].shadowed, shadowed);
                }
            }
        }
        assert!(shadowed > 200, "{shadowed} attempts");
        assert_eq!(overridden > 0, precedence == Precedence::Legacy);
    }
}

/// A trusted header that is missing makes no room for the client in either precedence.
#[tokio::test]
async fn a_missing_trusted_header_makes_no_room() {
    for precedence in [Precedence::Strict, Precedence::Legacy] {
        let governed = governed(precedence);
        let mut shadowed = 0;
        for (_, _, key, _) in TRUSTED.iter().filter(|tag| tag.0 == "header") {
            for variant in variants(key) {
                for attempt in attempts(key, &variant).into_iter().filter(|attempt| attempt.source != "handler") {
                    governed.send_request(attempt.request(false)).await;
                    let event = governed.recorder.take().pop().unwrap();
                    let context = format!("{precedence:?} {variant:?} by {}: {event:?}", attempt.source);
                    assert!(event.metadata().iter().all(|(_, value)| value != EVIL), "{context}");
                    shadowed += 1;
                    assert_eq!(governed.registry.report().keys["web"].shadowed, shadowed, "{context}");
                }
            }
        }
        let expected = tags! { "_user" => "grace", "owner" => "ada", "team" => "growth", "tenant" => "acme" };
        governed.send_request(Attempt::by_header("none", "x-other", "1").request(false)).await;
        assert_eq!(governed.recorder.single().metadata(), &expected);
    }
}
