//! The feature `registry`.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::registry::{ApiKey, Registry, RegistryLayer};
use tower_tagging_feature_tests::{Collector, tagging};

#[test]
fn a_key_of_a_configuration_identifies_the_caller() {
    let key = ApiKey::generate("test").unwrap();
    let text = format!(
        "[api_keys.web]\nsecrets = [{{ sha256 = \"{}\" }}]\nmetadata = {{ team = \"growth\" }}\n\
         [screening]\nemails = \"mask\"\n",
        key.sha256()
    );
    let registry = Registry::from_toml(&text).unwrap();
    let collector = Collector::default();
    let layer = RegistryLayer::new(registry, tagging().sink(collector.clone()).build().unwrap());
    let service =
        layer.layer(service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
    let request = Request::get("/")
        .header("authorization", format!("Bearer {}", key.expose()))
        .header("x-portkey-metadata", r#"{"team":"evil","_user":"ada@example.com"}"#)
        .body(Full::<Bytes>::default())
        .unwrap();
    drop(service.oneshot(request).now_or_never().unwrap().unwrap());
    let event = collector.single();
    assert_eq!(event["api_key"], "web");
    assert_eq!(event["metadata"], serde_json::json!({"_user": "[email]", "team": "growth"}));
}

#[test]
fn sections_of_other_features_are_problems_that_name_the_feature() {
    for (text, feature) in
        [("[contract]\nmode = \"report\"\nschema = {}\n", "schema"), ("[jwt]\njwks_file = \"jwks.json\"\n", "jwt")]
    {
        if (feature == "schema" && cfg!(feature = "schema")) || (feature == "jwt" && cfg!(feature = "jwt")) {
            continue;
        }
        let error = Registry::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(&format!("the feature `{feature}`")), "{error}");
    }
}
