//! The real OpenAI and Portkey SDKs call the gateway example with API keys of the registry.

mod common;
#[path = "common/program.rs"]
mod program;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

use common::TempFolder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The keys that clients send. Neither may appear in any output.
const WEB_KEY: &str = "registry-key-of-web-0b1f7c6e9a2d4385";
const ADA_KEY: &str = "registry-key-of-ada-5d0c2e7f8b9a1634";

/// What the demo provider answers.
const ANSWER: &str = "Hello from the demo provider.";

/// Returns the configuration: a workspace with a contract, a key of a service, and a key of a user.
fn config() -> String {
    let sha256 = |key: &str| Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let (web, ada) = (sha256(WEB_KEY), sha256(ADA_KEY));
    format!(
        r#"
        [workspaces.acme]
        name = "Acme Corp"
        metadata = {{ company = "acme" }}

        [workspaces.acme.contract]
        mode = "reject"
        schema = {{ type = "object", additionalProperties = true, required = ["_user"], properties = {{ _user = {{ type = "string" }}, environment = {{ type = "string", enum = ["production", "staging", "development"], default = "development" }} }} }}

        [api_keys.web]
        workspace = "acme"
        secrets = [{{ sha256 = "{web}" }}]
        metadata = {{ team = "growth", service = "web" }}
        claims = {{ allow = ["_user", "feature", "session_id", "environment=prod*"], otherwise = "drop" }}

        [api_keys.ada]
        workspace = "acme"
        secrets = [{{ sha256 = "{ada}" }}]
        metadata = {{ team = "research" }}
        forced = {{ _user = "ada" }}

        [access]
        unknown_keys = "reject"
        key_headers = ["x-portkey-api-key", "authorization"]
        "#
    )
}

/// A running gateway with the built-in demo provider.
struct Gateway {
    child: Child,
    url: String,
    folder: TempFolder,
    errors: std::thread::JoinHandle<String>,
}

impl Gateway {
    fn start() -> Self {
        let folder = TempFolder::new("gateway-sdks");
        std::fs::write(folder.file("gateway.toml"), config()).unwrap();
        let mut child = Command::new(program::example("gateway"))
            .env_remove("UPSTREAM")
            .env_remove("HEADERS_TO_METADATA")
            .env_remove("METADATA_PRECEDENCE")
            .env("LISTEN", "127.0.0.1:0")
            .env("STORE", "none")
            .env("CONFIG", folder.file("gateway.toml"))
            .env("EVENTS", folder.file("events.jsonl"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut text = String::new();
        let url = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the gateway does not start: {text}")).unwrap();
            text.push_str(&line);
            if let Some((_, rest)) = line.split_once("http://") {
                break format!("http://{}", rest.split_whitespace().next().unwrap());
            }
        };
        let errors = std::thread::spawn(move || text + &lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
        Self { child, url, folder, errors }
    }

    /// Stops the gateway as an operator does. Returns its whole output, and the text of its events.
    fn stop(self) -> (String, String) {
        let Self { child, folder, errors, .. } = self;
        let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let output = child.wait_with_output().unwrap();
        let errors = errors.join().unwrap();
        assert!(output.status.success(), "{errors}");
        let events = std::fs::read_to_string(folder.file("events.jsonl")).unwrap();
        (String::from_utf8(output.stdout).unwrap() + &errors, events)
    }
}

/// Runs the SDKs. Returns the output of the script.
fn run_sdks(gateway: &Gateway) -> Output {
    let python = std::env::var("SDKS_PYTHON").expect("SDKS_PYTHON is the path of a Python with openai and portkey-ai");
    Command::new(python)
        .args(["-W", "ignore", "tests/gateway_sdks.py"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("GATEWAY", &gateway.url)
        .env("WEB_KEY", WEB_KEY)
        .env("ADA_KEY", ADA_KEY)
        .output()
        .unwrap()
}

#[test]
#[ignore = "needs the Python packages openai and portkey-ai"]
fn real_sdks_are_identified_by_their_keys() {
    let gateway = Gateway::start();
    let sdks = run_sdks(&gateway);
    let (output, events_text) = gateway.stop();
    let results_text = String::from_utf8(sdks.stdout).unwrap();
    let errors_text = String::from_utf8(sdks.stderr).unwrap();
    assert!(sdks.status.success(), "{errors_text}");
    let results: Vec<Value> = results_text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<Value> = events_text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.iter().for_each(common::assert_schema);
    assert_eq!((results.len(), events.len()), (10, 10), "{results_text}\n{events_text}");

    let tags = |team: &str, user: &str, others: Value| {
        let mut tags = json!({ "company": "acme", "team": team, "_user": user, "environment": "development" });
        tags.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        tags
    };
    let web = |others: Value| {
        let mut tags = tags("growth", "grace", others);
        tags["service"] = json!("web");
        tags
    };
    for (name, key, mut expected) in [
        ("openai", "web", web(json!({}))),
        ("openai-stream", "web", web(json!({}))),
        ("openai-forced", "ada", tags("research", "ada", json!({}))),
        ("portkey", "web", web(json!({ "environment": "production" }))),
        ("portkey-stream", "web", web(json!({}))),
        ("portkey-body-user", "web", web(json!({}))),
        ("portkey-forced", "ada", tags("research", "ada", json!({}))),
    ] {
        let result = results.iter().find(|result| result["name"] == name).unwrap();
        assert_eq!(result["text"], ANSWER, "{result}");
        expected["feature"] = json!(name);
        let event = events.iter().find(|event| event["metadata"]["feature"] == name).unwrap();
        assert_eq!(event["metadata"], expected, "{event:#}");
        assert_eq!((&event["api_key"], &event["workspace"]), (&json!(key), &json!("acme")), "{event:#}");
        assert_eq!((&event["outcome"], &event["response"]["status"]), (&json!("completed"), &json!(200)), "{event:#}");
        assert_eq!(event["llm"]["usage_status"], "reported", "{event:#}");
        let trace_id = if name.starts_with("portkey") { json!(format!("trace-{name}")) } else { Value::Null };
        assert_eq!(event["trace"]["client_trace_id"], trace_id, "{event:#}");
    }

    // Without `_user`, the contract rejects the call, and the answer names the key.
    for name in ["openai-no-user", "portkey-no-user"] {
        let result = results.iter().find(|result| result["name"] == name).unwrap();
        assert_eq!(result["status"], 400, "{result}");
        assert!(result["body"].as_str().unwrap().contains("_user"), "{result}");
        let event = events.iter().find(|event| event["metadata"]["feature"] == name).unwrap();
        assert_eq!((&event["outcome"], &event["rejection"]), (&json!("rejected"), &json!("contract")), "{event:#}");
        assert_eq!(event["api_key"], "web", "{event:#}");
    }
    let unknown = results.iter().find(|result| result["name"] == "openai-unknown-key").unwrap();
    assert_eq!((&unknown["error"], &unknown["status"]), (&json!("AuthenticationError"), &json!(401)), "{unknown}");
    let rejected: Vec<_> = events.iter().filter(|event| event["rejection"] == "unknown_key").collect();
    assert_eq!(rejected.len(), 1, "{events_text}");
    assert_eq!(rejected[0]["api_key"], Value::Null);

    for text in [output, events_text, results_text, errors_text] {
        for key in [WEB_KEY, ADA_KEY] {
            assert!(!text.contains(key), "a key appears in the output: {text}");
        }
    }
}
