//! Events with chosen fields for the tests of analytics.

#![allow(dead_code, reason = "each test uses its part")]

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tower_tagging::{
    Event,
    analytics::{Analytics, Grant, TimeRange},
    store::MemoryStore,
};

/// Returns an LLM call at `2026-06-01T12:00:00Z` plus `micros`, with a unique id that sorts by `number`. The members of
/// `changes` replace its members, within objects too. `null` removes a member.
pub(crate) fn event(number: u64, micros: u64, changes: Value) -> Arc<Event> {
    let time = format!(
        "2026-06-01T{:02}:{:02}:{:02}.{:06}Z",
        12 + micros / 3_600_000_000,
        micros / 60_000_000 % 60,
        micros / 1_000_000 % 60,
        micros % 1_000_000
    );
    let mut event = json!({
        "schema": "tower-tagging/1",
        "id": format!("01979b3c-0000-7000-8000-{number:012x}"),
        "time": time,
        "trace": {
            "trace_id": format!("{:032x}", 7), "span_id": format!("{:016x}", number + 1), "sampled": true,
            "source": "generated"
        },
        "request": {
            "method": "POST", "path": "/v1/chat/completions", "host": "api.example.com", "http_version": "HTTP/1.1"
        },
        "response": {"status": 200, "body_bytes": 580},
        "timing": {"head_us": 1_000, "first_byte_us": 2_000, "duration_us": 250_000},
        "outcome": "completed",
        "metadata": {"team": "search"}, "sources": {"team": "request"}, "diagnostics": [],
        "llm": {
            "provider": "openai", "operation": "chat", "request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06",
            "stream": false, "usage_status": "reported", "usage": {"input_tokens": 1_000, "output_tokens": 100},
            "cost_status": "priced", "cost_usd": 0.0035, "input_cost_usd": 0.0025, "output_cost_usd": 0.001,
            "price_source": "custom"
        }
    });
    merge(event.as_object_mut().unwrap(), changes);
    Arc::new(serde_json::from_value(event).unwrap())
}

fn merge(into: &mut Map<String, Value>, changes: Value) {
    let Value::Object(changes) = changes else { return };
    for (name, change) in changes {
        match (into.get_mut(&name), change) {
            (_, Value::Null) => _ = into.remove(&name),
            (Some(Value::Object(inner)), change @ Value::Object(_)) if name != "metadata" && name != "sources" => {
                merge(inner, change);
            }
            (_, change) => _ = into.insert(name, change),
        }
    }
}

/// Returns analytics over a store with these events.
pub(crate) async fn analytics(events: Vec<Arc<Event>>) -> (Analytics, MemoryStore) {
    let store = MemoryStore::new();
    let analytics = Analytics::new(store.clone());
    analytics.write(events, &Grant::everything()).await.unwrap();
    (analytics, store)
}

/// The day of all events.
pub(crate) fn day() -> TimeRange {
    TimeRange::parse("2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z", "UTC").unwrap()
}
