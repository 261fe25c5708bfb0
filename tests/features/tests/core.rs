//! The part of the crate that does not need a feature. These tests also pass with any features.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_tagging::{
    Event, EventLayer,
    metadata::Scope,
    sink::{Fanout, JsonLinesSink, TracingSink},
    tags,
};
use tower_tagging_feature_tests::{Collector, request, serve, tagging, wait_for};

#[test]
fn emits_one_event_with_tags_and_trace_ids() {
    let collector = Collector::default();
    let response = serve(&tagging().sink(collector.clone()).build().unwrap(), request());
    assert_eq!(response.headers()["x-portkey-trace-id"], "req-7f3a");
    let event = collector.single();
    assert_eq!(event["metadata"], json!({"_user": "ada", "feature": "search", "handled": "yes"}));
    assert_eq!((&event["outcome"], &event["response"]["status"]), (&json!("completed"), &json!(200)));
    assert_eq!(event["response"]["body_bytes"], response.body().len());
    assert_eq!(event["trace"]["trace_id"].as_str().unwrap().len(), 32);
}

#[test]
fn reads_the_user_of_multipart_forms() {
    let collector = Collector::default();
    let form = "--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nada\r\n--x--\r\n";
    let (mut head, _) = request().into_parts();
    head.headers.insert("content-type", HeaderValue::from_static("multipart/form-data; boundary=x"));
    let request = Request::from_parts(head, Full::from(form));
    serve(&tagging().sink(collector.clone()).build().unwrap(), request);
    assert_eq!(collector.single()["metadata"]["_user"], "ada");
}

#[test]
fn trusted_scopes_override_the_client() {
    let collector = Collector::default();
    let metadata = tower_tagging::MetadataLayer::builder().sources(tower_tagging::sources::TagSources::all());
    let metadata = metadata.scope(Scope::Workspace, tags! { "feature" => "trusted" });
    serve(&tagging().metadata(metadata).sink(collector.clone()).build().unwrap(), request());
    let event = collector.single();
    assert_eq!(event["metadata"]["feature"], "trusted");
    assert_eq!(event["diagnostics"].as_array().unwrap().len(), 1);
}

#[test]
fn events_survive_a_json_round_trip() {
    let collector = Collector::default();
    serve(&tagging().sink(collector.clone()).build().unwrap(), request());
    let written = collector.single();
    let read: Event = serde_json::from_value(written.clone()).unwrap();
    let again = serde_json::to_value(&read).unwrap();
    assert_eq!((&again["id"], &again["metadata"]), (&written["id"], &written["metadata"]));
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn writes_json_lines() {
    let buffer = Buffer::default();
    let sinks = Fanout::new().with(JsonLinesSink::writer(buffer.clone())).with(TracingSink::new());
    let layer = tagging().events(EventLayer::new(sinks)).build().unwrap();
    serve(&layer, request());
    serve(&layer, request());
    wait_for(&layer.delivery());
    let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["metadata"]["_user"] == "ada"), "{text}");
}

#[cfg(not(feature = "llm"))]
#[test]
fn events_have_no_llm_call_without_the_feature() {
    let collector = Collector::default();
    serve(&tagging().sink(collector.clone()).build().unwrap(), request());
    assert!(collector.single().get("llm").is_none_or(Value::is_null));
}
