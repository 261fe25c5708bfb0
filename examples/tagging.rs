//! Creates API keys for a registry.
//!
//! ```text
//! cargo run --example tagging --features registry -- key new web
//! ```
//!
//! The key is printed once, on standard error, and the lines for the configuration file on standard output. The file
//! contains only the digest of the key, so the key cannot be read from it.

use std::{env, process::ExitCode};

use tower_tagging::registry::ApiKey;

const USAGE: &str = "usage: tagging key new NAME [PREFIX]

Creates an API key with this name. PREFIX starts the key, such as the name of the service (default: tt).";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (name, prefix) = match args[..] {
        ["key", "new", name] => (name, "tt"),
        ["key", "new", name, prefix] => (name, prefix),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let key = match ApiKey::generate(prefix) {
        Ok(key) => key,
        Err(error) => {
            eprintln!("tagging: {error}");
            return ExitCode::from(2);
        }
    };
    eprintln!(
        "The API key {name:?}, which is not shown again:\n\n    {}\n\nFor the configuration file:\n",
        key.expose()
    );
    println!("[api_keys.{}]", toml_key(name));
    println!("secrets = [{{ sha256 = \"{}\" }}]", key.sha256());
    println!("# workspace = \"acme\"");
    println!("# metadata = {{ team = \"growth\" }}");
    println!("# claims = {{ allow = [\"_user\", \"feature\"], otherwise = \"drop\" }}");
    ExitCode::SUCCESS
}

/// Returns the name as a TOML key, quoted if needed.
fn toml_key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    // A JSON string is a basic string of TOML.
    if is_bare { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}
