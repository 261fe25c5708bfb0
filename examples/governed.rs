//! A service without a proxy whose callers are identified by API keys, must send certain tags, and cannot claim others.
//!
//! ```text
//! cargo run --example governed --features axum,registry,schema
//! ```
//!
//! The registry is a text here. A service reads it from a file (`Registry::from_file`, which can be watched for changes) or
//! from tables in Postgres.

use std::{error::Error, time::Duration};

use axum::{Extension, Router, body::Body, http::Request, routing::get};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_tagging::{
    TagSources, TaggingLayer, Tags,
    registry::{ApiKey, Permission, Principal, Registry, RegistryLayer},
    sink::JsonLinesSink,
};

/// Returns the configuration of one workspace with one key, in the format of `examples/gateway/gateway.toml`.
fn configuration(key: &ApiKey) -> String {
    format!(
        r#"
        [workspaces.acme]
        name = "Acme Corp"
        metadata = {{ company = "acme" }}

        [workspaces.acme.contract]
        mode = "reject"
        schema = {{ type = "object", additionalProperties = true, required = ["_user"], properties = {{
            _user = {{ type = "string", minLength = 1 }},
            environment = {{ type = "string", enum = ["production", "development"], default = "development" }},
        }} }}

        [api_keys.web]
        workspace = "acme"
        secrets = [{{ sha256 = "{}" }}]
        metadata = {{ team = "growth" }}
        permissions = ["logs.view"]
        claims = {{ allow = ["_user", "feature", "environment"], otherwise = "drop" }}

        [access]
        unknown_keys = "reject"

        [names]
        aliases = {{ user_id = "_user", x-user-id = "_user" }}

        [screening]
        secrets = "mask"
        "#,
        key.sha256()
    )
}

/// A handler that knows its caller.
async fn handler(tags: Tags, Extension(caller): Extension<Principal>) -> String {
    let may_view_logs = caller.permissions().allow(Permission::LogsView);
    format!(
        "hello {} of {} by the key {} (may view logs: {may_view_logs})",
        tags.get("_user").unwrap_or_default(),
        caller.workspace_name().unwrap_or_default(),
        caller.api_key().unwrap_or_default(),
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = ApiKey::generate("acme")?;
    let registry = Registry::from_toml(&configuration(&key))?;
    let tagging = TaggingLayer::builder()
        .sources(TagSources::portkey().allow_list("x-user-id"))
        .sink(JsonLinesSink::stdout())
        .build()?;
    let delivery = tagging.delivery();
    let app = Router::new().route("/", get(handler)).layer(RegistryLayer::new(registry.clone(), tagging));

    let bearer = format!("Bearer {}", key.expose());
    let spoof = r#"{"company":"evil","tier":"gold","note":"my key is sk-proj-Zq3vN8xK2mT5wR7yB1cD4fG6hJ9kL0pQ3sV8uX2aE5iO7nM1"}"#;
    for (what, headers) in [
        ("an admitted request", vec![("authorization", bearer.as_str()), ("x-user-id", "ada")]),
        ("a request without the required tag", vec![("authorization", bearer.as_str())]),
        ("a request with an unknown key", vec![("authorization", "Bearer acme_guess"), ("x-user-id", "ada")]),
        (
            "a request that claims other tags",
            vec![("authorization", bearer.as_str()), ("x-user-id", "ada"), ("x-portkey-metadata", spoof)],
        ),
    ] {
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = app.clone().oneshot(request.body(Body::empty())?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("\n{what}: {status}\n{}", String::from_utf8_lossy(&body));
    }

    println!();
    let report = delivery.shutdown(Duration::from_secs(5)).await;
    for coverage in registry.coverage() {
        println!("{coverage}");
    }
    let counters = registry.report().keys["web"];
    println!(
        "key web: {} requests, {} rejected, {} denied claims, {} shadowed tags",
        counters.requests, counters.rejected, counters.denied_claims, counters.shadowed
    );
    eprintln!("{report}");
    Ok(())
}
