//! Events for the tests of stores, most of them emitted by real requests.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::{Router, body::Body, routing::post};
use futures_util::FutureExt;
use http::{Request, Response};
use serde_json::{Map, Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer, Tags,
    event::{Clock, ManualClock},
    metadata::{Limits, Scope},
    sink::MockSink,
    sources::{KeyCase, TagSources},
    tags,
    usage::{ExtraCost, Money, SignedMoney, Unit, Usage, UsageTap},
};

/// Returns the events of requests whose handler receives the number of the request and its tags.
pub(crate) fn events(count: usize, handler: impl Fn(usize, &Tags)) -> Vec<Arc<Event>> {
    let sink = MockSink::new();
    emit(&EventLayer::new(sink.clone()).usage(UsageTap::new()), count, handler);
    sink.events()
}

/// Sends requests through a layer.
pub(crate) fn emit(layer: &EventLayer, count: usize, handler: impl Fn(usize, &Tags)) {
    for number in 0..count {
        emit_one(layer, &format!("/{number}"), |tags| handler(number, tags));
    }
}

fn emit_one(layer: &EventLayer, path: &str, handler: impl Fn(&Tags)) {
    let service = layer.layer(service_fn(|request: Request<()>| {
        handler(request.extensions().get::<Tags>().unwrap());
        std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    }));
    service.oneshot(Request::get(path).body(()).unwrap()).now_or_never().unwrap().unwrap();
}

/// Returns an event with this time.
pub(crate) fn event_at(time: SystemTime, handler: impl Fn(usize, &Tags)) -> Arc<Event> {
    let sink = MockSink::new();
    emit(&EventLayer::new(sink.clone()).clock(FixedClock(time)), 1, handler);
    sink.single()
}

/// Returns events with this time, whose recorded usage is priced.
pub(crate) fn priced_events_at(time: SystemTime, count: usize, handler: impl Fn(usize, &Tags)) -> Vec<Arc<Event>> {
    let sink = MockSink::new();
    emit(&EventLayer::new(sink.clone()).usage(UsageTap::new()).clock(FixedClock(time)), count, handler);
    sink.events()
}

/// Returns an event with recorded usage, cost, and quantities.
pub(crate) fn recorded_event() -> Arc<Event> {
    let usage = Usage::tokens(2_006, 300).with(Unit::InputAudioTokens, 5).with(Unit::WebSearches, 2);
    let record = |_: usize, tags: &Tags| {
        tags.record_usage(usage.clone().of("openai", "gpt-4o"));
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(1)).of("rows", 0.1));
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(1)).of("rows", 0.2));
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(1)).of("bytes", 1e300));
    };
    events(1, record).remove(0)
}

