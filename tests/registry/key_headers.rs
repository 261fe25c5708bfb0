//! Keys in headers that the operator chose: they become no tags, and are not forwarded.

use http::HeaderMap;
use tower_tagging::{Scope, TagSources, metadata::DiagnosticCode, registry::Registry};

use crate::governed::{governed_with, key, request};

const SECRET: &str = "sk-web";

#[tokio::test]
async fn keys_in_custom_headers_do_not_become_tags() {
    let headers = ["x-gateway-token", "x-gw"];
    let sources = [
        ("x-gateway-token", TagSources::new().prefix("x-gateway-")),
        ("x-gw", TagSources::new().allow_list("x-gw")),
        ("x-gw", TagSources::new().allow_list("x-gw=caller")),
    ];
    for (header, sources) in sources {
        let governed = governed_with(Registry::builder().key_headers(headers).api_key(key("web")), sources);
        // A key of another gateway is as secret as a known one.
        for secret in [SECRET, "sk-unknown"] {
            let event = governed.event(&[(header, secret)]).await;
            assert_eq!(event.api_key(), (secret == SECRET).then_some("web"));
            assert!(event.metadata().is_empty(), "{header}: {:?}", event.metadata());
            assert_eq!(event.diagnostics()[0].code(), DiagnosticCode::SensitiveHeader);
            assert!(!serde_json::to_string(&*event).unwrap().contains("sk-"));
        }
    }
}

#[test]
fn a_header_for_keys_cannot_be_a_trusted_tag() {
    let builder = Registry::builder().key_headers(["x-gw"]).trusted_header("x-gw", "caller", Scope::Workspace);
    let error = builder.build().unwrap_err().to_string();
    assert!(error.contains("access.trusted_headers.x-gw") && error.contains("credentials"), "{error}");
}

/// A slow body may arrive after the key was removed.
#[test]
fn keys_that_identified_the_caller_are_removed_after_a_reload() {
    use tower_tagging::tagging::Admission;

    let registry = Registry::builder().api_key(key("web")).build().unwrap();
    let (mut head, _) = request(&[("authorization", "Bearer sk-web"), ("x-api-key", "sk-web")], "").into_parts();
    registry.identify(&mut head, std::time::SystemTime::now());
    registry.replace(Registry::builder().api_key(key("other"))).unwrap();
    let kept = ("x-provider-key".parse().unwrap(), "sk-provider".parse().unwrap());
    head.headers.extend(HeaderMap::from_iter([kept]));
    registry.strip_credentials(&mut head);
    let left: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(left, ["x-provider-key"]);
    assert!(registry.knows_key("sk-other") && !registry.knows_key("sk-web"));
}
