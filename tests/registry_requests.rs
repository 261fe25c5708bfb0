//! What a registry does to requests, through `RegistryLayer` and real layers: keys, claims, contracts, screening, trusted
//! headers, and virtual keys.

mod common;
#[path = "registry/coverage.rs"]
mod coverage;
#[path = "registry/cut_tags.rs"]
mod cut_tags;
#[path = "registry/governed.rs"]
mod governed;
#[path = "registry/key_headers.rs"]
mod key_headers;
#[path = "registry/load.rs"]
mod load;
#[path = "registry/nested_layers.rs"]
mod nested_layers;
#[path = "registry/order.rs"]
mod order;
#[path = "registry/secrets.rs"]
mod secrets;
#[path = "registry/spoofing.rs"]
mod spoofing;

use std::time::{Duration, UNIX_EPOCH};

use axum::{Router, body::Body, routing::post};
use common::Recorder;
use governed::{
    Answer, Governed, JSON, WEB, governed, governed_with, handler, key, metadata, request, requires, schema,
};
use http::StatusCode;
use serde_json::{Value, json};
use tower_tagging::{
    MetadataLayer, Scope, TagSources, TaggingLayer, Tags,
    event::{ManualClock, Outcome},
    metadata::{DiagnosticCode, Limits},
    registry::{
        Claims, Contract, ContractMode, Credential, ErrorStyle, JwtAlgorithm, JwtVerifier, KeySecret, LoginClaims,
        Names, Otherwise, PeerIdentity, Permission, RegisteredKey, Registry, RegistryLayer, Screening, ScreeningAction,
        ScreeningKind, SecretDigest, SpiffeTags, TagMapping, UnknownKeys, VirtualKey, VirtualKeyStatus, Workspace,
    },
    tags,
};

