//! Portkey's SDKs for Python and Node call the HTTP API, on a real server.

#[path = "common/api.rs"]
mod api;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use axum::Router;
use serde_json::{Value, json};

use api::{samples, secret, stores};

/// Serves the API below `/tagging/v1`, and returns its URL.
async fn serve() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tagging/v1", listener.local_addr().unwrap());
    let app = Router::new().nest("/tagging/v1", api::api(stores(&samples()).remove(0)));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

/// Runs a script, and returns the results of its calls.
async fn run(mut script: Command) -> BTreeMap<String, Value> {
    let url = serve().await;
    script
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("ANALYTICS", url)
        .env("ANALYTICS_KEY", secret("acme"))
        .stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || script.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let results = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    results.map(|result| (result["name"].as_str().unwrap().to_owned(), result)).collect()
}

/// Checks what both SDKs call.
fn assert_results(results: &BTreeMap<String, Value>) {
    for (name, result) in results {
        match name.as_str() {
            "feedback.invalid" => assert_eq!(result["status"], 400, "{result}"),
            // An export that has ended cannot be cancelled.
            "exports.cancel" => assert_eq!(result["status"], 409, "{result}"),
            _ => assert!(result["error"].is_null(), "{result}"),
        }
    }
    let answer = |name: &str| &results[name]["answer"];
    assert_eq!(answer("graphs.requests")["summary"]["total"], 10);
    assert_eq!(answer("graphs.cost")["summary"]["total"], 17.500_000_1);
    assert_eq!(answer("graphs.errors")["summary"]["total"], 3);
    assert_eq!(answer("groups.users")["data"][0]["user"], "ada");
    assert_eq!(answer("groups.users")["total"], 2);
    assert_eq!(answer("groups.metadata")["data"][0]["metadata_value"], "ada");
    assert_eq!(answer("groups.model")["data"][0]["model"], "gpt-4o");
    assert_eq!(answer("groups.config")["data"], json!([]));
    assert_eq!(answer("summary.cache")["summary"]["total_requests"], 10);
    assert_eq!(answer("feedback.create")["status"], "success");
    assert_eq!(answer("feedback.update")["feedback_ids"], answer("feedback.create")["feedback_ids"]);
    assert_eq!(answer("logs.create")["logIds"].as_array().unwrap().len(), 1);
    assert_eq!(answer("exports.retrieve")["status"], "success");
    assert_eq!(answer("exports.retrieve")["total_records"], 10);
    assert_eq!(answer("exports.list")["data"][0]["id"], answer("exports.create")["id"]);
    assert_eq!(answer("workspaces.list")["data"][0]["slug"], "acme");
    assert_eq!(answer("virtual_keys.list")["data"][0]["slug"], "openai-acme");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the Python package portkey-ai"]
async fn the_python_sdk_reads_analytics_and_writes_logs_and_feedback() {
    let python = std::env::var("SDKS_PYTHON").expect("SDKS_PYTHON is the path of a Python with portkey-ai");
    let mut script = Command::new(python);
    script.args(["-W", "ignore", "tests/analytics_sdks.py"]);
    let results = run(script).await;
    assert_results(&results);
    assert_eq!(results["graphs.filtered"]["answer"]["summary"]["total"], 2);
    let link = results["exports.download"]["answer"]["signed_url"].as_str().unwrap();
    assert!(link.starts_with("/tagging/v1/logs/exports/") && link.contains("/file?token="), "{link}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and the package portkey-ai"]
async fn the_node_sdk_reads_analytics_and_writes_logs_and_feedback() {
    let folder = std::env::var("SDKS_NODE").expect("SDKS_NODE is a folder in which portkey-ai is installed");
    let mut script = Command::new("node");
    script.arg("tests/analytics_sdks.mjs").env("SDKS_NODE", folder);
    let results = run(script).await;
    assert_results(&results);
    let graphs = results.keys().filter(|name| name.starts_with("graphs.")).count();
    assert_eq!(graphs, 17, "{:?}", results.keys());
}
