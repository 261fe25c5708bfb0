//! Measures how long a registry takes to load many keys, and to look one up:
//!
//! ```text
//! cargo bench -p tower-tagging-benches --bench registry
//! ```
//!
//! Each key has a workspace, one secret, and two tags, and belongs to one of 1,000 workspaces. The table shows the fastest of
//! three runs.

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

use std::{env, fmt::Write, hint::black_box, time::Instant};

use http::{Request, request::Parts};
use serde_json::Map;
use tower_tagging::{
    registry::{PrincipalStatus, RegisteredKey, Registry, RegistryBuilder, SecretDigest, Workspace},
    tags,
};

const KEYS: usize = 100_000;
const WORKSPACES: usize = 1_000;
const LOOKUPS: usize = 10_000;

fn main() {
    // Only checks that the benchmark runs. The figures are meaningless.
    let keys = if env::args().any(|arg| arg == "--smoke") { 1_000 } else { KEYS };
    let digests: Vec<String> = (0..keys).map(|at| SecretDigest::of(secret(at)).to_string()).collect();
    let (toml, json) = (toml(&digests), json(&digests));
    println!("| {keys} keys from | ms |");
    println!("|---|--:|");
    println!("| code | {:.0} |", millis(|| code(&digests).build().is_ok()));
    println!("| JSON text, {} MB | {:.0} |", json.len() / 1_000_000, millis(|| Registry::from_json(&json).is_ok()));
    println!("| TOML text, {} MB | {:.0} |", toml.len() / 1_000_000, millis(|| Registry::from_toml(&toml).is_ok()));

    let registry = code(&digests).build().unwrap();
    let requests: Vec<Parts> = (0..LOOKUPS).map(|at| request(&secret(at * 7 % keys))).collect();
    let look_up = || requests.iter().all(|head| registry.principal(head).status() == PrincipalStatus::Known);
    println!("\nA lookup takes {:.0} ns.", millis(look_up) * 1e6 / requests.len() as f64);
}

/// Returns the fastest of three runs, in milliseconds.
fn millis(run: impl Fn() -> bool) -> f64 {
    let time = || {
        let start = Instant::now();
        assert!(black_box(run()));
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..3).map(|_| time()).fold(f64::INFINITY, f64::min)
}

fn secret(at: usize) -> String {
    format!("sk-gateway-{at}")
}

fn request(key: &str) -> Parts {
    Request::get("/").header("authorization", format!("Bearer {key}")).body(()).unwrap().into_parts().0
}

fn workspace_of(at: usize) -> String {
    format!("workspace-{}", at % WORKSPACES)
}

fn code(digests: &[String]) -> RegistryBuilder {
    let workspaces = (0..WORKSPACES).map(|at| Workspace::new(workspace_of(at)).metadata(tags! { "tier" => "gold" }));
    let registry = workspaces.fold(Registry::builder(), RegistryBuilder::workspace);
    let key = |(at, digest): (usize, &String)| {
        RegisteredKey::new(format!("key-{at}"))
            .workspace(workspace_of(at))
            .secret(digest.parse::<SecretDigest>().unwrap())
            .metadata(tags! { "team" => "growth", "service" => "web" })
    };
    digests.iter().enumerate().map(key).fold(registry, RegistryBuilder::api_key)
}

fn toml(digests: &[String]) -> String {
    let mut text = String::new();
    for at in 0..WORKSPACES {
        writeln!(text, "[workspaces.{}]\nmetadata = {{ tier = \"gold\" }}", workspace_of(at)).unwrap();
    }
    for (at, digest) in digests.iter().enumerate() {
        writeln!(
            text,
            "[api_keys.key-{at}]\nworkspace = \"{}\"\nsecrets = [{{ sha256 = \"{digest}\" }}]\n\
             metadata = {{ team = \"growth\", service = \"web\" }}",
            workspace_of(at)
        )
        .unwrap();
    }
    text
}

fn json(digests: &[String]) -> String {
    let workspaces = (0..WORKSPACES).map(|at| (workspace_of(at), serde_json::json!({"metadata": {"tier": "gold"}})));
    let key = |(at, digest): (usize, &String)| {
        let definition = serde_json::json!({
            "workspace": workspace_of(at), "secrets": [{"sha256": digest}],
            "metadata": {"team": "growth", "service": "web"}
        });
        (format!("key-{at}"), definition)
    };
    let keys = digests.iter().enumerate().map(key);
    let (workspaces, keys): (Map<_, _>, Map<_, _>) = (workspaces.collect(), keys.collect());
    serde_json::json!({"workspaces": workspaces, "api_keys": keys}).to_string()
}
