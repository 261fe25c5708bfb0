//! Tests of the lookup of API keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Request, request::Parts};
use proptest::prelude::*;
use tower_tagging::{
    metadata::Scope,
    registry::{
        ApiKey, Credential, KeyCounters, KeySecret, Permission, PrincipalStatus, RegisteredKey, Registry,
        RegistryBuilder, SecretDigest, UnknownKeys, VirtualKey, VirtualKeyStatus, Workspace,
    },
    tagging::Admission,
    tags,
};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn parts(headers: &[(&str, &str)]) -> Parts {
    let builder = headers.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).unwrap().into_parts().0
}

fn key(name: &str, secret: &str) -> RegisteredKey {
    RegisteredKey::new(name).secret(SecretDigest::of(secret))
}

fn registry(keys: impl IntoIterator<Item = RegisteredKey>) -> Registry {
    keys.into_iter().fold(Registry::builder(), RegistryBuilder::api_key).build().unwrap()
}

fn status(registry: &Registry, headers: &[(&str, &str)], seconds: u64) -> (PrincipalStatus, Option<String>) {
    let principal = registry.principal_at(&parts(headers), at(seconds));
    (principal.status(), principal.api_key().map(str::to_owned))
}

#[test]
fn a_rotated_secret_ends_at_its_time_while_the_new_one_stays() {
    let old = KeySecret::new(SecretDigest::of("old")).expires_at(at(100));
    let registry = registry([RegisteredKey::new("web").secret(old).secret(SecretDigest::of("new"))]);
    for (secret, seconds, expected) in [
        ("old", 99, PrincipalStatus::Known),
        ("old", 100, PrincipalStatus::Expired),
        ("new", 99, PrincipalStatus::Known),
        ("new", 1_000, PrincipalStatus::Known),
    ] {
        let found = status(&registry, &[("authorization", &format!("Bearer {secret}"))], seconds);
        assert_eq!(found, (expected, Some("web".to_owned())), "{secret} at {seconds}");
    }
}

#[test]
fn expired_and_disabled_keys_keep_their_names_and_lose_their_permissions() {
    let registry = registry([
        key("expired", "e").expires_at(at(100)).permissions([Permission::Admin]),
        key("disabled", "d").disabled(true).expires_at(at(100)).permissions([Permission::Admin]),
    ]);
    assert_eq!(status(&registry, &[("x-api-key", "e")], 100), (PrincipalStatus::Expired, Some("expired".to_owned())));
    assert_eq!(status(&registry, &[("x-api-key", "d")], 100), (PrincipalStatus::Disabled, Some("disabled".to_owned())));
    let permissions = |seconds| registry.principal_at(&parts(&[("x-api-key", "e")]), at(seconds)).permissions();
    assert!(permissions(99).allow(Permission::LogsView) && permissions(100).is_empty());
}

#[test]
fn the_first_known_key_in_the_order_of_headers_counts() {
    let registry = registry([key("a", "ka"), key("b", "kb"), key("c", "k,c")]);
    for (headers, expected) in [
        (&[("authorization", "Bearer ka"), ("x-portkey-api-key", "kb")][..], Some("b")),
        (&[("authorization", "Bearer ka"), ("x-portkey-api-key", "unknown")], Some("a")),
        (&[("x-api-key", "ka"), ("authorization", "Bearer kb")], Some("b")),
        (&[("authorization", "bEaReR\t kb  ")], Some("b")),
        (&[("authorization", "Basic kb")], Some("b")),
        (&[("authorization", "Bearer x, Bearer kb, Bearer ka")], Some("b")),
        (&[("authorization", "Bearer x"), ("authorization", "kb"), ("authorization", "ka")], Some("b")),
        (&[("authorization", "Bearer k,c")], Some("c")),
        (&[("x-goog-api-key", "ka")], Some("a")),
        (&[("x-other-key", "ka")], None),
        (&[("authorization", "Bearer KA")], None),
        (&[("authorization", "Bearer x ka")], None),
        (&[("authorization", "Bearer")], None),
    ] {
        let head = parts(headers);
        let principal = registry.principal_at(&head, at(0));
        assert_eq!(principal.api_key(), expected, "{headers:?}");
        assert_eq!(principal.key_header().is_some(), expected.is_some());
    }
    let head = parts(&[("authorization", "Bearer x"), ("authorization", "kb")]);
    let principal = registry.principal_at(&head, at(0));
    assert_eq!(principal.key_header(), Some((&http::header::AUTHORIZATION, 1)));

    let only_own = Registry::builder().api_key(key("a", "ka")).key_headers(["X-Gateway"]).build().unwrap();
    assert_eq!(status(&only_own, &[("x-gateway", "ka")], 0).0, PrincipalStatus::Known);
    assert_eq!(status(&only_own, &[("authorization", "ka")], 0).0, PrincipalStatus::Missing);
}