/// Returns an event that is read from JSON and has a value for each column.
pub(crate) fn event_of_every_column() -> Arc<Event> {
    let event = r#"{
        "schema": "tower-tagging/1",
        "id": "01979b3c-0000-7000-8000-000000000001",
        "time": "2026-01-31T12:00:00.000250Z",
        "trace": {
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "client_trace_id": "run-7", "span_id": "b7ad6b7169203331",
            "parent_span_id": "00f067aa0ba902b7", "span_name": "summarize", "span_path": "plan/summarize",
            "linked_trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "sampled": true, "source": "header"
        },
        "request": {
            "method": "POST", "path": "/v1/chat/completions", "route": "/v1/{endpoint}/completions",
            "host": "api.example.com", "http_version": "HTTP/2.0", "body_bytes": 69
        },
        "response": {"status": 429, "grpc_status": 8, "body_bytes": 580},
        "timing": {"head_us": 1250999, "first_byte_us": 2000000, "duration_us": 3000001},
        "api_key": "ci", "workspace": "acme", "virtual_key": "openai-eu",
        "outcome": "rejected", "rejection": "budget", "limit_rule": "team-month", "error": "the budget is spent",
        "metadata": {"Feature": "search", "Tenant": "acme"}, "sources": {"Feature": "request", "Tenant": "workspace"},
        "diagnostics": [{"code": "shadowed", "key": "Tenant", "detail": "spoofed"}],
        "llm": {
            "provider": "openai", "operation": "chat", "request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06",
            "response_id": "chatcmpl-1", "service_tier": "default", "response_tier": "default",
            "inference_geo": "us", "stream": true, "error": "overloaded",
            "usage_status": "partial",
            "usage": {
                "input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4,
                "cache_write_1h_tokens": 5, "reasoning_tokens": 6, "input_audio_tokens": 7, "output_audio_tokens": 8,
                "web_searches": 9, "citation_tokens": 10
            },
            "cost_status": "partial", "cost_origin": "several_calls", "cost_usd": 3e-9, "input_cost_usd": 1e-9,
            "output_cost_usd": 2e-9, "cost_lines": [
                {"unit": "input_tokens", "quantity": 1, "cost_usd": 1e-9},
                {"unit": "output_tokens", "quantity": 2, "cost_usd": 2e-9}
            ], "cache_savings_usd": -1e-9, "price_source": "custom", "calls": 2,
            "models": [{
                "provider": "openai", "operation": "chat", "model": "gpt-4o-2024-08-06", "calls": 2,
                "input_tokens": 1, "output_tokens": 2, "cost_usd": 3e-9
            }], "duration_us": 2999000,
            "first_token_us": 2500000, "output_tokens_per_second": 4.0, "quantities": {"rows": 12.5}
        }
    }"#;
    Arc::new(serde_json::from_str(event).unwrap())
}

#[derive(Debug)]
pub(crate) struct FixedClock(pub(crate) SystemTime);

impl Clock for FixedClock {
    fn now(&self) -> SystemTime {
        self.0
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// The response of an OpenAI server.
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"gpt-4o-2024-08-06",
    "choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
    "prompt_tokens_details":{"cached_tokens":1920},"completion_tokens_details":{"reasoning_tokens":256}}}"#;

/// Returns a router that sends its events to a sink. The keys of prefixed headers have this case.
pub(crate) fn router(sink: impl tower_tagging::Sink, key_case: KeyCase) -> Router {
    let tagging = TaggingLayer::builder()
        .metadata(
            MetadataLayer::builder()
                .sources(TagSources::majordomo().key_case(key_case))
                .scope(Scope::Workspace, tags! { "Env" => "prod" }),
        )
        .usage(UsageTap::new().trust_request())
        .sink(sink)
        .build()
        .unwrap();
    let answer =
        async || Response::builder().header("content-type", "application/json").body(Body::from(ANSWER)).unwrap();
    Router::new().route("/v1/{endpoint}/completions", post(answer)).layer(tagging)
}

