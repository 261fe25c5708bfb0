//! Events for the tests of stores, made by real requests.

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
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer, Tags,
    event::{Clock, ManualClock},
    metadata::{Limits, Scope},
    sink::MockSink,
    sources::{KeyCase, TagSources},
    tags,
    usage::{ExtraCost, Money, Unit, Usage, UsageTap},
};

/// Events of requests, one for each number, whose handler does this with their tags.
pub(crate) fn events(count: usize, handler: impl Fn(usize, &Tags)) -> Vec<Arc<Event>> {
    let sink = MockSink::new();
    emit(&EventLayer::new(sink.clone()).usage(UsageTap::new()), count, handler);
    sink.events()
}

/// Sends requests through the layer.
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

/// One event of this time.
pub(crate) fn event_at(time: SystemTime, handler: impl Fn(usize, &Tags)) -> Arc<Event> {
    let sink = MockSink::new();
    emit(&EventLayer::new(sink.clone()).clock(FixedClock(time)), 1, handler);
    sink.single()
}

#[derive(Debug)]
struct FixedClock(SystemTime);

impl Clock for FixedClock {
    fn now(&self) -> SystemTime {
        self.0
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// What an OpenAI server answers.
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"gpt-4o-2024-08-06",
    "choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
    "prompt_tokens_details":{"cached_tokens":1920},"completion_tokens_details":{"reasoning_tokens":256}}}"#;

/// A router whose requests end up in the sink: prefixed headers become keys of this case.
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

/// A call of an LLM with these headers, read to its end.
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

/// An event in which as much is known as can be.
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

/// What stands in each column of an event's row: times as in JSON, money as a number of dollars.
pub(crate) fn expected(event: &Event) -> Value {
    let json = serde_json::to_value(event).unwrap();
    let (llm, request, trace) = (&json["llm"], &json["request"], &json["trace"]);
    let millis = |micros: &Value| micros.as_u64().map(|micros| micros / 1000);
    let time = |time| humantime::format_rfc3339_micros(time).to_string();
    let model = if llm["response_model"].is_null() { &llm["request_model"] } else { &llm["response_model"] };
    // In two parts, as the macro holds no more.
    let mut row = json!({
        "id": json["id"],
        "requested_at": json["time"],
        "responded_at": time(event.time() + Duration::from_micros(json["timing"]["duration_us"].as_u64().unwrap())),
        "response_time_ms": millis(&json["timing"]["duration_us"]),
        "time_to_first_byte_ms": millis(&json["timing"]["first_byte_us"]),
        "time_to_first_token_ms": millis(&llm["first_token_us"]),
        "provider": llm["provider"],
        "model": model,
        "request_model": llm["request_model"],
        "operation": llm["operation"],
        "stream": llm["stream"],
        "request_method": request["method"],
        "request_path": request["path"],
        "route": request["route"],
        "host": request["host"],
        "status_code": json["response"]["status"],
        "outcome": json["outcome"],
        "request_bytes": request["body_bytes"],
        "response_bytes": json["response"]["body_bytes"],
        "input_tokens": llm["usage"]["input_tokens"],
        "output_tokens": llm["usage"]["output_tokens"],
        "cached_tokens": llm["usage"]["cache_read_tokens"],
        "cache_creation_tokens": llm["usage"]["cache_write_tokens"],
        "cache_creation_1h_tokens": llm["usage"]["cache_write_1h_tokens"],
        "reasoning_tokens": llm["usage"]["reasoning_tokens"],
        "input_cost": llm["input_cost_usd"],
        "output_cost": llm["output_cost_usd"],
        "total_cost": llm["cost_usd"],
        "cost_status": llm["cost_status"],
        "usage_status": llm["usage_status"],
        "price_source": llm["price_source"],
        "trace_id": trace["trace_id"],
        "client_trace_id": trace["client_trace_id"],
        "span_id": trace["span_id"],
        "parent_span_id": trace["parent_span_id"],
        "span_name": trace["span_name"],
        "span_path": trace["span_path"],
        "raw_metadata": json["metadata"],
        "indexed_metadata": null,
        "diagnostics": json["diagnostics"],
        "error_message": json["error"],
    });
    row["metadata_sources"] = json["sources"].clone();
    row
}

type Handler = Box<dyn Fn(&Tags)>;

/// Events that a database may choke on, each in its own way, and an ordinary one before each.
pub(crate) fn hostile_events() -> Vec<Arc<Event>> {
    let sink = MockSink::new();
    let layer = EventLayer::new(sink.clone()).usage(UsageTap::new());
    let long = "x".repeat(1024 * 1024);
    let lone = String::from_utf8_lossy(b"lone \xed\xa0\x80 surrogate").into_owned();
    let sql = "'); DROP TABLE llm_requests; --";
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
        Box::new(move |tags| tags.insert(&lone, &lone)),
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
    // The same event again, too.
    events.push(Arc::clone(&events[0]));
    events
}

/// How many different events there are.
pub(crate) fn distinct(events: &[Arc<Event>]) -> usize {
    events.iter().map(|event| event.id()).collect::<HashSet<_>>().len()
}