#[test]
fn only_keys_that_are_meant_for_gateways_are_unknown() {
    let registry = registry([key("a", "ka")]);
    let own = ApiKey::generate("gw").unwrap();
    let bearer = format!("Bearer {}", own.expose());
    let typo = format!("{bearer}0").replace("gw_", "gx_");
    let typo = &typo[..typo.len() - 1];
    for (headers, expected) in [
        (&[][..], PrincipalStatus::Missing),
        (&[("authorization", "Bearer sk-provider-1")], PrincipalStatus::Missing),
        (&[("x-api-key", "sk-provider-1")], PrincipalStatus::Missing),
        (&[("x-portkey-api-key", "")], PrincipalStatus::Missing),
        (&[("x-portkey-api-key", "other")], PrincipalStatus::Unknown),
        (&[("x-majordomo-key", "other")], PrincipalStatus::Unknown),
        (&[("authorization", &bearer)], PrincipalStatus::Unknown),
        (&[("authorization", typo)], PrincipalStatus::Unknown),
        (&[("x-other", own.expose())], PrincipalStatus::Missing),
    ] {
        assert_eq!(status(&registry, headers, 0), (expected, None), "{headers:?}");
    }
}

#[test]
fn generated_keys_are_found_and_their_typos_are_not() {
    let generated = ApiKey::generate("gw").unwrap();
    let registry = registry([RegisteredKey::new("web").secret(generated.sha256())]);
    assert_eq!(status(&registry, &[("x-api-key", generated.expose())], 0).0, PrincipalStatus::Known);
    let shorter = &generated.expose()[..generated.expose().len() - 1];
    for other in [shorter, &generated.expose().to_uppercase(), &generated.sha256().to_string()] {
        assert_ne!(status(&registry, &[("x-api-key", other)], 0).0, PrincipalStatus::Known);
    }
}

#[test]
fn the_tags_of_a_key_are_in_their_scopes() {
    let registry = Registry::builder()
        .workspace(Workspace::new("acme").name("Acme Corp").metadata(tags! { "company" => "acme" }))
        .api_key(
            key("web", "1").workspace("acme").metadata(tags! { "team" => "growth" }).forced(tags! { "_user" => "ada" }),
        )
        .api_key(key("open", "2").forced(tags! { "_user" => "ada" }).forced_override(true))
        .build()
        .unwrap();
    let principal = registry.principal_at(&parts(&[("x-api-key", "1")]), at(0));
    assert_eq!((principal.workspace(), principal.workspace_name()), (Some("acme"), Some("Acme Corp")));
    assert_eq!(principal.scopes().get(Scope::Workspace), &tags! { "company" => "acme" });
    assert_eq!(principal.scopes().get(Scope::ApiKey), &tags! { "team" => "growth" });
    assert_eq!(principal.scopes().get(Scope::Forced), &tags! { "_user" => "ada" });
    assert!(principal.fallback_if_empty().is_empty());

    let principal = registry.principal_at(&parts(&[("x-api-key", "2")]), at(0));
    assert_eq!(principal.scopes().get(Scope::Fallback), &tags! { "_user" => "ada" });
    assert!(principal.scopes().get(Scope::Forced).is_empty());
    assert_eq!(principal.fallback_if_empty(), &tags! { "_user" => "ada" });
}

#[test]
fn known_keys_are_stripped_and_everything_else_stays() {
    let registry = registry([key("a", "ka"), key("b", "kb").disabled(true), key("c", "5")]);
    let mut head = parts(&[
        ("authorization", "Bearer ka"),
        ("authorization", "Bearer sk-provider-1"),
        ("x-api-key", "kb"),
        ("helicone-auth", "Bearer x,Bearer ka"),
        ("x-other", "ka"),
        ("content-length", "5"),
        ("x-request-token", "abc"),
    ]);
    registry.strip_credentials(&mut head);
    let mut left: Vec<(&str, &str)> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    left.sort_unstable();
    assert_eq!(
        left,
        [
            ("authorization", "Bearer sk-provider-1"),
            ("content-length", "5"),
            ("x-other", "ka"),
            ("x-request-token", "abc")
        ]
    );
}