/// Sends an LLM call with these headers, and reads the response.
pub(crate) async fn call(router: &Router, headers: &[(&str, &str)]) {
    let mut request = Request::post("/v1/chat/completions").header("host", "api.openai.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = r#"{"model": "gpt-4o", "user": "ada", "messages": []}"#;
    let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
}

/// Returns the event of an LLM call with many headers.
pub(crate) async fn full_event() -> Arc<Event> {
    let sink = MockSink::new();
    let router = router(sink.clone(), KeyCase::Title);
    let headers = [
        ("x-majordomo-feature", "document-review"),
        ("x-majordomo-user-id", "Zoë \u{2028} \"quoted\" \\ 東京"),
        ("x-majordomo-env", "spoofed"),
        ("x-majordomo-span-name", "summarize"),
        ("x-majordomo-span-path", "plan/summarize"),
        ("x-majordomo-trace-id", "run-7"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    call(&router, &headers).await;
    sink.single()
}

/// Returns LLM calls, other requests, and events that were recorded or read from JSON.
pub(crate) fn varied_events() -> Vec<Arc<Event>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut all = vec![runtime.block_on(full_event()), recorded_event(), event_of_every_column()];
    all.extend(events(2, |_, tags| tags.set_error("failed")));
    all
}

/// Returns the value of each column for an event. Times are text, and dollars are floating-point numbers.
pub(crate) fn expected(event: &Event) -> Value {
    let json = serde_json::to_value(event).unwrap();
    let millis = |micros: &Value| json!(micros.as_u64().map(|micros| micros / 1000));
    let (request, trace, timing) = (&json["request"], &json["trace"], &json["timing"]);
    let began = humantime::parse_rfc3339(json["time"].as_str().unwrap()).unwrap();
    let ended = began + Duration::from_micros(timing["duration_us"].as_u64().unwrap());
    let mut row = json!({
        "id": json["id"],
        "requested_at": json["time"],
        "responded_at": humantime::format_rfc3339_micros(ended).to_string(),
        "response_time_ms": millis(&timing["duration_us"]),
        "time_to_head_ms": millis(&timing["head_us"]),
        "time_to_first_byte_ms": millis(&timing["first_byte_us"]),
        "request_method": request["method"],
        "request_path": request["path"],
        "route": request["route"],
        "host": request["host"],
        "http_version": request["http_version"],
        "request_bytes": request["body_bytes"],
        "status_code": json["response"]["status"],
        "grpc_status": json["response"]["grpc_status"],
        "response_bytes": json["response"]["body_bytes"],
        "error_message": json["error"],
        "is_error": json["response"]["status"].as_u64() >= Some(400)
            || json["response"]["grpc_status"].as_u64() > Some(1)
            || ["failed", "panicked"].contains(&json["outcome"].as_str().unwrap())
            || json["llm"]["error"].is_string(),
        "raw_metadata": json["metadata"],
        "indexed_metadata": null,
        "metadata_sources": json["sources"],
    });
    for name in ["outcome", "rejection", "limit_rule", "api_key", "workspace", "virtual_key", "diagnostics"] {
        row[name] = json[name].clone();
    }
    for name in [
        "trace_id",
        "client_trace_id",
        "span_id",
        "parent_span_id",
        "linked_trace_id",
        "span_name",
        "span_path",
        "sampled",
    ] {
        row[name] = trace[name].clone();
    }
    expect_llm(&mut row, &json["llm"], millis);
    row
}

/// Sets the columns of the LLM call, which are `NULL` for other requests.
fn expect_llm(row: &mut Value, llm: &Value, millis: impl Fn(&Value) -> Value) {
    for name in [
        "provider",
        "operation",
        "request_model",
        "response_model",
        "response_id",
        "service_tier",
        "response_tier",
        "inference_geo",
        "stream",
        "usage_status",
        "cost_status",
        "cost_origin",
        "price_source",
    ] {
        row[name] = llm[name].clone();
    }
    row["model"] = if llm["response_model"].is_null() { &llm["request_model"] } else { &llm["response_model"] }.clone();
    row["llm_error"] = llm["error"].clone();
    row["llm_calls"] = llm["calls"].clone();
    row["llm_time_ms"] = millis(&llm["duration_us"]);
    row["time_to_first_token_ms"] = millis(&llm["first_token_us"]);
    for (column, name) in
        [("total_cost", "cost_usd"), ("input_cost", "input_cost_usd"), ("output_cost", "output_cost_usd")]
    {
        row[column] = llm[name].clone();
        let nanos = llm[name].as_f64().and_then(Money::from_usd).map(Money::nano_usd);
        row[format!("{column}_nanos")] = json!(nanos);
    }
    let nanos = |line: &Value| json!(Money::from_usd(line["cost_usd"].as_f64().unwrap()).unwrap().nano_usd());
    let line = |line: &Value| json!({"unit": line["unit"], "quantity": line["quantity"], "cost_nanos": nanos(line)});
    row["cost_lines"] = llm["cost_lines"].as_array().map_or(Value::Null, |lines| lines.iter().map(line).collect());
    let savings = llm["cache_savings_usd"].as_f64().and_then(SignedMoney::from_usd).map(SignedMoney::nano_usd);
    row["cache_savings_nanos"] = json!(savings);
    let mut usage = llm["usage"].as_object().cloned().unwrap_or_default();
    for name in [
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "reasoning_tokens",
        "input_audio_tokens",
        "output_audio_tokens",
    ] {
        row[name] = usage.remove(name).unwrap_or_default();
    }
    let or_null = |object: Value| if object.as_object().is_none_or(Map::is_empty) { Value::Null } else { object };
    row["other_usage"] = or_null(Value::Object(usage));
    row["quantities"] = or_null(llm["quantities"].clone());
}

type Handler = Box<dyn Fn(&Tags)>;

/// Returns events that a database may reject or misread, with an ordinary one before each.
pub(crate) fn hostile_events() -> Vec<Arc<Event>> {
    let sink = MockSink::new();
    let layer = EventLayer::new(sink.clone()).usage(UsageTap::new());
    let long = "x".repeat(1024 * 1024);
    let lone_surrogate = String::from_utf8_lossy(b"lone \xed\xa0\x80 surrogate").into_owned();
    let sql = "'); DROP TABLE tagging_events; --";
    let huge = Money::from_nano_usd(u64::MAX);
    let most = Unit::ALL.iter().fold(Usage::new(), |usage, unit| usage.with(*unit, u64::MAX));
    let far = [
        SystemTime::UNIX_EPOCH - Duration::from_secs(60 * 60 * 24 * 365 * 1000),
        SystemTime::UNIX_EPOCH + Duration::from_secs(60 * 60 * 24 * 365 * 100_000),
        ManualClock::new().now() + Duration::from_secs(60 * 60 * 24 * 365 * 500),
    ];
    let handlers: Vec<Handler> = vec![
        Box::new(|tags| tags.set_error("NUL \0 in \u{FFFD} an error")),
        Box::new(|tags| tags.record_usage(Usage::tokens(1, 1).of("open\0ai", "\0"))),
        Box::new(|tags| tags.insert("NUL \0 key", "NUL \0 value, and the text \\u0000")),
        Box::new(|tags| tags.insert("\u{FFFD}", "\u{FFFD}\u{FFFF}\u{10FFFF}")),
        Box::new(move |tags| tags.insert(&lone_surrogate, &lone_surrogate)),
        Box::new(move |tags| tags.insert(sql, sql)),
        Box::new(move |tags| tags.set_error(sql)),
        Box::new(|tags| tags.insert("\"", "\\\"'`$[0]{}")),
        Box::new({
            let long = long.clone();
            move |tags| tags.record_usage(Usage::tokens(1, 1).of(&*long, &*long))
        }),
        Box::new(move |tags| tags.insert(&long, &long)),
        Box::new(move |tags| tags.record_usage(most.clone().of("openai", "gpt-4o"))),
        Box::new(move |tags| tags.record_cost(ExtraCost::new(huge).of("absurd", f64::MAX))),
        Box::new(|tags| tags.record_cost(ExtraCost::new(Money::from_nano_usd(1)).of("", f64::NAN))),
        Box::new(|tags| {
            for number in 0..5_000 {
                tags.insert(format!("key {number}"), "");
            }
        }),
    ];
    let limits =
        Limits::default().key_chars(usize::MAX).value_chars(usize::MAX).total_bytes(usize::MAX).tags(usize::MAX);
    let metadata = MetadataLayer::builder().limits(limits).build().unwrap();
    for handler in handlers {
        emit(&layer, 1, |_, tags| tags.insert("ordinary", "yes"));
        let service = metadata.layer(layer.layer(service_fn(|request: Request<()>| {
            handler(request.extensions().get::<Tags>().unwrap());
            std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
        })));
        let path = format!("/{}", "p".repeat(10_000));
        service.oneshot(Request::get(path).body(()).unwrap()).now_or_never().unwrap().unwrap();
    }
    for time in far {
        emit(&layer, 1, |_, tags| tags.insert("ordinary", "yes"));
        emit(&layer.clone().clock(FixedClock(time)), 1, |_, tags| tags.insert("time", "absurd"));
    }
    let mut events = sink.events();
    // Adds a duplicate.
    events.push(Arc::clone(&events[0]));
    events
}

/// Returns the number of different events.
pub(crate) fn distinct(events: &[Arc<Event>]) -> usize {
    events.iter().map(|event| event.id()).collect::<HashSet<_>>().len()
}
