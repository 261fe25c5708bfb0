//! Tests of the table that maps the JSON of an event to the getters and the columns.

mod common;
#[path = "common/events.rs"]
mod events;

use std::{collections::BTreeSet, fmt::Write, fs, path::Path, time::Duration};

use serde_json::{Value, json};
use tower_tagging::{
    Event,
    store::SCHEMA,
    usage::{LlmCall, Money, Unit},
};

/// A row: the path in the JSON, the getter, the columns, and the value of the getter as it is in the JSON.
struct Field {
    json: &'static str,
    getter: &'static str,
    columns: &'static [&'static str],
    value: fn(&Event) -> Value,
}

fn micros(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, |time| json!(u64::try_from(time.as_micros()).unwrap()))
}

fn usd(money: Option<Money>) -> Value {
    money.map_or(Value::Null, |money| serde_json::to_value(money).unwrap())
}

fn llm(event: &Event) -> &LlmCall {
    event.llm().unwrap()
}

fn count(event: &Event, unit: Unit) -> Value {
    json!(llm(event).usage().unwrap().get(unit))
}

macro_rules! fields {
    ($($json:literal, $getter:literal, $columns:expr, $value:expr;)+) => {
        &[$(Field { json: $json, getter: $getter, columns: &$columns, value: $value },)+]
    };
}