#[test]
fn virtual_keys_are_for_known_keys_of_their_workspaces() {
    let virtual_key = VirtualKey::new("openai-prod")
        .provider("openai")
        .base_url("https://api.openai.example")
        .credential(Credential::new("sk-provider-1"))
        .workspaces(["acme"])
        .expires_at(at(100));
    let registry = Registry::builder()
        .workspace(Workspace::new("acme"))
        .workspace(Workspace::new("other"))
        .virtual_key(virtual_key)
        .api_key(key("a", "ka").workspace("acme"))
        .api_key(key("expired", "ke").workspace("acme").expires_at(at(1)))
        .api_key(key("b", "kb").workspace("other"))
        .api_key(key("c", "kc"))
        .build()
        .unwrap();
    for (secret, expected) in [("ka", true), ("ke", false), ("kb", false), ("kc", false), ("kx", false)] {
        let principal = registry.principal_at(&parts(&[("x-api-key", secret)]), at(1));
        let found = principal.virtual_key("openai-prod").unwrap();
        assert_eq!(principal.may_use(found), expected, "{secret}");
        assert!(principal.virtual_key("openai").is_none());
    }
    let status = |seconds| registry.virtual_key_statuses(at(seconds))["openai-prod"];
    assert_eq!(status(99), VirtualKeyStatus::Active);
    assert!(registry.set_virtual_key_status("openai-prod", VirtualKeyStatus::Exhausted));
    assert!(!registry.set_virtual_key_status("other", VirtualKeyStatus::Exhausted));
    assert_eq!((status(99), status(100)), (VirtualKeyStatus::Exhausted, VirtualKeyStatus::Expired));
    assert!(!format!("{registry:?} {:?}", registry.status()).contains("sk-provider"));
}

#[test]
fn counts_requests_per_key_and_workspace() {
    let registry = Registry::builder()
        .workspace(Workspace::new("acme"))
        .api_key(key("a", "ka").workspace("acme"))
        .api_key(key("b", "kb").workspace("acme").disabled(true))
        .unknown_keys(UnknownKeys::Reject)
        .build()
        .unwrap();
    for secret in ["ka", "ka", "kb", "kx"] {
        registry.identify(&mut parts(&[("x-api-key", secret)]), at(0));
    }
    let report = registry.report();
    let counts = |counters: KeyCounters| (counters.requests, counters.rejected);
    assert_eq!((counts(report.keys["a"]), counts(report.keys["b"])), ((2, 0), (1, 1)));
    assert_eq!((counts(report.workspaces["acme"]), counts(report.anonymous)), ((3, 1), (1, 1)));
}

#[test]
fn lookups_of_known_and_unknown_keys_do_not_allocate() {
    let keys = (0..1_000).map(|number| key(&format!("key {number}"), &format!("sk-{number}")));
    let registry = registry(keys);
    let heads: Vec<Parts> = (0..10_000)
        .map(|number| {
            let unknown = ApiKey::generate("gw").unwrap();
            let bearer = format!("Bearer sk-{}", number % 2_000);
            parts(&[("x-portkey-api-key", unknown.expose()), ("authorization", &bearer), ("x-api-key", "a,b")])
        })
        .collect();
    // The first lookup of a thread may register it with `arc-swap`.
    registry.principal_at(&heads[0], at(0));
    let mut known = 0;
    let used = allocation_counter::measure(|| {
        for head in &heads {
            known += usize::from(registry.principal_at(head, at(0)).status() == PrincipalStatus::Known);
        }
    });
    assert_eq!(known, 5_000);
    assert_eq!((used.count_total, used.bytes_current), (0, 0), "{used:?}");
}

proptest! {
    #[test]
    fn stripping_removes_exactly_what_identifies(values in proptest::collection::vec("(Bearer )?(ka|kb|x)(, ?(Bearer )?(ka|x))?", 0..4)) {
        let registry = registry([key("a", "ka"), key("b", "kb")]);
        let mut head = parts(&[]);
        for value in &values {
            head.headers.append("authorization", value.parse().unwrap());
        }
        registry.strip_credentials(&mut head);
        let principal = registry.principal_at(&head, at(0));
        prop_assert_eq!(principal.api_key(), None);
        let left: Vec<&HeaderValue> = head.headers.get_all("authorization").iter().collect();
        let expected: Vec<&String> = values.iter().filter(|value| !value.contains('k')).collect();
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn no_header_value_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let registry = registry([key("a", "ka")]);
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            headers.insert(HeaderName::from_static("authorization"), value);
        }
        let mut head = parts(&[]);
        head.headers = headers;
        registry.principal_at(&head, at(0));
        registry.strip_credentials(&mut head);
    }
}