#[tokio::test]
async fn a_known_key_identifies_the_caller() {
    let acme = Workspace::new("acme").name("Acme Corp").metadata(tags! { "company" => "acme" });
    let web = key("web").workspace("acme").metadata(tags! { "team" => "growth" }).forced(tags! { "_user" => "ada" });
    let governed = governed(Registry::builder().workspace(acme).api_key(web.permissions([Permission::LogsView])));
    let answer = governed.send(&[WEB, metadata(r#"{"_user":"eve","company":"evil","feature":"chat"}"#)], "").await;
    assert_eq!(answer.body, "web||ada");
    let event = governed.recorder.single();
    assert_eq!((event.api_key(), event.workspace()), (Some("web"), Some("acme")));
    let expected = tags! { "_user" => "ada", "company" => "acme", "feature" => "chat", "team" => "growth" };
    assert_eq!(event.metadata(), &expected);
    let report = governed.registry.report();
    for counters in [report.keys["web"], report.workspaces["acme"]] {
        assert_eq!((counters.requests, counters.shadowed, counters.rejected), (1, 2, 0));
    }
}

#[tokio::test]
async fn refuses_keys_that_have_ended_and_unknown_keys_if_configured() {
    let day = Duration::from_secs(86_400);
    let builder = || {
        Registry::builder()
            .workspace(Workspace::new("acme"))
            .api_key(key("web").workspace("acme").expires_at(UNIX_EPOCH + 10 * day))
            .api_key(key("off").workspace("acme").disabled(true))
            .api_key(
                RegisteredKey::new("rotated")
                    .workspace("acme")
                    .secret(KeySecret::new(SecretDigest::of("sk-old")).expires_at(UNIX_EPOCH + 5 * day))
                    .secret(SecretDigest::of("sk-new")),
            )
    };
    for (unknown_keys, day_of, presented, expected) in [
        (UnknownKeys::Anonymous, 1, Some("sk-web"), Ok("web")),
        (UnknownKeys::Anonymous, 10, Some("sk-web"), Err("expired_key")),
        (UnknownKeys::Anonymous, 1, Some("sk-off"), Err("disabled_key")),
        (UnknownKeys::Anonymous, 4, Some("sk-old"), Ok("rotated")),
        (UnknownKeys::Anonymous, 5, Some("sk-old"), Err("expired_key")),
        (UnknownKeys::Anonymous, 50, Some("sk-new"), Ok("rotated")),
        (UnknownKeys::Anonymous, 1, Some("sk-other"), Ok("")),
        (UnknownKeys::Anonymous, 1, None, Ok("")),
        (UnknownKeys::Reject, 1, Some("sk-web"), Ok("web")),
        (UnknownKeys::Reject, 1, Some("sk-other"), Err("unknown_key")),
        (UnknownKeys::Reject, 1, None, Err("unknown_key")),
    ] {
        let (recorder, clock) = (Recorder::new(), ManualClock::at(UNIX_EPOCH + day_of * day));
        let events = tower_tagging::EventLayer::new(recorder.clone()).clock(clock);
        let tagging = TaggingLayer::builder().events(events).build().unwrap();
        let registry = builder().unknown_keys(unknown_keys).build().unwrap();
        let app = Router::new().route("/", post(handler)).layer(RegistryLayer::new(registry.clone(), tagging));
        let governed = Governed { recorder, registry, app };
        let value = presented.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = value.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = governed.send(&headers, "").await;
        let event = governed.recorder.single();
        match expected {
            Ok(name) => assert_eq!((answer.status.as_u16(), event.api_key().unwrap_or_default()), (200, name)),
            Err(reason) => {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{presented:?} on day {day_of}");
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
                assert_eq!((event.outcome(), event.rejection()), (Outcome::Rejected, Some(reason)));
                let name = match presented {
                    Some("sk-web") => Some("web"),
                    Some("sk-off") => Some("off"),
                    Some("sk-old") => Some("rotated"),
                    _ => None,
                };
                assert_eq!((event.api_key(), event.workspace()), (name, name.map(|_| "acme")));
            }
        }
    }
}

#[tokio::test]
async fn answers_in_the_configured_style() {
    let contract = || requires(ContractMode::Reject, &["_user", "feature"]);
    let vault =
        VirtualKey::new("vault").provider("openai").base_url("https://llm.example").credential(Credential::new("x"));
    for (style, media_type) in
        [(ErrorStyle::Problem, "application/problem+json"), (ErrorStyle::Portkey, "application/json")]
    {
        let claims = || Claims::new(["_user"], Otherwise::Reject).unwrap();
        let governed = governed(
            Registry::builder()
                .errors(style)
                .unknown_keys(UnknownKeys::Reject)
                .workspace(Workspace::new("acme"))
                .workspace(Workspace::new("other"))
                .api_key(key("web").workspace("acme").contract(contract()))
                .api_key(key("claims").workspace("acme").claims(claims()))
                .api_key(key("off").disabled(true))
                .virtual_key(vault.clone().workspaces(["other"]))
                .virtual_key(vault_for("spent", &["acme"])),
        );
        governed.registry.set_virtual_key_status("spent", VirtualKeyStatus::Exhausted);
        let bearer = |key: &str| format!("Bearer sk-{key}");
        let portkey = style == ErrorStyle::Portkey;
        for (presented, header, status, code) in [
            ("off", None, 401, "disabled_key"),
            ("nobody", None, 401, "unknown_key"),
            ("web", Some(metadata(r#"{"_user":"ada"}"#)), if portkey { 446 } else { 400 }, "contract"),
            ("claims", Some(metadata(r#"{"team":"x"}"#)), 403, "claim"),
            ("claims", Some(("x-portkey-virtual-key", "vault")), 403, "forbidden_virtual_key"),
            ("claims", Some(("x-portkey-virtual-key", "nowhere")), 400, "unknown_virtual_key"),
            (
                "claims",
                Some(("x-portkey-provider", "@spent")),
                if portkey { 412 } else { 429 },
                "exhausted_virtual_key",
            ),
        ] {
            let key = bearer(presented);
            let headers: Vec<_> = [Some(("authorization", key.as_str())), header].into_iter().flatten().collect();
            let answer = governed.send(&headers, "").await;
            let event = governed.recorder.take().pop().unwrap();
            assert_eq!((answer.status.as_u16(), event.rejection()), (status, Some(code)));
            assert_eq!(answer.headers["content-type"], media_type, "{code}");
            let body = answer.json();
            if portkey {
                let text = body["error"]["message"].as_str().or(body["message"].as_str()).unwrap();
                assert!(!text.is_empty(), "{body}");
            } else {
                assert_eq!((&body["code"], &body["status"]), (&json!(code), &json!(status)));
                assert!(body["title"].is_string() && body["detail"].is_string() && body["type"].is_string(), "{body}");
            }
            if code == "contract" {
                let violations = if portkey {
                    assert_eq!(body["error"]["type"], "hooks_failed");
                    &body["hook_results"]["before_request_hooks"][0]["checks"][0]["data"]["violations"]
                } else {
                    &body["violations"]
                };
                assert_eq!(violations[0]["key"], "feature", "{body}");
                assert_eq!(violations.as_array().unwrap().len(), 1);
                assert_eq!(event.diagnostics()[0].code(), DiagnosticCode::ContractMissing);
            }
        }
    }
}

fn vault_for(slug: &str, workspaces: &[&str]) -> VirtualKey {
    VirtualKey::new(slug)
        .provider("openai")
        .base_url("https://llm.example")
        .credential(Credential::new("sk-provider"))
        .workspaces(workspaces.iter().copied())
}

#[tokio::test]
async fn virtual_keys_are_for_known_keys_of_their_workspaces() {
    let governed = governed(
        Registry::builder()
            .workspace(Workspace::new("acme"))
            .api_key(key("web").workspace("acme"))
            .api_key(key("lone"))
            .virtual_key(vault_for("vault", &["acme"])),
    );
    for header in [("x-portkey-virtual-key", "vault"), ("x-portkey-provider", "@vault")] {
        assert_eq!(governed.send(&[WEB, header], "").await.body, "web|vault|");
        assert_eq!(governed.recorder.take().pop().unwrap().virtual_key(), Some("vault"));
        for other in [None, Some(("authorization", "sk-lone")), Some(("authorization", "sk-unknown"))] {
            let headers: Vec<_> = [Some(header), other].into_iter().flatten().collect();
            assert_eq!(governed.send(&headers, "").await.status, StatusCode::FORBIDDEN, "{other:?}");
        }
    }
    // A provider without `@` names no virtual key.
    assert_eq!(governed.send(&[WEB, ("x-portkey-provider", "openai")], "").await.body, "web||");
    // Without virtual keys, the headers mean nothing.
    let governed = self::governed(Registry::builder().api_key(key("web")));
    assert_eq!(governed.send(&[("x-portkey-virtual-key", "vault")], "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn contracts_are_checked_on_the_effective_metadata_of_every_request() {
    let governed = governed(
        Registry::builder()
            .contract(requires(ContractMode::Reject, &["_user"]))
            .workspace(Workspace::new("acme").contract(schema(
                ContractMode::Reject,
                &json!({"type": "object", "additionalProperties": true, "properties": {
                    "env": {"type": "string", "enum": ["prod", "dev"], "default": "dev"}
                }}),
            )))
            .api_key(key("web").workspace("acme"))
            .api_key(key("ada").forced(tags! { "_user" => "ada" })),
    );
    let rejected = |answer: &Answer| answer.status == StatusCode::BAD_REQUEST;
    assert!(rejected(&governed.send(&[WEB], "").await));
    assert!(rejected(&governed.send(&[], "").await), "a global contract applies to callers without a key");
    assert!(rejected(&governed.send(&[WEB, metadata(r#"{"_user":"ada","env":"test"}"#)], "").await));
    // The key has the required tag.
    assert_eq!(governed.send(&[("authorization", "sk-ada")], "").await.status, StatusCode::OK);
    governed.recorder.take();
    let event = governed.event(&[WEB, metadata(r#"{"_user":"eve"}"#)]).await;
    assert_eq!((event.metadata().get("env"), event.source("env")), (Some("dev"), Some(Scope::Fallback)));
    let event = governed.event(&[WEB, metadata(r#"{"_user":"eve","env":"prod"}"#)]).await;
    assert_eq!(event.metadata().get("env"), Some("prod"));
}

#[tokio::test]
async fn a_required_user_may_come_from_the_body_only() {
    for mode in [ContractMode::Reject, ContractMode::Report] {
        let governed = governed(Registry::builder().contract(requires(mode, &["_user"])).api_key(key("web")));
        let answer = governed.send(&[WEB, JSON], r#"{"model":"gpt-4o","user":"ada"}"#).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "web||ada"));
        let event = governed.recorder.take().pop().unwrap();
        assert!(event.diagnostics().is_empty(), "{:?}", event.diagnostics());
        let answer = governed.send(&[WEB, JSON], r#"{"model":"gpt-4o"}"#).await;
        let event = governed.recorder.take().pop().unwrap();
        assert_eq!(answer.status == StatusCode::OK, mode == ContractMode::Report);
        assert_eq!(event.diagnostics()[0].code(), DiagnosticCode::ContractMissing);
    }
}

/// The value of the body may replace a default, and is checked as well.
#[tokio::test]
async fn the_user_of_the_body_passes_every_rule() {
    let pattern = |rest: Value| {
        let mut user = json!({"type": "string", "pattern": "^u-[0-9]+$"});
        user.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let schema = json!({"type": "object", "additionalProperties": true, "properties": {"_user": user}});
        Contract::new(ContractMode::Reject, &schema).unwrap()
    };
    let late = || format!(r#"{{"input":"{}","user":"ada"}}"#, "x".repeat(300 * 1024));
    let (valid, invalid) = (r#"{"user":"u-7"}"#.to_owned(), r#"{"user":"ada"}"#.to_owned());
    for (builder, body, status, user) in [
        (Registry::builder().contract(pattern(json!({}))), valid.clone(), 200, Some("u-7")),
        (Registry::builder().contract(pattern(json!({}))), invalid.clone(), 400, Some("ada")),
        (Registry::builder().contract(pattern(json!({"default": "u-0"}))), valid.clone(), 200, Some("u-7")),
        (Registry::builder().contract(pattern(json!({"default": "u-0"}))), invalid.clone(), 400, Some("ada")),
        // A value after 256 KiB was not checked, so it is not used.
        (Registry::builder().contract(pattern(json!({}))), late(), 200, None),
        (Registry::builder().contract(requires(ContractMode::Reject, &["_user"])), late(), 400, None),
    ] {
        let governed = governed(builder);
        let frames: Vec<_> =
            body.as_bytes().chunks(8 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        let mut request = request(&[JSON], "");
        *request.body_mut() = Body::from_stream(futures_util::stream::iter(frames));
        let answer = governed.send_request(request).await;
        let event = governed.recorder.single();
        assert_eq!((answer.status.as_u16(), event.metadata().get("_user")), (status, user), "{}", &body[..14]);
    }
    // Claims that reject apply to the body, too.
    let claims = Claims::new(["_user=u-*"], Otherwise::Reject).unwrap();
    let governed = governed(Registry::builder().api_key(key("web").claims(claims)));
    assert_eq!(governed.send(&[WEB, JSON], &valid).await.status, StatusCode::OK);
    assert_eq!(governed.send(&[WEB, JSON], &invalid).await.status, StatusCode::FORBIDDEN);
    assert_eq!(governed.recorder.take()[1].rejection(), Some("claim"));
}

#[tokio::test]
async fn report_mode_counts_the_coverage_of_each_tag() {
    let governed = governed(Registry::builder().contract(requires(ContractMode::Report, &["_user", "team"])));
    for json in [r#"{"_user":"ada"}"#, r#"{"_user":"","team":"x"}"#, r#"{"_user":"eve","teem":"x"}"#, "{}"] {
        assert_eq!(governed.send(&[metadata(json)], "").await.status, StatusCode::OK);
    }
    let events = governed.recorder.take();
    let hints: Vec<_> = events[2].diagnostics().iter().map(|note| (note.code(), note.key(), note.detail())).collect();
    assert!(hints.contains(&(DiagnosticCode::PossibleTypo, Some("teem"), Some("team"))), "{hints:?}");
    let coverage = governed.registry.coverage();
    let counts: Vec<_> = coverage.iter().map(|tag| (tag.key.as_str(), tag.requests, tag.requests_with_tag)).collect();
    assert_eq!(counts, [("_user", 4, 2), ("team", 4, 1)]);
    assert_eq!(coverage[0].to_string(), "coverage of _user: 50.0 % of 4 requests");
}

#[tokio::test]
async fn a_forced_user_wins_unless_the_override_flag_is_set() {
    let forced = tags! { "_user" => "owner" };
    for (has_override, json, expected) in [
        (false, r#"{"_user":"eve"}"#, "owner"),
        (false, r#"{"_user":""}"#, "owner"),
        (false, "{}", "owner"),
        (true, r#"{"_user":"eve"}"#, "eve"),
        (true, r#"{"_user":""}"#, "owner"),
        (true, "{}", "owner"),
    ] {
        let web = key("web").forced(forced.clone()).forced_override(has_override);
        let governed = governed(Registry::builder().api_key(web));
        let event = governed.event(&[WEB, metadata(json)]).await;
        assert_eq!(&event.metadata()["_user"], expected, "{json}, override {has_override}");
    }
}

#[tokio::test]
async fn the_user_of_the_body_does_not_override_a_forced_user() {
    let governed = governed(Registry::builder().api_key(key("web").forced(tags! { "_user" => "owner" })));
    let answer = governed.send(&[WEB, JSON], r#"{"user":"eve"}"#).await;
    assert_eq!(answer.body, "web||owner");
    let event = governed.recorder.single();
    assert_eq!((event.metadata().get("_user"), event.source("_user")), (Some("owner"), Some(Scope::Forced)));
    let [note] = event.diagnostics() else { panic!("{:?}", event.diagnostics()) };
    assert_eq!((note.code(), note.detail()), (DiagnosticCode::Shadowed, Some("eve")));
    assert_eq!(governed.registry.report().keys["web"].shadowed, 1);
}

#[tokio::test]
async fn claims_drop_or_reject_other_tags_and_count_them() {
    let allow = ["_user", "feature", "env=prod*"];
    for otherwise in [Otherwise::Drop, Otherwise::Reject] {
        let claims = Claims::new(allow, otherwise).unwrap();
        let governed = governed(
            Registry::builder()
                .names(Names::builder().alias("user_id", "_user").build().unwrap())
                .api_key(key("web").claims(claims).metadata(tags! { "team" => "growth" })),
        );
        let answer = governed.send(&[WEB, metadata(r#"{"user_id":"ada","env":"production"}"#)], "").await;
        assert_eq!(answer.body, "web||ada");
        let event = governed.recorder.take().pop().unwrap();
        assert_eq!(event.metadata(), &tags! { "_user" => "ada", "env" => "production", "team" => "growth" });
        let answer = governed.send(&[WEB, metadata(r#"{"env":"dev","tier":"gold","feature":"x"}"#)], "").await;
        assert_eq!(answer.status == StatusCode::FORBIDDEN, otherwise == Otherwise::Reject);
        let event = governed.recorder.take().pop().unwrap();
        assert_eq!(event.rejection(), (otherwise == Otherwise::Reject).then_some("claim"));
        assert_eq!(event.metadata(), &tags! { "feature" => "x", "team" => "growth" });
        let denied: Vec<_> = event.diagnostics().iter().map(|note| (note.code(), note.key().unwrap())).collect();
        assert_eq!(denied, [(DiagnosticCode::ClaimDenied, "env"), (DiagnosticCode::ClaimDenied, "tier")]);
        assert_eq!(governed.registry.report().keys["web"].denied_claims, 2);
    }
}

#[tokio::test]
async fn headers_of_the_operators_proxy_are_trusted() {
    let governed =
        governed(Registry::builder().trusted_header("x-tenant-id", "tenant_id", Scope::Workspace).api_key(key("web")));
    let spoof = metadata(r#"{"tenant_id":"evil"}"#);
    let event = governed.event(&[("x-tenant-id", "acme"), spoof]).await;
    assert_eq!((&event.metadata()["tenant_id"], event.source("tenant_id")), ("acme", Some(Scope::Workspace)));
    assert_eq!(event.diagnostics()[0].code(), DiagnosticCode::Shadowed);
    assert_eq!(governed.registry.report().anonymous.shadowed, 1);
    // A value that is sent twice is one value.
    let event = governed.event(&[("x-tenant-id", "acme"), ("x-tenant-id", "acme")]).await;
    assert_eq!(event.metadata().get("tenant_id"), Some("acme"));
    // Two values cannot both be from the proxy.
    let event = governed.event(&[("x-tenant-id", "evil"), ("x-tenant-id", "acme")]).await;
    assert_eq!(
        (event.metadata().get("tenant_id"), event.diagnostics()[0].code()),
        (None, DiagnosticCode::AmbiguousHeader)
    );
    // A header that is missing, empty, or ambiguous makes no room for a value of the client.
    let before = governed.registry.report().anonymous.shadowed;
    for headers in [
        vec![spoof],
        vec![spoof, ("x-tenant-id", "")],
        vec![spoof, ("x-tenant-id", "evil"), ("x-tenant-id", "acme")],
        vec![metadata(r#"{"Tenant_ID":"evil"}"#)],
        vec![("baggage", "tenant_id=evil")],
    ] {
        let event = governed.event(&headers).await;
        assert!(event.metadata().is_empty(), "{headers:?}: {:?}", event.metadata());
        assert!(event.diagnostics().iter().any(|note| note.code() == DiagnosticCode::Shadowed), "{headers:?}");
    }
    assert_eq!(governed.registry.report().anonymous.shadowed, before + 5);
}

#[tokio::test]
async fn a_conflict_between_the_allow_list_and_json_is_a_diagnostic() {
    let sources = TagSources::portkey().allow_list("x-tenant-id=tenant_id, x-same=same");
    let governed = governed_with(Registry::builder(), sources);
    let json = metadata(r#"{"tenant_id":"evil","same":"1"}"#);
    let event = governed.event(&[("x-tenant-id", "acme"), ("x-same", "1"), json]).await;
    let [note] = event.diagnostics() else { panic!("{:?}", event.diagnostics()) };
    assert_eq!((note.code(), note.key(), note.detail()), (DiagnosticCode::Conflict, Some("tenant_id"), Some("acme")));
}

#[tokio::test]
async fn verified_claims_and_peers_become_trusted_tags() {
    let mapping = TagMapping::new().with("/org/id", "tenant_id", Scope::Workspace).unwrap();
    let peers = SpiffeTags::new("example.org").unwrap().segment("sa", "service", Scope::Forced).unwrap();
    let governed = governed(Registry::builder().login_claims(mapping).spiffe(peers));
    let mut request = request(&[metadata(r#"{"tenant_id":"evil","service":"evil"}"#)], "");
    let claims = json!({"sub": "ada", "org": {"id": "acme"}}).as_object().unwrap().clone();
    request.extensions_mut().insert(LoginClaims(claims));
    request.extensions_mut().insert(PeerIdentity("spiffe://example.org/ns/prod/sa/web".to_owned()));
    governed.send_request(request).await;
    let event = governed.recorder.single();
    assert_eq!(event.metadata(), &tags! { "service" => "web", "tenant_id" => "acme" });
    assert_eq!(governed.registry.report().anonymous.shadowed, 2);
}

/// The key and the token of RFC 7515, appendix A.3. The token is from `joe`, and expires at 1,300,819,380.
const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

#[tokio::test]
async fn the_claims_of_a_signed_token_become_trusted_tags() {
    for (issuer, seconds, expected) in [
        ("joe", 1_300_819_000, Ok(Some("joe"))),
        ("joe", 1_300_820_000, Err("invalid_token")),
        // The token may be for an upstream.
        ("another", 1_300_819_000, Err("unknown_key")),
    ] {
        let mapping = TagMapping::new().with("/iss", "login", Scope::Forced).unwrap();
        let verifier = JwtVerifier::builder()
            .jwks(JWKS)
            .issuer(issuer)
            .any_audience()
            .algorithms([JwtAlgorithm::Es256])
            .tags(mapping)
            .build()
            .unwrap();
        let registry = Registry::builder().unknown_keys(UnknownKeys::Reject).jwt(verifier).build().unwrap();
        let (recorder, clock) = (Recorder::new(), ManualClock::at(UNIX_EPOCH + Duration::from_secs(seconds)));
        let events = tower_tagging::EventLayer::new(recorder.clone()).clock(clock);
        let tagging = TaggingLayer::builder().sources(TagSources::portkey()).events(events).build().unwrap();
        let app = Router::new().route("/", post(handler)).layer(RegistryLayer::new(registry.clone(), tagging));
        let governed = Governed { recorder, registry, app };
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", bearer.as_str()), metadata(r#"{"login":"evil"}"#)];
        let answer = governed.send(&headers, "").await;
        let event = governed.recorder.single();
        match expected {
            Ok(login) => assert_eq!((answer.status, event.metadata().get("login")), (StatusCode::OK, login)),
            Err(reason) => assert_eq!((answer.status.as_u16(), event.rejection()), (401, Some(reason))),
        }
        assert!(!answer.body.contains("eyJ") && !serde_json::to_string(&*event).unwrap().contains("eyJ"));
        let mut forwarded = request(&headers, "").into_parts().0;
        governed.registry.strip_credentials(&mut forwarded);
        assert_eq!(forwarded.headers.contains_key("authorization"), issuer == "another");
    }
}

#[tokio::test]
async fn limits_are_per_workspace() {
    let tight = Workspace::new("tight").limits(Limits::default().value_chars(3));
    let governed =
        governed(Registry::builder().workspace(tight).api_key(key("web").workspace("tight")).api_key(key("lone")));
    let json = metadata(r#"{"_user":"lovelace"}"#);
    for (presented, expected) in [("sk-web", "lov"), ("sk-lone", "lovelace"), ("sk-unknown", "lovelace")] {
        let event = governed.event(&[("authorization", presented), json]).await;
        assert_eq!(event.metadata().get("_user"), Some(expected), "{presented}");
    }
}

#[tokio::test]
async fn screening_covers_tags_of_clients_handlers_claims_and_keys() {
    let screening = Screening::builder()
        .kind(ScreeningKind::Emails, ScreeningAction::Hash)
        .kind(ScreeningKind::Secrets, ScreeningAction::Mask)
        .kind(ScreeningKind::Cards, ScreeningAction::Drop)
        .hash_key([7; 32])
        .build()
        .unwrap();
    let mapping = TagMapping::new().with("/email", "login", Scope::Forced).unwrap();
    let web = key("web").metadata(tags! { "owner" => "ada@example.com" });
    let governed = governed(Registry::builder().screening(screening).login_claims(mapping).api_key(web));
    let secret = "sk-proj-Zq3vN8xK2mT5wR7yB1cD4fG6hJ9kL0pQ3sV8uX2aE5iO7nM1";
    let json =
        json!({"_user": "ADA@example.com", "card": "4242 4242 4242 4242", "note": secret, "plain": "checkout-v2"});
    let json = json.to_string();
    let mut request = request(&[WEB, ("x-portkey-metadata", &json), ("x-portkey-trace-id", secret)], "");
    let claims = json!({"email": "ada@example.com"}).as_object().unwrap().clone();
    request.extensions_mut().insert(LoginClaims(claims));
    governed.send_request(request).await;
    let event = governed.recorder.single();
    let tags = event.metadata();
    assert!(tags["_user"].starts_with("email:") && tags["_user"] == tags["login"] && tags["login"] == tags["owner"]);
    assert_eq!((tags.get("card"), tags.get("plain"), tags.get("note")), (None, Some("checkout-v2"), Some("[secret]")));
    assert_eq!(event.trace().client_trace_id(), Some("[secret]"));
    let text = serde_json::to_string(&*event).unwrap();
    assert!(["example.com", "4242", &secret[8..]].iter().all(|part| !text.contains(part)), "{text}");
    let screened: Vec<_> = event
        .diagnostics()
        .iter()
        .filter(|note| note.code() == DiagnosticCode::Screened)
        .map(|note| note.key())
        .collect();
    assert_eq!(screened, [Some("_user"), Some("card"), Some("note")]);
    let screened = governed.registry.report().screened;
    assert!(["emails", "secrets", "cards"].iter().all(|kind| screened[*kind] > 0), "{screened:?}");
}

#[tokio::test]
async fn screening_covers_tags_of_code_and_values_that_are_dropped() {
    let screening = Screening::builder()
        .kind(ScreeningKind::Emails, ScreeningAction::Mask)
        .tag("_user", ScreeningAction::Hash)
        .tag("nickname", ScreeningAction::Mask)
        .hash_key([7; 32])
        .build()
        .unwrap();
    let claims = Claims::new(["nickname"], Otherwise::Drop).unwrap();
    let registry = Registry::builder().screening(screening).api_key(key("web").claims(claims)).build().unwrap();
    let recorder = Recorder::new();
    let resolved = |_: &http::request::Parts| {
        tower_tagging::metadata::Scopes::new().with(Scope::Workspace, tags! { "contact" => "it@example.com" })
    };
    let metadata_layer = MetadataLayer::builder().sources(TagSources::portkey()).resolver(resolved);
    let tagging = TaggingLayer::builder().metadata(metadata_layer).sink(recorder.clone()).build().unwrap();
    let handler = async |tags: Tags| tags.extend_scope(Scope::ApiKey, tags! { "owner" => "owner@example.com" });
    let app = Router::new().route("/", post(handler)).layer(RegistryLayer::new(registry.clone(), tagging));
    let governed = Governed { recorder, registry, app };
    let event = governed.event(&[WEB, metadata(r#"{"_user":"Ada Lovelace","nickname":"Countess"}"#)]).await;
    let expected = tags! { "contact" => "[email]", "nickname" => "[masked]", "owner" => "[email]" };
    assert_eq!(event.metadata(), &expected);
    let text = serde_json::to_string(&*event).unwrap();
    assert!(["Lovelace", "Countess", "example.com"].iter().all(|part| !text.contains(part)), "{text}");
    assert_eq!(governed.registry.report().screened_tags["nickname"], 1);
}

/// The rules of the outermost layer apply, as for all layers of the crate.
#[tokio::test]
async fn nested_registries_identify_and_count_a_request_once() {
    let registry = Registry::builder().api_key(key("web").metadata(tags! { "team" => "growth" })).build().unwrap();
    let inner = Registry::builder().trusted_header("x-region", "region", Scope::Workspace).build().unwrap();
    let recorder = Recorder::new();
    let outer_tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(recorder.clone()).build().unwrap();
    let plain = || TaggingLayer::builder().build().unwrap();
    let app = Router::new()
        .route("/", post(handler))
        .layer(RegistryLayer::new(inner, plain()))
        .layer(RegistryLayer::new(registry.clone(), plain()))
        .layer(RegistryLayer::new(registry.clone(), outer_tagging));
    let governed = Governed { recorder, registry, app };
    let event = governed.event(&[WEB, ("x-region", "eu"), metadata(r#"{"team":"evil"}"#)]).await;
    assert_eq!((event.api_key(), event.metadata()), (Some("web"), &tags! { "region" => "eu", "team" => "growth" }));
    let counters = governed.registry.report().keys["web"];
    assert_eq!((counters.requests, counters.shadowed), (1, 1));
}

#[tokio::test]
async fn refused_keys_do_not_count_for_coverage() {
    let governed = governed(
        Registry::builder()
            .unknown_keys(UnknownKeys::Reject)
            .contract(requires(ContractMode::Report, &["_user"]))
            .api_key(key("web")),
    );
    governed.send(&[], "").await;
    governed.send(&[WEB, metadata(r#"{"_user":"ada"}"#)], "").await;
    governed.recorder.take();
    assert_eq!(governed.registry.coverage()[0].share_of_requests(), Some(1.0));
}