const FIELDS: &[Field] = fields! {
    "id", "Event::id", ["id"], |event| json!(event.id().to_string());
    "time", "Event::time", ["requested_at"], |event| json!(humantime::format_rfc3339_micros(event.time()).to_string());
    "trace.trace_id", "TraceContext::trace_id", ["trace_id"], |event| json!(event.trace().trace_id().as_str());
    "trace.client_trace_id", "TraceContext::client_trace_id", ["client_trace_id"], |event| json!(event.trace().client_trace_id());
    "trace.span_id", "TraceContext::span_id", ["span_id"], |event| json!(event.trace().span_id().as_str());
    "trace.parent_span_id", "TraceContext::parent_span_id", ["parent_span_id"], |event| json!(event.trace().parent_span_id());
    "trace.span_name", "TraceContext::span_name", ["span_name"], |event| json!(event.trace().span_name());
    "trace.span_path", "TraceContext::span_path", ["span_path"], |event| json!(event.trace().span_path());
    "trace.linked_trace_id", "TraceContext::linked_trace_id", ["linked_trace_id"], |event| json!(event.trace().linked_trace_id());
    "trace.sampled", "TraceContext::sampled", ["sampled"], |event| json!(event.trace().sampled());
    "trace.source", "TraceContext::source", [], |event| json!(event.trace().source().as_str());
    "request.method", "Event::method", ["request_method"], |event| json!(event.method().as_str());
    "request.path", "Event::path", ["request_path"], |event| json!(event.path());
    "request.route", "Event::route", ["route"], |event| json!(event.route());
    "request.host", "Event::host", ["host"], |event| json!(event.host());
    "request.http_version", "Event::http_version", ["http_version"], |event| json!(format!("{:?}", event.http_version()));
    "request.body_bytes", "Event::request_body_bytes", ["request_bytes"], |event| json!(event.request_body_bytes());
    "response.status", "Event::status", ["status_code"], |event| json!(event.status().map(|status| status.as_u16()));
    "response.grpc_status", "Event::grpc_status", ["grpc_status"], |event| json!(event.grpc_status());
    "response.body_bytes", "Event::response_body_bytes", ["response_bytes"], |event| json!(event.response_body_bytes());
    "timing.head_us", "Event::time_to_head", ["time_to_head_ms"], |event| micros(event.time_to_head());
    "timing.first_byte_us", "Event::time_to_first_byte", ["time_to_first_byte_ms"], |event| micros(event.time_to_first_byte());
    "timing.duration_us", "Event::duration", ["response_time_ms", "responded_at"], |event| micros(Some(event.duration()));
    "api_key", "Event::api_key", ["api_key"], |event| json!(event.api_key());
    "workspace", "Event::workspace", ["workspace"], |event| json!(event.workspace());
    "virtual_key", "Event::virtual_key", ["virtual_key"], |event| json!(event.virtual_key());
    "outcome", "Event::outcome", ["outcome"], |event| json!(event.outcome().as_str());
    "rejection", "Event::rejection", ["rejection"], |event| json!(event.rejection());
    "limit_rule", "Event::limit_rule", ["limit_rule"], |event| json!(event.limit_rule());
    "error", "Event::error", ["error_message"], |event| json!(event.error());
    "metadata", "Event::metadata", ["raw_metadata", "indexed_metadata"], |event| serde_json::to_value(event.metadata()).unwrap();
    "sources", "Event::sources", ["metadata_sources"], |event| event.sources().map(|(key, scope)| (key.to_owned(), json!(scope.as_str()))).collect();
    "diagnostics", "Event::diagnostics", ["diagnostics"], |event| serde_json::to_value(event.diagnostics()).unwrap();
    "llm.provider", "LlmCall::provider", ["provider"], |event| json!(llm(event).provider());
    "llm.operation", "LlmCall::operation", ["operation"], |event| json!(llm(event).operation().unwrap().as_str());
    "llm.request_model", "LlmCall::request_model", ["request_model", "model"], |event| json!(llm(event).request_model());
    "llm.response_model", "LlmCall::response_model", ["response_model", "model"], |event| json!(llm(event).response_model());
    "llm.response_id", "LlmCall::response_id", ["response_id"], |event| json!(llm(event).response_id());
    "llm.service_tier", "LlmCall::service_tier", ["service_tier"], |event| json!(llm(event).service_tier());
    "llm.response_tier", "LlmCall::response_tier", ["response_tier"], |event| json!(llm(event).response_tier());
    "llm.inference_geo", "LlmCall::inference_geo", ["inference_geo"], |event| json!(llm(event).inference_geo());
    "llm.stream", "LlmCall::is_stream", ["stream"], |event| json!(llm(event).is_stream());
    "llm.error", "LlmCall::error", ["llm_error"], |event| json!(llm(event).error());
    "llm.usage_status", "LlmCall::usage_status", ["usage_status"], |event| json!(llm(event).usage_status().as_str());
    "llm.usage.input_tokens", "Usage::input_tokens", ["input_tokens"], |event| count(event, Unit::InputTokens);
    "llm.usage.output_tokens", "Usage::output_tokens", ["output_tokens"], |event| count(event, Unit::OutputTokens);
    "llm.usage.cache_read_tokens", "Usage::get", ["cache_read_tokens"], |event| count(event, Unit::CacheReadTokens);
    "llm.usage.cache_write_tokens", "Usage::get", ["cache_write_tokens"], |event| count(event, Unit::CacheWriteTokens);
    "llm.usage.cache_write_1h_tokens", "Usage::get", ["cache_write_1h_tokens"], |event| count(event, Unit::CacheWrite1hTokens);
    "llm.usage.reasoning_tokens", "Usage::get", ["reasoning_tokens"], |event| count(event, Unit::ReasoningTokens);
    "llm.usage.input_audio_tokens", "Usage::get", ["input_audio_tokens"], |event| count(event, Unit::InputAudioTokens);
    "llm.usage.output_audio_tokens", "Usage::get", ["output_audio_tokens"], |event| count(event, Unit::OutputAudioTokens);
    "llm.usage.web_searches", "Usage::get", ["other_usage"], |event| count(event, Unit::WebSearches);
    "llm.cost_status", "LlmCall::cost_status", ["cost_status"], |event| json!(llm(event).cost_status().as_str());
    "llm.cost_origin", "LlmCall::cost_origin", ["cost_origin"], |event| json!(llm(event).cost_origin().as_str());
    "llm.cost_usd", "LlmCall::cost", ["total_cost_nanos", "total_cost"], |event| usd(llm(event).cost());
    "llm.input_cost_usd", "LlmCall::input_cost", ["input_cost_nanos", "input_cost"], |event| usd(llm(event).input_cost());
    "llm.output_cost_usd", "LlmCall::output_cost", ["output_cost_nanos", "output_cost"], |event| usd(llm(event).output_cost());
    "llm.cost_lines", "LlmCall::cost_lines", ["cost_lines"], |event| serde_json::to_value(llm(event).cost_lines()).unwrap();
    "llm.cache_savings_usd", "LlmCall::cache_savings", ["cache_savings_nanos"], |event| serde_json::to_value(llm(event).cache_savings()).unwrap();
    "llm.price_source", "LlmCall::price_source", ["price_source"], |event| json!(llm(event).price_source());
    "llm.calls", "LlmCall::calls", ["llm_calls"], |event| json!(llm(event).calls());
    "llm.models", "LlmCall::models", [], |event| serde_json::to_value(llm(event).models()).unwrap();
    "llm.duration_us", "LlmCall::duration", ["llm_time_ms"], |event| micros(llm(event).duration());
    "llm.first_token_us", "LlmCall::time_to_first_token", ["time_to_first_token_ms"], |event| micros(llm(event).time_to_first_token());
    "llm.output_tokens_per_second", "LlmCall::output_tokens_per_second", [], |event| json!(llm(event).output_tokens_per_second());
    "llm.quantities", "LlmCall::quantities", ["quantities"], |event| llm(event).quantities().iter().map(|quantity| (quantity.name().to_owned(), json!(quantity.amount()))).collect();
};

/// Returns the table for the documentation.
fn table() -> String {
    let mut table = String::from(
        "<!-- Generated: UPDATE_DOCS=1 cargo test --test event_fields -->\n\n| JSON | getter | column |\n|---|---|---|\n",
    );
    for Field { json, getter, columns, .. } in FIELDS {
        let (owner, method) = getter.split_once("::").unwrap();
        let (before, owner) = match owner {
            "Event" => ("", "crate::Event"),
            "TraceContext" => ("trace().", "crate::trace::TraceContext"),
            "LlmCall" => ("llm()?.", "crate::usage::LlmCall"),
            _ => ("llm()?.usage()?.", "crate::usage::Usage"),
        };
        let argument = match (method, json.rsplit('.').next().unwrap()) {
            ("get", unit) => format!("(Unit::{})", variant(unit)),
            _ => "()".to_owned(),
        };
        let columns: Vec<_> = columns.iter().map(|column| format!("`{column}`")).collect();
        let columns = columns.join(", ");
        writeln!(table, "| `{json}` | [`{before}{method}{argument}`]({owner}::{method}) | {columns} |").unwrap();
    }
    table
}

/// Returns the name of the unit's variant: `cache_read_tokens` is `CacheReadTokens`.
fn variant(unit: &str) -> String {
    let unit = Unit::ALL.iter().find(|known| known.as_str() == unit).unwrap();
    format!("{unit:?}")
}

#[test]
fn documents_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/event_fields.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, table()).unwrap();
    }
    let documented = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(documented, table(), "src/docs/event_fields.md is out of date: run this test with UPDATE_DOCS=1");
}

#[test]
fn getters_return_what_the_json_contains() {
    let event = events::event_of_every_column();
    let json = common::json(&event);
    for Field { json: path, value, .. } in FIELDS {
        let expected = path.split('.').fold(&json, |value, key| &value[key]);
        assert_eq!(&value(&event), expected, "{path}");
        assert!(!expected.is_null(), "{path} is not in the event");
    }
}

#[test]
fn every_member_and_every_column_is_in_the_table() {
    /// Adds the paths of the leaves.
    fn leaves(path: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) if !["metadata", "sources", "llm.quantities"].contains(&path) => {
                for (name, value) in members {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    leaves(&path, value, found);
                }
            }
            _ => _ = found.insert(path.to_owned()),
        }
    }
    let mut members = BTreeSet::new();
    leaves("", &common::json(&events::event_of_every_column()), &mut members);
    let listed: BTreeSet<_> = FIELDS.iter().map(|field| field.json.to_owned()).collect();
    // The name of the schema is constant, and one rare count stands for all.
    let expected: BTreeSet<_> =
        members.into_iter().filter(|path| path != "schema" && path != "llm.usage.citation_tokens").collect();
    assert_eq!(listed, expected);
    let columns: BTreeSet<_> = FIELDS.iter().flat_map(|field| field.columns).copied().collect();
    // This column is computed from others.
    let stored: BTreeSet<_> = SCHEMA.iter().map(|column| column.name).filter(|name| *name != "is_error").collect();
    assert_eq!(columns, stored);
}
