//! LLM usage is read from the exchanges of every provider, regardless of framing and content coding.

#![cfg(feature = "llm")]

mod common;

use std::{
    collections::HashSet,
    convert::Infallible,
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use common::{Log, Recorder, assert_schema, json as json_of};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Map, Value, json};
use tower::{Layer, Service};
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer, Tags,
    event::ManualClock,
    metadata::Scope,
    sink::{BatchWriter, Queued, WriteError},
    sources::TagSources,
    tagging::RequestBody,
    tags,
    usage::{
        CatalogPrices, Cost, CostStatus, ExtraCost, LlmCall, LlmEndpoint, Money, Operation, OverlayPrices, PriceBook,
        PriceQuery, Rates, SwapPrices, Unit, Usage, UsageTap, price_fn,
    },
};

struct Case {
    name: String,
    request: Request<Full<Bytes>>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    expect: Value,
    /// `true` if the tap trusts_request the provider that the request names, as it does in a client stack.
    trusts_request: bool,
}

fn headers(message: &Value) -> Vec<(String, String)> {
    let pairs = message["headers"].as_array().into_iter().flatten();
    pairs.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned())).collect()
}

fn case(value: &Value) -> Case {
    let request = &value["request"];
    let mut builder =
        Request::builder().method(request["method"].as_str().unwrap()).uri(request["target"].as_str().unwrap());
    for (name, content) in headers(request) {
        builder = builder.header(name, content);
    }
    let response = &value["response"];
    let body = match response["body"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(response["body_base64"].as_str().unwrap()).unwrap(),
    };
    Case {
        name: value["name"].as_str().unwrap().to_owned(),
        request: builder.body(Full::from(request["body"].as_str().unwrap_or_default().to_owned())).unwrap(),
        status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
        headers: headers(response),
        body,
        expect: value["expect"].clone(),
        trusts_request: true,
    }
}

fn cases() -> Vec<Case> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/llm");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    texts.flat_map(|text| serde_json::from_str::<Vec<Value>>(&text).unwrap()).map(|value| case(&value)).collect()
}

/// Returns the positions at which a body is cut in two: all of them, or this many at even distances if it is long.
///
/// The first one differs, so that the cuts of many bodies are at all places of a line.
fn cuts(length: usize, most: usize) -> impl Iterator<Item = usize> {
    let step = length.checked_div(most).map_or(length.max(1), |distance| distance + 1);
    (1 + length % step..length).step_by(step).take(most)
}

/// Runs the exchange through `layer`, with the response body split into `frames`.
fn exchange(layer: &TaggingLayer, case: &Case, coding: Option<&str>, frames: Vec<Bytes>) {
    let sent: Vec<u8> = frames.concat();
    let mut response = Response::builder().status(case.status);
    for (name, value) in &case.headers {
        response = response.header(name, value);
    }
    if let Some(coding) = coding {
        response = response.header("content-encoding", coding);
    }
    let frames = frames.into_iter().map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
    let response = response.body(StreamBody::new(futures_util::stream::iter(frames))).unwrap();
    let mut response = Some(response);
    let mut service = layer.layer(tower::service_fn(move |request: Request<_>| {
        let response = response.take().unwrap();
        async move {
            // Reads the request to its end, as a service would.
            let body: RequestBody<Full<Bytes>> = request.into_body();
            body.collect().await.unwrap();
            Ok::<_, Infallible>(response)
        }
    }));
    let response = service.call(case.request.clone()).now_or_never().unwrap().unwrap();
    let received = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    assert_eq!(received, sent, "{}: the client receives what the service sent", case.name);
}

/// Runs the exchange with the response body split into `frames`, and returns the event.
fn run(case: &Case, coding: Option<&str>, frames: Vec<Bytes>) -> Value {
    let recorder = Recorder::new();
    let tap = if case.trusts_request { UsageTap::new().trust_request() } else { UsageTap::new() };
    let layer = TaggingLayer::builder().usage(tap).sink(recorder.0.clone()).build().unwrap();
    exchange(&layer, case, coding, frames);
    // Validating the schema is slow, so only the tests with whole bodies do it.
    serde_json::to_value(&*recorder.0.single()).unwrap()
}

/// The address of each event, and its JSON if the writer serialized it.
type Written = Vec<(usize, Option<Value>)>;

/// Records events and drops them, so that later requests reuse their allocations.
#[derive(Clone, Default)]
struct Lines {
    written: Arc<Mutex<Written>>,
    /// `true` if events are dropped unread.
    skips_events: Arc<AtomicBool>,
}

impl BatchWriter for Lines {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let reads = !self.skips_events.load(Ordering::SeqCst);
        let line = |event: &Event| reads.then(|| serde_json::to_value(event).unwrap());
        self.written.lock().unwrap().extend(events.iter().map(|event| (Arc::as_ptr(event).addr(), line(event))));
        Ok(())
    }
}

impl Lines {
    /// Waits until `count` events were written, and a moment longer until the last one is recycled.
    fn wait_for(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.written.lock().unwrap().len() < count {
            assert!(Instant::now() < deadline, "{count} events");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Returns the fields of an event that depend only on the case, so without IDs and times.
fn timeless(event: &Value) -> Value {
    json!([
        timeless_llm(event),
        event["metadata"],
        event["diagnostics"],
        event["error"],
        event["request"]["body_bytes"]
    ])
}

/// Returns the LLM call of an event without times.
fn timeless_llm(event: &Value) -> Value {
    let mut llm = event["llm"].clone();
    if let Some(llm) = llm.as_object_mut() {
        for key in ["duration_us", "first_token_us", "output_tokens_per_second"] {
            assert!(llm.remove(key).is_some(), "{key}");
        }
    }
    llm
}

/// Sends a request that is not an LLM call to the given handler.
fn respond(layer: &TaggingLayer, handle: fn(&Tags)) {
    let mut service = layer.layer(tower::service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        handle(request.extensions().get::<Tags>().unwrap());
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    drop(service.call(Request::new(Full::<Bytes>::default())).now_or_never().unwrap().unwrap());
}

#[test]
fn a_recycled_event_has_no_data_of_an_earlier_request() {
    let lines = Lines::default();
    let sink = Queued::builder("lines", lines.clone()).max_delay(Duration::ZERO).build();
    let layer = TaggingLayer::builder().usage(UsageTap::new().trust_request()).sink(sink).build().unwrap();
    let mut expected = Vec::new();
    for (number, case) in cases().iter().enumerate() {
        let body = || vec![Bytes::from(case.body.clone())];
        // The sink does not read this event.
        lines.skips_events.store(true, Ordering::SeqCst);
        exchange(&layer, case, None, body());
        expected.push(json!("unread"));
        lines.wait_for(expected.len());
        lines.skips_events.store(false, Ordering::SeqCst);
        exchange(&layer, case, None, body());
        expected.push(timeless(&run(case, None, body())));
        lines.wait_for(expected.len());
        match number % 3 {
            // A request without an LLM call, and one with recorded usage.
            0 => {
                respond(&layer, |_| {});
                expected.push(json!([null, {}, [], null, 0]));
            }
            1 => {
                respond(&layer, |tags| tags.record_usage(Usage::tokens(7, 3)));
                expected.push(json!("recorded"));
            }
            _ => {}
        }
        lines.wait_for(expected.len());
    }
    let written = lines.written.lock().unwrap();
    let addresses: HashSet<usize> = written.iter().map(|(address, _)| *address).collect();
    assert!(addresses.len() < written.len() / 4, "{} addresses for {} events", addresses.len(), written.len());
    for ((_, line), expected) in written.iter().zip(&expected) {
        match line {
            None => assert_eq!(*expected, "unread"),
            Some(line) if *expected == "recorded" => {
                assert_eq!(line["llm"]["usage_status"], "recorded");
                assert_eq!(line["llm"]["usage"]["input_tokens"], 7);
                assert_eq!(line["llm"]["request_model"], Value::Null);
                assert_eq!(line["llm"]["response_id"], Value::Null);
            }
            Some(line) => assert_eq!(timeless(line), *expected),
        }
    }
}

/// Returns the members that are not null.
fn known(object: &Value) -> Map<String, Value> {
    let members = object.as_object().cloned().unwrap_or_default();
    members.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// Returns the differences between the event and what the fixture expects.
fn differences(case: &Case, event: &Value, how: &str) -> Vec<String> {
    let (llm, expect) = (&event["llm"], &case.expect);
    let keys = [
        "provider",
        "operation",
        "request_model",
        "response_model",
        "response_id",
        "service_tier",
        "stream",
        "usage_status",
    ];
    let mut pairs: Vec<_> = keys.iter().map(|key| (*key, llm[key].clone(), expect[key].clone())).collect();
    pairs.push(("usage", known(&llm["usage"]).into(), known(&expect["usage"]).into()));
    if let Some(cost) = expect.get("cost_usd") {
        pairs.push(("cost_usd", llm["cost_usd"].as_f64().into(), cost.as_f64().into()));
        let source = expect.get("price_source").cloned().unwrap_or_else(|| "provider".into());
        pairs.push(("price_source", llm["price_source"].clone(), source));
    }
    if let Some(status) = expect.get("cost_status") {
        pairs.push(("cost_status", llm["cost_status"].clone(), status.clone()));
    }
    let wrong = pairs.into_iter().filter(|(_, actual, expected)| actual != expected);
    wrong
        .map(|(key, actual, expected)| format!("{} {how}: {key} is {actual}, expected {expected}", case.name))
        .collect()
}

#[track_caller]
fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

fn encode(coding: &str, body: &[u8]) -> Vec<u8> {
    if let Some((first, others)) = coding.split_once(", ") {
        return encode(others, &encode(first, body));
    }
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            encoder.write_all(body).unwrap();
            encoder.into_inner()
        }
        "zstd" => zstd::stream::encode_all(body, 3).unwrap(),
        "identity" => body.to_vec(),
        other => panic!("unknown coding {other}"),
    }
}

/// Streams of real providers are not taken for broken ones.
#[test]
fn fixtures_without_an_error_report_none() {
    for case in cases().iter().filter(|case| case.status == 200 && case.expect["usage_status"] == "reported") {
        let event = run(case, None, vec![case.body.clone().into()]);
        assert_eq!(event["llm"]["error"], Value::Null, "{}", case.name);
    }
}

#[test]
fn reads_every_fixture() {
    let cases = cases();
    assert!(cases.len() > 150);
    let read = |case: &Case| {
        let event = run(case, None, vec![Bytes::copy_from_slice(&case.body)]);
        assert_schema(&event);
        differences(case, &event, "whole")
    };
    assert_none(&cases.iter().flat_map(read).collect::<Vec<_>>());
}

/// Splits the body into frames of these lengths, and one last frame with the rest.
fn frames(body: &[u8], lengths: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(body);
    let mut frames = Vec::new();
    for length in lengths {
        frames.push(rest.split_to(length.min(rest.len())));
    }
    frames.push(rest);
    frames
}

/// The frames of a request body.
type Chunks = futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

/// Returns the event of a request with a coded body, which arrives in chunks of `size`. The service receives it unchanged.
fn asked(content_type: &str, coding: &str, body: &[u8], size: usize) -> Value {
    let recorder = Recorder::new();
    let sources = TagSources::new().body_user(true);
    let layer =
        TaggingLayer::builder().sources(sources).usage(UsageTap::new()).sink(recorder.0.clone()).build().unwrap();
    let expected = Bytes::copy_from_slice(body);
    let mut service = layer.layer(tower::service_fn(move |request: Request<RequestBody<StreamBody<Chunks>>>| {
        let received = request.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
        assert_eq!(received, expected);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    let chunks: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    let frames: Vec<_> = chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))).collect();
    let request = Request::post("/v1/chat/completions")
        .header("content-type", content_type)
        .header("content-encoding", coding)
        .body(StreamBody::new(futures_util::stream::iter(frames)))
        .unwrap();
    drop(service.call(request).now_or_never().unwrap().unwrap());
    serde_json::to_value(&*recorder.0.single()).unwrap()
}

#[test]
fn reads_coded_request_bodies() {
    let json = json!({"messages": [{"content": "word ".repeat(3000)}], "model": "gpt-5.4", "user": "ada"}).to_string();
    let field =
        |name: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let form = format!("{}{}--x--\r\n", field("model", "gpt-5.4"), field("user", "ada"));
    for (content_type, body) in [("application/json", &json), ("multipart/form-data; boundary=x", &form)] {
        for coding in ["zstd", "gzip", "br", "deflate", "gzip, br", "identity"] {
            let coded = encode(coding, body.as_bytes());
            for size in [1, 7, 1024, coded.len()] {
                let event = asked(content_type, coding, &coded, size);
                assert_eq!(event["metadata"]["_user"], "ada", "{content_type} {coding} {size}");
                assert_eq!(event["llm"]["request_model"], "gpt-5.4", "{content_type} {coding} {size}");
            }
            let truncated = asked(content_type, coding, &coded[..coded.len() / 2], 1024);
            assert_eq!(truncated["metadata"], json!({}), "{content_type} {coding}");
        }
    }
    // Bodies that are not what they claim to be, that expand too much, or whose coding is not supported.
    let bomb = format!("{{\"user\":\"ada\",\"a\":\"{}\"}}", "x".repeat(64 * 1024 * 1024));
    for (coding, body) in [
        ("gzip", json.clone().into_bytes()),
        ("zstd", b"not zstd".to_vec()),
        ("gzip", encode("gzip", bomb.as_bytes())),
        ("compress", json.clone().into_bytes()),
    ] {
        assert_eq!(asked("application/json", coding, &body, 1024)["metadata"], json!({}), "{coding}");
    }
    assert_eq!(asked("application/json", "none", json.as_bytes(), 1024)["metadata"]["_user"], "ada");
}

/// A chat completion whose body and media type need not fit each other.
fn mislabeled(content_type: Option<&str>, status: u16, body: &str) -> Case {
    let content_type = content_type.map(|value| ("content-type".to_owned(), value.to_owned()));
    Case {
        name: format!("{content_type:?} {body:?}"),
        request: Request::post("/v1/chat/completions").body(Full::default()).unwrap(),
        status,
        headers: content_type.into_iter().collect(),
        body: body.as_bytes().to_vec(),
        expect: Value::Null,
        trusts_request: false,
    }
}

#[test]
fn framing_follows_the_first_bytes() {
    let json = r#"{"model":"gpt-4o","usage":{"prompt_tokens":120,"completion_tokens":30,"total_tokens":150}}"#;
    let sse = |begin: &str| format!("{begin}data: {json}\n\ndata: [DONE]\n\n");
    let bodies = [
        (json.to_owned(), false),
        (format!("\u{feff}{json}"), false),
        (format!(" \r\n\t{json}\n"), false),
        (sse(""), true),
        (sse("\u{feff}"), true),
        (sse("\r\n\n"), true),
        (sse(": ping\n\n"), true),
        (sse("event: chunk\n"), true),
        (sse("id: 1\nretry: 5\n"), true),
    ];
    let media_types = [
        None,
        Some("text/plain; charset=utf-8"),
        Some("application/json"),
        Some("application/json, application/json"),
        Some("application/vnd.api+json"),
        Some("text/event-stream"),
        Some("text/event-stream; charset=utf-8, text/event-stream"),
    ];
    for (body, is_stream) in &bodies {
        for media_type in media_types {
            let case = mislabeled(media_type, 200, body);
            for at in 0..body.len().min(20) {
                let event = run(&case, None, frames(&case.body, [at]));
                let llm = &event["llm"];
                let got = (&llm["usage_status"], &llm["usage"]["input_tokens"], &llm["stream"]);
                assert_eq!(got, (&json!("reported"), &json!(120), &json!(is_stream)), "{} cut at {at}", case.name);
            }
            let frame_each = frames(&case.body, std::iter::repeat_n(1, body.len()));
            assert_eq!(run(&case, None, frame_each)["llm"]["usage"]["output_tokens"], 30, "{}", case.name);
        }
    }
    for body in ["<html>busy</html>", "upstream timed out", "dat", "{", "data: {\"usage\":\n\n"] {
        for media_type in media_types {
            let case = mislabeled(media_type, 200, body);
            let status = run(&case, None, vec![body.to_owned().into()])["llm"]["usage_status"].take();
            assert_eq!(status, "unparsed", "{}", case.name);
        }
    }
    // Errors are not billed.
    for status in [400, 429, 500] {
        let event = run(&mislabeled(Some("application/json"), status, json), None, vec![json.into()]);
        assert_eq!((&event["llm"]["usage_status"], &event["llm"]["cost_usd"]), (&json!("absent"), &Value::Null));
    }
}

#[test]
fn errors_inside_a_successful_response_are_reported() {
    let sse = |events: &[&str]| format!("data: {}\n\n", events.join("\n\ndata: "));
    let start = r#"{"type":"message_start","message":{"id":"m","model":"claude-haiku-4-5","usage":{"input_tokens":9,"output_tokens":1}}}"#;
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let stop = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#;
    let chat = r#"{"id":"c","model":"gpt-4o","choices":[{"delta":{"content":"Hi"}}]}"#;
    let failed = r#"{"type":"response.failed","response":{"id":"r","model":"gpt-5","error":{"code":"server_error","message":"broke"}}}"#;
    let (json_type, sse_type) = ("application/json", "text/event-stream");
    for (path, content_type, body, expected) in [
        (
            "/v1/chat/completions",
            json_type,
            r#"{"error":{"type":"rate_limit","message":"slow"}}"#.into(),
            Some("rate_limit: slow"),
        ),
        ("/v1/chat/completions", json_type, r#"{"error":"no model"}"#.into(), Some("no model")),
        ("/v1/chat/completions", sse_type, r#"{"error":{"code":500}}"#.into(), Some("500")),
        ("/v1/chat/completions", sse_type, sse(&[chat, r#"{"error":{"message":"reset"}}"#]), Some("reset")),
        ("/v1/messages", sse_type, sse(&[start, overloaded]), Some("overloaded_error: Overloaded")),
        ("/v1/messages", sse_type, sse(&[start]), Some("the stream ended before its last event")),
        ("/v1/messages", json_type, overloaded.into(), Some("overloaded_error: Overloaded")),
        ("/v1/responses", sse_type, sse(&[failed]), Some("server_error: broke")),
        ("/v1/responses", sse_type, sse(&[r#"{"type":"error","code":"x","message":"y"}"#]), Some("error")),
        (
            "/api/chat",
            "application/x-ndjson",
            "{\"model\":\"m\"}\n{\"error\":\"out of memory\"}\n".into(),
            Some("out of memory"),
        ),
        ("/v1/messages", sse_type, sse(&[start, stop, r#"{"type":"message_stop"}"#]), None),
        (
            "/v1/chat/completions",
            json_type,
            r#"{"model":"gpt-4o","error":null,"usage":{"prompt_tokens":1}}"#.into(),
            None,
        ),
        ("/v1/chat/completions", sse_type, sse(&[chat, "[DONE]"]), None),
    ] {
        let case = Case {
            request: Request::post(path).body(Full::default()).unwrap(),
            ..mislabeled(Some(content_type), 200, &body)
        };
        let event = run(&case, None, vec![body.clone().into()]);
        assert_eq!(event["llm"]["error"].as_str(), expected, "{path} {body}");
        // A client that hangs up does not cause an error.
        if expected == Some("the stream ended before its last event") {
            let event = run_cancelled(&case, vec![body.clone().into(), "data: ".into()], 1);
            assert_eq!(event["llm"]["error"], Value::Null);
        }
    }
}

/// A stream that ends before it has reported the end of the answer was cut off by the provider, even if the status is 200.
#[test]
fn a_stream_that_lacks_its_last_event_is_an_error() {
    let sse = |events: &[&str]| format!("data: {}\n\n", events.join("\n\ndata: "));
    let lines = |lines: &[&str]| lines.join("\n") + "\n";
    let delta = r#"{"model":"gpt-4o","choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}"#;
    let spaced = r#"{"model":"gpt-4o", "choices": [{"delta": {"content": "Hi"}, "finish_reason": null}]}"#;
    let stop = r#"{"model":"gpt-4o","choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let spaced_stop = r#"{"model":"gpt-4o","choices":[{"delta":{},"finish_reason" :  "length"}]}"#;
    let unfinished = r#"{"model":"gpt-4o","choices":[{"delta":{"content":"Hi"}}]}"#;
    let usage = r#"{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let created = r#"{"type":"response.created","response":{"id":"r","model":"gpt-5","status":"in_progress"}}"#;
    let text = r#"{"type":"response.output_text.delta","delta":"Hi"}"#;
    let incomplete = r#"{"type":"response.incomplete","response":{"id":"r","model":"gpt-5","usage":null}}"#;
    let message_start = r#"{"type":"message-start","id":"1","delta":{"message":{"role":"assistant"}}}"#;
    let message_end = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#;
    let ollama = r#"{"model":"llama3","message":{"content":"Hi"},"done":false}"#;
    let (sse_type, lines_type) = ("text/event-stream", "application/x-ndjson");
    let chat = "/v1/chat/completions";
    for (path, media_type, body, is_cut) in [
        (chat, sse_type, sse(&[delta]), true),
        (chat, sse_type, sse(&[spaced, spaced, spaced]), true),
        (chat, sse_type, sse(&[delta, stop]), false),
        (chat, sse_type, sse(&[delta, delta, spaced_stop]), false),
        (chat, sse_type, sse(&[delta, delta, "[DONE]"]), false),
        (chat, sse_type, sse(&[delta, delta, usage]), false),
        // Nothing shows that this server reports the end.
        (chat, sse_type, sse(&[unfinished, unfinished]), false),
        ("/v1/responses", sse_type, sse(&[created, text]), true),
        ("/v1/responses", sse_type, sse(&[created, text, incomplete]), false),
        ("/v2/chat", sse_type, sse(&[message_start]), true),
        ("/v2/chat", sse_type, sse(&[message_start, message_end]), false),
        ("/api/chat", lines_type, lines(&[ollama, ollama]), true),
        ("/api/chat", lines_type, lines(&[ollama, ollama, r#"{"model":"llama3","done":true}"#]), false),
    ] {
        let case = Case {
            request: Request::post(path)
                .header("content-type", "application/json")
                .body(Full::from(r#"{"model":"m","stream":true}"#))
                .unwrap(),
            ..mislabeled(Some(media_type), 200, &body)
        };
        let events = body.split_inclusive('\n').map(|part| Bytes::from(part.to_owned())).collect();
        let bytes = frames(&case.body, std::iter::repeat_n(1, case.body.len()));
        for frames in [vec![body.clone().into()], events, bytes] {
            let (whole, cancelled) =
                (run(&case, None, frames.clone()), run_cancelled(&case, frames.clone(), frames.len()));
            let expected = is_cut.then_some("the stream ended before its last event");
            assert_eq!(whole["llm"]["error"].as_str(), expected, "{path} in {} frames: {body}", frames.len());
            assert_eq!(cancelled["llm"]["error"], Value::Null, "the client disconnected: {body}");
        }
    }
}

#[test]
fn counts_are_read_as_far_as_they_are_counts() {
    let answer = |usage: Value| answered("/v1/chat/completions", &json!({"model": "gpt-4o", "usage": usage}));
    let counts = |event: &Value| {
        let llm = &event["llm"];
        (llm["usage"]["input_tokens"].as_u64(), llm["usage"]["output_tokens"].as_u64(), llm["cost_status"].clone())
    };
    for prompt in [json!("120"), json!(120.0), json!("0120")] {
        let event = answer(json!({"prompt_tokens": prompt, "completion_tokens": "30"}));
        assert_eq!(counts(&event), (Some(120), Some(30), json!("priced")), "{prompt}");
        assert_eq!(event["diagnostics"], json!([]));
    }
    // A cost without its input covers only a part of the call.
    for prompt in [json!("x"), json!(null), json!(""), json!(true), json!([1]), json!({}), json!(-1), json!("1e3")] {
        let event = answer(json!({"prompt_tokens": prompt, "completion_tokens": 30}));
        assert_eq!(counts(&event), (None, Some(30), json!("partial")), "{prompt}");
        assert_eq!(event["diagnostics"][0]["code"], "usage_inconsistent", "{prompt}");
    }
    // Cached tokens that exceed the prompt are counted separately.
    let event = answer(json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110,
        "prompt_tokens_details": {"cached_tokens": 900}}));
    assert_eq!(counts(&event), (Some(1000), Some(10), json!("priced")));
    // Counts that do not add up are never fully priced.
    let event = answer(json!({"prompt_tokens": 100, "completion_tokens": 10,
        "completion_tokens_details": {"reasoning_tokens": 90}}));
    assert_eq!(counts(&event), (Some(100), Some(10), json!("partial")));
}

#[test]
fn the_total_shows_whether_output_includes_thoughts() {
    for (total, output) in [(131, 74), (181, 124), (0, 124)] {
        let usage = json!({"promptTokenCount": 57, "candidatesTokenCount": 74, "thoughtsTokenCount": 50,
            "totalTokenCount": total});
        let answer = json!({"modelVersion": "gemini-2.5-pro", "usageMetadata": usage});
        let event = answered("/v1beta/models/gemini-2.5-pro:generateContent", &answer);
        let usage = &event["llm"]["usage"];
        assert_eq!((&usage["output_tokens"], &usage["reasoning_tokens"]), (&json!(output), &json!(50)), "{total}");
    }
}

#[test]
fn splitting_frames_at_any_byte_changes_nothing() {
    let mut wrong = Vec::new();
    for case in &cases() {
        for at in cuts(case.body.len(), 200) {
            wrong.extend(differences(case, &run(case, None, frames(&case.body, [at])), &format!("cut at {at}")));
        }
        let bytes = frames(&case.body, std::iter::repeat_n(1, case.body.len()));
        wrong.extend(differences(case, &run(case, None, bytes), "byte by byte"));
        let lines = case.body.split_inclusive(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect();
        wrong.extend(differences(case, &run(case, None, lines), "line by line"));
        wrong.truncate(20);
    }
    assert_none(&wrong);
}

#[test]
fn content_codings_change_nothing() {
    let mut wrong = Vec::new();
    for case in &cases() {
        for coding in ["gzip", "deflate", "br", "zstd", "deflate, identity, gzip", "br, zstd, gzip"] {
            let body = encode(coding, &case.body);
            let how = |frames: &str| format!("{coding} {frames}");
            wrong.extend(differences(case, &run(case, Some(coding), frames(&body, [])), &how("whole")));
            let bytes = frames(&body, std::iter::repeat_n(1, body.len()));
            wrong.extend(differences(case, &run(case, Some(coding), bytes), &how("byte by byte")));
            let most = if coding.contains(',') { 0 } else { 40 };
            for at in cuts(body.len(), most) {
                let event = run(case, Some(coding), frames(&body, [at]));
                wrong.extend(differences(case, &event, &how(&format!("cut at {at}"))));
            }
        }
        wrong.truncate(20);
    }
    assert_none(&wrong);
}

/// Runs the exchange with a client that disconnects after `taken` frames, and returns the event.
fn run_cancelled(case: &Case, frames: Vec<Bytes>, taken: usize) -> Value {
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().usage(UsageTap::new()).sink(recorder.0.clone()).build().unwrap();
    let mut response = Response::builder().status(case.status);
    for (name, value) in &case.headers {
        response = response.header(name, value);
    }
    let frames = frames.into_iter().map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
    let mut response = Some(response.body(StreamBody::new(futures_util::stream::iter(frames))).unwrap());
    let mut service = layer.layer(tower::service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        std::future::ready(Ok::<_, Infallible>(response.take().unwrap()))
    }));
    let response = service.call(case.request.clone()).now_or_never().unwrap().unwrap();
    let mut body = response.into_body();
    for _ in 0..taken {
        body.frame().now_or_never().unwrap();
    }
    drop(body);
    serde_json::to_value(&*recorder.0.single()).unwrap()
}

#[test]
fn an_aborted_stream_emits_one_event_without_zero_counts() {
    for case in cases().iter().filter(|case| case.expect["stream"] == true && case.expect["usage_status"] == "reported")
    {
        let step = (case.body.len() / 40).max(1);
        let pieces = frames(&case.body, std::iter::repeat_n(step, case.body.len() / step));
        let whole = known(&case.expect["usage"]);
        for taken in 0..pieces.len() {
            let event = run_cancelled(case, pieces.clone(), taken);
            let (llm, name) = (&event["llm"], &case.name);
            let usage = known(&llm["usage"]);
            let status = llm["usage_status"].as_str().unwrap_or("none");
            // The rest of the stream may consist of line ends only.
            let may_be_over = taken + 1 >= pieces.len() || status == "reported";
            assert!(may_be_over || event["outcome"] == "cancelled", "{name} after {taken}: {}", event["outcome"]);
            match status {
                // The tap saw no data, so it has not even recognized an LLM call.
                "none" => assert!(usage.is_empty()),
                "absent" => assert_eq!((usage.len(), &llm["cost_usd"]), (0, &Value::Null), "{name} after {taken}"),
                "partial" => {
                    assert!(!usage.is_empty(), "{name} after {taken}");
                    for (unit, count) in &usage {
                        let (count, whole) = (count.as_u64(), whole.get(unit).and_then(Value::as_u64));
                        assert!(count <= whole, "{unit} {count:?} of {whole:?} in {name} after {taken}");
                        let is_total = unit == "input_tokens" || unit == "output_tokens";
                        assert!(
                            count > Some(0) || whole == Some(0) || !is_total,
                            "{unit} is zero in {name} after {taken}"
                        );
                    }
                    assert!(["partial", "unpriced_model"].contains(&llm["cost_status"].as_str().unwrap()), "{llm:#}");
                }
                "reported" => assert_eq!(usage, whole, "{name} after {taken}"),
                other => panic!("unexpected status {other} in {name} after {taken}"),
            }
        }
    }
}

#[test]
fn a_background_response_counts_once() {
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().usage(UsageTap::new()).sink(recorder.0.clone()).build().unwrap();
    let response = |id: &str, status: &str, members: &str| {
        format!(r#"{{"id":"{id}","object":"response","status":"{status}","model":"gpt-4o-2024-08-06"{members}}}"#)
    };
    let usage = r#""usage":{"input_tokens":1000,"output_tokens":200,"total_tokens":1200}"#;
    let done = |id: &str, status: &str| response(id, status, &format!(r#","background":true,{usage}"#));
    let stream = |id: &str| {
        let created = response(id, "queued", r#","background":true,"usage":null"#);
        format!(
            "data: {{\"type\":\"response.created\",\"response\":{created}}}\n\n\
             data: {{\"type\":\"response.completed\",\"response\":{}}}\n\n",
            done(id, "completed")
        )
    };
    let pending = |id: &str, status: &str| response(id, status, r#","background":true,"usage":null"#);
    let partly = response("r1", "in_progress", &format!(r#","background":true,{usage}"#));
    let (json_type, sse) = ("application/json", "text/event-stream");
    for (method, path, media_type, body, expected) in [
        ("POST", "/v1/responses", json_type, pending("r1", "queued"), Some("absent")),
        ("GET", "/v1/responses/r1", json_type, pending("r1", "in_progress"), None),
        ("GET", "/v1/responses/r1", json_type, partly, None),
        ("GET", "/v1/responses/r1", json_type, done("r1", "completed"), Some("reported")),
        ("GET", "/v1/responses/r1", json_type, done("r1", "completed"), None),
        ("GET", "/v1/responses/r1?stream=true", sse, stream("r1"), None),
        // Other paths of the same API.
        ("GET", "/openai/v1/responses/r2/", json_type, done("r2", "incomplete"), Some("reported")),
        ("GET", "/openai/responses/r2?api-version=1", json_type, done("r2", "incomplete"), None),
        ("GET", "/proxy/v1/responses/r3?stream=true", sse, stream("r3"), Some("reported")),
        ("GET", "/responses/r3", json_type, done("r3", "completed"), None),
        ("POST", "/v1/responses/r4/cancel", json_type, done("r4", "cancelled"), Some("reported")),
        ("GET", "/v1/responses/r4", json_type, done("r4", "cancelled"), None),
        // A stream reports the usage to the request that started the call.
        ("POST", "/v1/responses", sse, stream("r5"), Some("reported")),
        ("GET", "/v1/responses/r5", json_type, done("r5", "completed"), None),
        // The request that started this call reported its usage.
        (
            "GET",
            "/v1/responses/r6",
            json_type,
            response("r6", "completed", &format!(r#","background":false,{usage}"#)),
            None,
        ),
        ("GET", "/v1/responses/r6", json_type, response("r6", "completed", &format!(",{usage}")), None),
        // Not a response.
        ("GET", "/v1/responses/r7/input_items", json_type, done("r7", "completed"), None),
        ("DELETE", "/v1/responses/r7", json_type, done("r7", "completed"), None),
    ] {
        let case = Case {
            request: Request::builder().method(method).uri(path).body(Full::default()).unwrap(),
            ..mislabeled(Some(media_type), 200, &body)
        };
        exchange(&layer, &case, None, vec![body.clone().into()]);
        let llm = json_of(&recorder.single())["llm"].take();
        recorder.0.clear();
        assert_eq!(llm["usage_status"].as_str(), expected, "{method} {path}: {body}");
        if expected == Some("reported") {
            assert_eq!((&llm["cost_usd"], &llm["operation"]), (&json!(0.0045), &json!("responses")), "{method} {path}");
        }
    }
}

#[test]
fn a_transcription_in_plain_text_is_not_read() {
    let usage = r#"{"model":"gpt-4o-transcribe","usage":{"type":"tokens","input_tokens":9,"output_tokens":9}}"#;
    let sse = format!("data: {usage}\n\n");
    for path in ["/v1/audio/transcriptions", "/v1/audio/translations", "/openai/deployments/w/audio/transcriptions"] {
        for media_type in ["text/plain", "text/plain; charset=utf-8", "TEXT/plain", "text/vtt", "application/x-subrip"]
        {
            for body in [usage, &sse, "{", "data: x", "Hello", ""] {
                let case = Case {
                    request: Request::post(path).body(Full::default()).unwrap(),
                    ..mislabeled(Some(media_type), 200, body)
                };
                let llm = run(&case, None, vec![body.to_owned().into()])["llm"].take();
                assert_eq!(
                    (&llm["usage_status"], &llm["stream"]),
                    (&json!("absent"), &json!(false)),
                    "{path} {media_type} {body}"
                );
                assert_eq!(
                    (&llm["response_model"], &llm["cost_usd"]),
                    (&Value::Null, &Value::Null),
                    "{media_type} {body}"
                );
            }
        }
        for (media_type, body) in [(Some("application/json"), usage), (Some("text/event-stream"), &sse), (None, usage)]
        {
            let case = Case {
                request: Request::post(path).body(Full::default()).unwrap(),
                ..mislabeled(media_type, 200, body)
            };
            let llm = run(&case, None, vec![body.to_owned().into()])["llm"].take();
            assert_eq!(llm["usage_status"], "reported", "{path} {media_type:?}");
        }
    }
}

#[test]
fn a_stream_whose_end_marker_was_seen_is_completed() {
    let event = |kind: &str, data: &str| format!("event: {kind}\ndata: {data}\n\n");
    let chat = r#"{"model":"gpt-4o","choices":[{"delta":{"content":"Hi"}}]}"#;
    let chat_usage = r#"{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let start = r#"{"type":"message_start","message":{"model":"claude-haiku-4-5","usage":{"input_tokens":3}}}"#;
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
    let response = |kind: &str| {
        let usage = r#"{"input_tokens":3,"output_tokens":2}"#;
        event(kind, &format!(r#"{{"type":"{kind}","response":{{"model":"gpt-5","usage":{usage}}}}}"#))
    };
    let text_delta = event("response.output_text.delta", r#"{"type":"response.output_text.delta","delta":"Hi"}"#);
    let gemini = |end: &str| {
        let usage = r#""usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}"#;
        format!("data: {{\"candidates\":[{{\"content\":{{}}{end}}}],{usage},\"modelVersion\":\"gemini-2.5-pro\"}}\n\n")
    };
    let (sse, lines) = ("text/event-stream", "application/x-ndjson");
    let chat_path = "/v1/chat/completions";
    let messages = vec![event("message_start", start), event("message_delta", delta)];
    let ollama = r#"{"model":"llama3","message":{"content":"Hi"},"done":false}"#.to_owned() + "\n";
    let ollama_end = r#"{"model":"llama3","done":true,"prompt_eval_count":3,"eval_count":2}"#.to_owned() + "\n";
    let cohere_end = r#"{"type":"message-end","delta":{"usage":{"tokens":{"input_tokens":3,"output_tokens":2}}}}"#;
    // The stream before its end marker, and the end marker.
    for (path, media_type, before, marker) in [
        (
            chat_path,
            sse,
            vec![format!("data: {chat}\n\n"), format!("data: {chat_usage}\n\n")],
            "data: [DONE]\n\n".to_owned(),
        ),
        (chat_path, sse, vec![format!("data: {chat}\n\n")], "data: [DONE]\n\n".into()),
        (chat_path, sse, vec![format!("data: {chat}\r\n\r\n")], "data:[DONE]\r\n".into()),
        (chat_path, sse, vec![format!("data: {chat}\n\n")], "data: [DONE]".into()),
        ("/v1/messages", sse, messages.clone(), event("message_stop", r#"{"type":"message_stop"}"#)),
        ("/v1/messages", sse, messages, "data: {\"type\":\"message_stop\"}".into()),
        ("/v1/responses", sse, vec![text_delta.clone()], response("response.completed")),
        ("/v1/responses", sse, vec![text_delta.clone()], response("response.incomplete")),
        ("/v1/responses", sse, vec![text_delta], response("response.failed")),
        (
            "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
            sse,
            vec![gemini("")],
            gemini(r#","finishReason":"STOP""#),
        ),
        ("/api/chat", lines, vec![ollama], ollama_end),
        (
            "/v2/chat",
            sse,
            vec![event("content-delta", r#"{"type":"content-delta"}"#)],
            event("message-end", cohere_end),
        ),
    ] {
        let case = Case {
            request: Request::post(path).body(Full::default()).unwrap(),
            ..mislabeled(Some(media_type), 200, "")
        };
        let frames: Vec<Bytes> = before.into_iter().chain([marker.clone(), "\n".into()]).map(Bytes::from).collect();
        let marker_at = frames.len() - 1;
        for taken in 1..=marker_at {
            let event = run_cancelled(&case, frames.clone(), taken);
            let expected = if taken == marker_at { "completed" } else { "cancelled" };
            assert_eq!(event["outcome"], expected, "{path} {marker:?} after {taken} frames: {event:#}");
        }
    }
}

// Prices.

fn usd(text: &str) -> Money {
    text.parse().unwrap()
}

/// Returns the event of a call with this response.
fn answered(path: &str, answer: &Value) -> Value {
    let body = answer.to_string().into_bytes();
    let case = Case {
        name: path.to_owned(),
        request: Request::post(path).body(Full::default()).unwrap(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.clone(),
        expect: Value::Null,
        trusts_request: false,
    };
    run(&case, None, vec![body.into()])
}

#[test]
fn the_bundled_catalog_has_the_prices_of_the_providers() {
    let openai = answered(
        "/v1/chat/completions",
        &json!({"model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 2006, "completion_tokens": 300,
            "total_tokens": 2306, "prompt_tokens_details": {"cached_tokens": 1920}}}),
    );
    let anthropic = answered(
        "/v1/messages",
        &json!({"model": "claude-sonnet-4-5", "usage": {"input_tokens": 504, "output_tokens": 97,
            "cache_creation_input_tokens": 3000, "cache_read_input_tokens": 10000,
            "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}}}),
    );
    let gemini = answered(
        "/v1beta/models/gemini-2.5-pro:generateContent",
        &json!({"modelVersion": "gemini-2.5-pro", "usageMetadata": {"promptTokenCount": 250_000,
            "cachedContentTokenCount": 100_000, "candidatesTokenCount": 1000, "thoughtsTokenCount": 500}}),
    );
    let embedding = answered(
        "/v1/embeddings",
        &json!({"model": "text-embedding-3-small", "usage": {"prompt_tokens": 8, "total_tokens": 8}}),
    );
    for (event, cost) in [(openai, 0.005_615), (anthropic, 0.021_717), (gemini, 0.4225), (embedding, 0.000_000_16)] {
        let llm = &event["llm"];
        assert_eq!(llm["cost_usd"].as_f64(), Some(cost), "{llm:#}");
        assert_eq!(llm["cost_status"], "priced");
        assert_eq!(llm["price_source"], "genai-prices 0.2");
    }
}

#[test]
fn calls_without_a_price_have_no_cost_and_are_counted() {
    let recorder = Recorder::new();
    let tap = UsageTap::new();
    let layer = TaggingLayer::builder().usage(tap.clone()).sink(recorder.0.clone()).build().unwrap();
    let mut service = layer.layer(tower::service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        let body = r#"{"model":"unknown-model","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        Ok::<_, Infallible>(
            Response::builder().header("content-type", "application/json").body(Full::<Bytes>::from(body)).unwrap(),
        )
    }));
    let request = Request::post("/v1/chat/completions").body(Full::<Bytes>::default()).unwrap();
    let response = service.call(request).now_or_never().unwrap().unwrap();
    response.into_body().collect().now_or_never().unwrap().unwrap();
    let event = recorder.single();
    let llm = event.llm().unwrap();
    assert_eq!((llm.cost(), llm.cost_status()), (None, CostStatus::UnpricedModel));
    assert_eq!(llm.usage().unwrap().output_tokens(), Some(2));
    assert_eq!(tap.unpriced_total(), 1);
}

#[test]
fn a_client_cannot_make_its_calls_free_by_naming_a_provider() {
    let body = r#"{"model":"gpt-4o-2024-08-06","usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;
    for (header, value) in [
        ("x-portkey-provider", "ollama"),
        ("x-portkey-provider", "github-copilot"),
        ("x-majordomo-provider", "azure"),
        ("host", "api.githubcopilot.com"),
        ("host", "openrouter.ai"),
        ("host", "api.groq.com"),
    ] {
        let case = Case {
            name: "spoofed".to_owned(),
            request: Request::post("/v1/chat/completions").header(header, value).body(Full::default()).unwrap(),
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
            expect: Value::Null,
            trusts_request: false,
        };
        let llm = &run(&case, None, vec![body.into()])["llm"];
        assert_eq!((&llm["provider"], llm["cost_usd"].as_f64()), (&json!("openai"), Some(0.0035)), "{header}: {value}");
    }
}

#[test]
fn price_books_can_be_layered_and_swapped() {
    let usage = Usage::tokens(1_000_000, 1_000_000).with(Unit::CacheReadTokens, 400_000);
    let query = |provider, model| PriceQuery::new(Some(provider), model, &usage);
    let rates = Rates::per_million(usd("2"), usd("8")).cache(usd("0.5"), usd("2.5"));
    let overlay = OverlayPrices::over(CatalogPrices::bundled()).with("OpenAI", "GPT-4o", rates);
    let price = overlay.price(&query("openai", "gpt-4o")).unwrap();
    assert_eq!((price.input, price.output, price.total), (Some(usd("1.4")), Some(usd("8")), usd("9.4")));
    assert_eq!(&*price.source, "custom");
    for alias in ["gpt-4o-2024-08-06", "gpt-4o-20240806", "gpt-4o@20240806"] {
        assert_eq!(overlay.price(&query("openai", alias)).unwrap().total, usd("9.4"), "{alias}");
    }
    let base = overlay.price(&query("openai", "gpt-4o-mini")).unwrap();
    assert_eq!(&*base.source, "genai-prices 0.2");

    let swap = SwapPrices::new(price_fn(|_| None));
    let shared = swap.clone();
    assert_eq!(shared.price(&query("openai", "gpt-4o")), None);
    swap.swap(price_fn(|query| Some(Cost::custom(Money::from_nano_usd(query.usage.input_tokens()?)))));
    assert_eq!(shared.price(&query("openai", "gpt-4o")).unwrap().total, Money::from_nano_usd(1_000_000));

    assert!(CatalogPrices::from_json(b"[]", "empty").is_ok());
    assert!(CatalogPrices::from_json(b"not JSON", "broken").is_err());
}

// Usage and costs that handlers record.

/// Returns the event of a request with this handler.
fn recorded(path: &str, record: impl Fn(&Tags) + Clone) -> Value {
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().usage(UsageTap::new()).sink(recorder.0.clone()).build().unwrap();
    let mut service = layer.layer(tower::service_fn(move |request: Request<_>| {
        record(request.extensions().get::<Tags>().unwrap());
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    }));
    let request = Request::post(path).body(Full::<Bytes>::default()).unwrap();
    service.call(request).now_or_never().unwrap().unwrap();
    json_of(&recorder.single())
}

#[test]
fn recorded_calls_are_added_up() {
    let event = recorded("/answer", |tags| {
        tags.record_usage(Usage::tokens(1_000, 100).with(Unit::CacheReadTokens, 10).of("openai", "gpt-4o"));
        tags.record_usage(Usage::tokens(2_000, 200).of("anthropic", "claude-sonnet-4-5"));
    });
    let llm = &event["llm"];
    assert_eq!((&llm["usage_status"], &llm["cost_status"]), (&json!("recorded"), &json!("priced")));
    assert_eq!(
        known(&llm["usage"]),
        *json!({"input_tokens": 3000, "output_tokens": 300, "cache_read_tokens": 10}).as_object().unwrap()
    );
    // In dollars per million: 990 x 2.5 + 10 x 1.25 + 100 x 10, and 2000 x 3 + 200 x 15.
    assert_eq!(llm["cost_usd"].as_f64(), Some(0.012_487_5));
}

#[test]
fn costs_of_any_unit_are_recorded() {
    let event = recorded("/rows", |tags| {
        tags.record_cost(ExtraCost::new(usd("0.25")).of("rows", 1_200.0));
        tags.record_cost(ExtraCost::new(usd("0.5")).of("rows", 300.0));
        tags.record_cost(ExtraCost::new(usd("0.000000001")));
        // NaN counts as zero, and sums saturate at the largest finite number.
        tags.record_cost(ExtraCost::new(usd("0")).of("rows", f64::NAN));
        tags.record_cost(ExtraCost::new(usd("0")).of("seconds", f64::MAX));
        tags.record_cost(ExtraCost::new(usd("0")).of("seconds", f64::MAX));
    });
    let llm = &event["llm"];
    assert_eq!(llm["cost_usd"].as_f64(), Some(0.750_000_001));
    assert_eq!(llm["quantities"], json!({"rows": 1500.0, "seconds": f64::MAX}));
    assert_eq!(
        (&llm["usage"], &llm["usage_status"], &llm["provider"]),
        (&Value::Null, &json!("recorded"), &Value::Null)
    );
    assert_eq!((&llm["cost_status"], &llm["price_source"]), (&json!("priced"), &json!("custom")));
}

#[test]
fn usage_without_a_model_has_only_a_recorded_cost() {
    let unpriced = recorded("/a", |tags| tags.record_usage(Usage::tokens(1, 2)));
    assert_eq!(
        (&unpriced["llm"]["cost_usd"], &unpriced["llm"]["cost_status"]),
        (&Value::Null, &json!("unpriced_model"))
    );
    let priced = recorded("/a", |tags| {
        tags.record_usage(Usage::tokens(1, 2));
        tags.record_cost(ExtraCost::new(usd("0.1")));
    });
    assert_eq!((priced["llm"]["cost_usd"].as_f64(), &priced["llm"]["cost_status"]), (Some(0.1), &json!("priced")));
    let partial = recorded("/a", |tags| {
        tags.record_usage(Usage::tokens(1_000, 0).of("openai", "gpt-4o"));
        tags.record_usage(Usage::tokens(1, 2).of("openai", "unknown-model"));
    });
    assert_eq!(
        (partial["llm"]["cost_usd"].as_f64(), &partial["llm"]["cost_status"]),
        (Some(0.0025), &json!("partial"))
    );
}

#[test]
fn recording_after_the_response_logs_a_warning() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let kept = Arc::new(Mutex::new(Tags::new()));
    tracing::subscriber::with_default(subscriber, || {
        let keep = Arc::clone(&kept);
        recorded("/a", move |tags| {
            tags.record_usage(Usage::tokens(1, 2));
            *keep.lock().unwrap() = tags.clone();
        });
        assert_eq!(log.take(), "");
        let tags = kept.lock().unwrap();
        tags.record_usage(Usage::tokens(1, 2));
        tags.record_cost(ExtraCost::new(usd("0.1")));
    });
    let text = log.take();
    for kind in ["usage", "cost"] {
        let warning = "WARN tower_tagging::tags: ignored: recorded after the response had ended";
        assert_eq!(text.matches(&format!("{warning} kind=\"{kind}\"")).count(), 1, "{text}");
    }
}

/// Anthropic's SDKs report input tokens without cached tokens, which is easily recorded by mistake.
#[test]
fn inconsistent_recorded_counts_are_reported() {
    let event = recorded("/a", |tags| {
        tags.record_usage(Usage::tokens(10, 10).with(Unit::CacheReadTokens, 900).of("openai", "gpt-4o"));
    });
    let note =
        json!({"code": "usage_inconsistent", "key": null, "detail": "cache_read_tokens 900 over input_tokens 10"});
    assert_eq!(event["diagnostics"], json!([note]));
    assert_eq!(event["llm"]["usage"]["cache_read_tokens"], 900);
}

#[test]
fn clamps_the_cost_of_a_call_and_notes_the_original_amount() {
    let event = recorded("/a", |tags| tags.record_cost(ExtraCost::new(usd("2000000.5"))));
    assert_eq!(event["llm"]["cost_usd"].as_f64(), Some(1_000_000.0));
    let detail = "2000000.5 US dollars exceed the limit of 1000000 for one call";
    assert_eq!(event["diagnostics"], json!([{"code": "cost_clamped", "key": null, "detail": detail}]));
}

/// Stores keep at most 10¹² of a unit, so that sums do not overflow. The event reports it once, with the real count.
#[test]
fn notes_counts_that_stores_clamp() {
    let usage =
        |output: u64| recorded("/a", move |tags| tags.record_usage(Usage::tokens(1, output).of("openai", "in-house")));
    let event = usage(5_000_000_000_000);
    assert_eq!(event["llm"]["usage"]["output_tokens"], 5_000_000_000_000_u64);
    let detail = "output_tokens is 5000000000000: stores keep at most 1000000000000";
    assert_eq!(event["diagnostics"], json!([{"code": "usage_clamped", "key": null, "detail": detail}]));
    let read: Event = serde_json::from_value(event.clone()).unwrap();
    assert_eq!(json_of(&read), event, "reading the event again adds nothing");
    let row = tower_tagging::store::EventRow::from(&read);
    assert_eq!((row.output_tokens, row.diagnostics), (Some(1_000_000_000_000), event["diagnostics"].clone()));
    assert_eq!(usage(1_000_000_000_000)["diagnostics"], json!([]));
}

#[test]
fn a_recorded_cost_is_added_to_reported_usage() {
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().usage(UsageTap::new()).sink(recorder.0.clone()).build().unwrap();
    let mut service = layer.layer(tower::service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
        request.extensions().get::<Tags>().unwrap().record_cost(ExtraCost::new(usd("0.5")).of("rows", 7.0));
        let body = r#"{"model":"gpt-4o","usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(body)).unwrap())
    }));
    let request = Request::post("/v1/chat/completions").body(Full::<Bytes>::default()).unwrap();
    service.call(request).now_or_never().unwrap().unwrap().into_body().collect().now_or_never().unwrap().unwrap();
    let llm = &json_of(&recorder.single())["llm"];
    assert_eq!((&llm["usage_status"], &llm["usage"]["input_tokens"]), (&json!("reported"), &json!(1000)));
    assert_eq!((llm["cost_usd"].as_f64(), &llm["cost_status"]), (Some(0.5035), &json!("priced")));
    assert_eq!(
        (&llm["quantities"], &llm["price_source"]),
        (&json!({"rows": 7.0}), &json!("genai-prices 0.2 and custom"))
    );
}

/// A price book can price calls by a trusted tag, for both reported and recorded usage.
#[test]
fn a_price_book_can_depend_on_trusted_tags() {
    let catalog = CatalogPrices::bundled();
    let prices = price_fn(move |query| match query.metadata.and_then(|tags| tags.get("plan")) {
        Some("own_key") => Some(Cost::custom(Money::default())),
        _ => catalog.price(query),
    });
    let prices = Arc::new(prices);
    for (plan, records, cost) in
        [("own_key", false, 0.0), ("own_key", true, 0.0), ("standard", false, 0.0035), ("standard", true, 0.0035)]
    {
        let recorder = Recorder::new();
        let metadata =
            MetadataLayer::builder().sources(TagSources::portkey()).scope(Scope::Workspace, tags! { "plan" => plan });
        let tap = UsageTap::new().prices(prices.clone());
        let layer = TaggingLayer::builder().metadata(metadata).usage(tap).sink(recorder.0.clone()).build().unwrap();
        let mut service = layer.layer(tower::service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
            if records {
                request
                    .extensions()
                    .get::<Tags>()
                    .unwrap()
                    .record_usage(Usage::tokens(1000, 100).of("openai", "gpt-4o"));
            }
            let answer = json!({"model": "gpt-4o", "usage": {"prompt_tokens": 1000, "completion_tokens": 100}});
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer.to_string())))))
        }));
        let request = Request::post("/v1/chat/completions").header("x-portkey-metadata", r#"{"plan":"own_key"}"#);
        let response = service.call(request.body(Full::<Bytes>::default()).unwrap()).now_or_never().unwrap().unwrap();
        response.into_body().collect().now_or_never().unwrap().unwrap();
        let llm = &json_of(&recorder.single())["llm"];
        assert_eq!((llm["cost_usd"].as_f64(), &llm["cost_status"]), (Some(cost), &json!("priced")), "{plan} {records}");
    }
}

#[test]
fn a_price_book_that_panics_does_not_lose_the_event() {
    std::panic::set_hook(Box::new(|_| ()));
    let recorder = Recorder::new();
    let tap = UsageTap::new().prices(price_fn(|_| panic!("on purpose")));
    let events = EventLayer::new(recorder.0.clone()).receipts();
    let layer = TaggingLayer::builder().usage(tap).events(events).build().unwrap();
    let mut service = layer.layer(tower::service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        let chunk =
            "data: {\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
        let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from(chunk)))];
        // This stream panics if it is polled after its end.
        let body = StreamBody::new(futures_util::stream::unfold(frames.into_iter(), async |mut frames| {
            Some((frames.next()?, frames))
        }));
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, Infallible>(response.body(Box::pin(body)).unwrap())
    }));
    let request = Request::post("/v1/chat/completions").body(Full::<Bytes>::default()).unwrap();
    let response = service.call(request).now_or_never().unwrap().unwrap();
    let body = response.into_body().collect().now_or_never().unwrap().unwrap();
    assert_eq!(body.trailers().unwrap()["x-tagging-usage-status"], "reported");
    let llm = &json_of(&recorder.single())["llm"];
    assert_eq!((&llm["cost_status"], &llm["usage"]["output_tokens"]), (&json!("unpriced_model"), &json!(2)));
}

#[test]
fn reads_captures_the_same_at_any_split() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut streams = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let capture: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        for exchange in capture["requests"].as_array().unwrap() {
            let response = &exchange["response_sent"];
            let chunks = response["sse_chunks"].as_array();
            let body = match chunks {
                Some(chunks) => chunks.iter().map(|chunk| chunk.as_str().unwrap()).collect::<String>(),
                None => response["body"].as_str().unwrap().to_owned(),
            };
            streams += usize::from(chunks.is_some());
            let case = Case {
                name: capture["scenario"].as_str().unwrap().to_owned(),
                request: Request::post(exchange["target"].as_str().unwrap())
                    .header("content-type", "application/json")
                    .body(Full::from(exchange["body_text"].as_str().unwrap().to_owned()))
                    .unwrap(),
                status: 200,
                headers: vec![("content-type".to_owned(), headers(response)[0].1.clone())],
                body: body.into_bytes(),
                expect: Value::Null,
                trusts_request: false,
            };
            let whole = timeless_llm(&run(&case, None, frames(&case.body, [])));
            for at in cuts(case.body.len(), 200) {
                assert_eq!(
                    timeless_llm(&run(&case, None, frames(&case.body, [at]))),
                    whole,
                    "{} cut at {at}",
                    case.name
                );
            }
            for coding in ["gzip", "br", "zstd"] {
                let body = encode(coding, &case.body);
                for at in cuts(body.len(), 40) {
                    let event = run(&case, Some(coding), frames(&body, [at]));
                    assert_eq!(timeless_llm(&event), whole, "{} {coding} cut at {at}", case.name);
                }
            }
        }
    }
    assert!(streams >= 5);
}

#[test]
fn other_requests_are_not_llm_calls() {
    for path in ["/users", "/responses", "/api/chat", "/v1/responses/42"] {
        assert!(recorded(path, |_| ()).get("llm").is_none(), "{path}");
    }
}

#[test]
fn attempts_are_priced_separately() {
    let answer = |usage: Value| answered("/v1/messages", &json!({"model": "claude-sonnet-4-5", "usage": usage}));
    let attempt =
        |kind: &str, model: &str| json!({"type": kind, "model": model, "input_tokens": 100, "output_tokens": 10});
    let own = attempt("message", "claude-sonnet-4-5");

    // Searches are only counted for the whole call, and cost 10 dollars per thousand.
    let event = answer(json!({"input_tokens": 200, "output_tokens": 20, "server_tool_use": {"web_search_requests": 3},
        "iterations": [own, own]}));
    let llm = &event["llm"];
    assert_eq!((llm["cost_usd"].as_f64(), &llm["cost_status"]), (Some(0.030_9), &json!("priced")), "{llm:#}");
    assert_eq!(
        known(&llm["usage"]),
        *json!({"input_tokens": 200, "output_tokens": 20, "web_searches": 3}).as_object().unwrap()
    );

    // An advisor model without a price.
    let event = answer(json!({"input_tokens": 100, "output_tokens": 10,
        "iterations": [attempt("advisor_message", "unknown-model"), own]}));
    let llm = &event["llm"];
    assert_eq!((llm["cost_usd"].as_f64(), &llm["cost_status"]), (Some(0.000_45), &json!("partial")), "{llm:#}");
    assert_eq!(known(&llm["usage"]), *json!({"input_tokens": 200, "output_tokens": 20}).as_object().unwrap());

    // Attempts over the limit are added to another attempt with the same model. They are neither lost nor mispriced.
    let event = answer(json!({"input_tokens": 6500, "output_tokens": 650, "iterations": vec![own; 65]}));
    assert_eq!((event["llm"]["cost_usd"].as_f64(), &event["llm"]["cost_status"]), (Some(0.029_25), &json!("partial")));
    assert_eq!(details(&event), ["more than 64 iterations"]);
}

fn details(event: &Value) -> Vec<&str> {
    event["diagnostics"].as_array().unwrap().iter().map(|note| note["detail"].as_str().unwrap()).collect()
}

#[test]
fn attempts_add_up_to_the_whole() {
    let message = |input: u64, output: u64| json!({"type": "message", "input_tokens": input, "output_tokens": output});
    let of_model = |model: &str, entry: Value| {
        let mut entry = entry;
        entry["model"] = json!(model);
        entry
    };
    let (opus, haiku) = ("claude-opus-4-5", "claude-haiku-4-5");
    let advice = json!({"type": "advisor_message", "model": opus, "input_tokens": 500, "output_tokens": 1});
    let summary = json!({"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500});
    let cached = json!({"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 90_000,
        "cache_creation_input_tokens": 10_000, "cache_creation": {"ephemeral_1h_input_tokens": 10_000}});
    let with = |usage: &Value, entries: Value| {
        let mut usage = usage.clone();
        usage["iterations"] = entries;
        usage
    };
    let mut without_lifetime = cached.clone();
    (without_lifetime["type"], without_lifetime["cache_creation"]) = (json!("message"), Value::Null);
    let whole = |input: u64, output: u64| json!({"input_tokens": input, "output_tokens": output});
    let with_first = |input: Value| {
        with(
            &whole(1000, 10),
            json!([{"type": "compaction", "input_tokens": input, "output_tokens": 1}, message(1000, 10)]),
        )
    };
    let less = "iterations add up to less than the whole";
    // The last columns are input, output, cost, and the diagnostic if the result may be incomplete.
    for (name, stop_reason, usage, input, output, cost, note) in [
        // In dollars per million: 100 x 3 + 90,000 x 0.3 + 10,000 x 6 + 10 x 15, wherever the cache is reported.
        ("whole", "end_turn", cached.clone(), 100_100, 10, 0.087_45, None),
        ("no lifetime", "end_turn", with(&cached, json!([without_lifetime])), 100_100, 10, 0.087_45, None),
        ("no cache", "end_turn", with(&cached, json!([message(100, 10)])), 100_100, 10, 0.087_45, None),
        // 1000 x 3 + 1000 x 15, and 500 x 5 + 25 for the advice.
        ("advice alone", "end_turn", with(&whole(1000, 1000), json!([advice])), 1500, 1001, 0.020_525, Some(less)),
        ("empty attempt", "end_turn", with(&whole(1000, 1000), json!([message(0, 0)])), 1000, 1000, 0.018, Some(less)),
        (
            "earlier attempt",
            "end_turn",
            with(&whole(100, 500), json!([message(100, 10)])),
            100,
            500,
            0.007_8,
            Some(less),
        ),
        ("a text", "end_turn", with_first(json!("many")), 1000, 10, 0.003_15, Some("iterations.0 cannot be read")),
        ("digits", "end_turn", with_first(json!("180000")), 181_000, 11, 0.543_165, None),
        ("no attempts", "end_turn", with(&whole(1000, 10), json!([])), 1000, 10, 0.003_15, None),
        ("no output requested", "max_tokens", with(&whole(1000, 0), json!([message(1000, 0)])), 1000, 0, 0.003, None),
        // Every model declined. Output before the refusal is billed: 412 x 1 + 30 x 5, and 535 x 5 + 50 x 25.
        (
            "declined, the last after some output",
            "refusal",
            with(&whole(412, 30), json!([of_model(opus, message(100_535, 0)), of_model(haiku, message(412, 30))])),
            412,
            30,
            0.000_562,
            None,
        ),
        (
            "declined, the first after some output",
            "refusal",
            with(&whole(100_412, 0), json!([of_model(opus, message(535, 50)), of_model(haiku, message(100_412, 0))])),
            535,
            50,
            0.003_925,
            None,
        ),
        (
            "declined after compaction",
            "refusal",
            with(&whole(200_000, 0), json!([summary, message(200_000, 0)])),
            180_000,
            3500,
            0.592_5,
            None,
        ),
        ("declined without output", "refusal", with(&whole(412, 0), json!([message(412, 0)])), 412, 0, 0.0, None),
    ] {
        let event = answered(
            "/v1/messages",
            &json!({"model": "claude-sonnet-4-5", "stop_reason": stop_reason, "usage": usage}),
        );
        let llm = &event["llm"];
        assert_eq!(
            (llm["usage"]["input_tokens"].as_u64(), llm["usage"]["output_tokens"].as_u64(), llm["cost_usd"].as_f64()),
            (Some(input), Some(output), Some(cost)),
            "{name}: {llm:#}"
        );
        assert_eq!(details(&event), note.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(llm["cost_status"], if note.is_none() { "priced" } else { "partial" }, "{name}");
    }
}

#[test]
fn a_cost_reported_by_the_provider_takes_precedence() {
    let charged = |provider: &'static str, usage: Value| {
        let answer = json!({"model": "gpt-4o", "stop_reason": "refusal", "usage": usage}).to_string();
        let recorder = Recorder::new();
        let tap = UsageTap::new().endpoint(move |_| Some(LlmEndpoint::new(provider, Operation::Chat)));
        let layer = TaggingLayer::builder().usage(tap).sink(recorder.0.clone()).build().unwrap();
        let mut service = layer.layer(tower::service_fn(move |_: Request<_>| {
            let response = Response::builder().header("content-type", "application/json");
            std::future::ready(Ok::<_, Infallible>(response.body(Full::<Bytes>::from(answer.clone())).unwrap()))
        }));
        let request = Request::post("/v1/chat/completions").body(Full::<Bytes>::default()).unwrap();
        service.call(request).now_or_never().unwrap().unwrap().into_body().collect().now_or_never().unwrap().unwrap();
        let llm = json_of(&recorder.single())["llm"].clone();
        (llm["cost_usd"].as_f64(), llm["price_source"].as_str().map(str::to_owned))
    };
    let counts = json!({"prompt_tokens": 1000, "completion_tokens": 0});
    let with = |name: &str, value: Value| {
        let mut usage = counts.clone();
        usage[name] = value;
        usage
    };
    let reported = |cost: f64| (Some(cost), Some("provider".to_owned()));
    let by_catalog = (Some(0.002_5), Some("genai-prices 0.2".to_owned()));
    assert_eq!(charged("openrouter", with("cost", json!(0.01))), reported(0.01));
    assert_eq!(charged("x-ai", with("cost_in_usd_ticks", json!(15_494))), reported(0.000_001_549));
    assert_eq!(charged("perplexity", with("cost", json!({"currency": "USD", "total_cost": 0.5}))), reported(0.5));
    // A cost without token counts is used too.
    assert_eq!(charged("perplexity", json!({"cost": {"total_cost": 0.5}})), reported(0.5));
    // Costs in another currency, and cost members of other providers, are ignored. Only Anthropic waives refusals.
    assert_eq!(charged("perplexity", with("cost", json!({"currency": "EUR", "total_cost": 0.5}))).1, None);
    assert_eq!(charged("openai", with("cost", json!({"currency": "USD", "total_cost": 0.5}))), by_catalog);
    assert_eq!(charged("openai", with("cost_in_usd_ticks", json!(1))), by_catalog);
    assert_eq!(charged("openai", counts.clone()), by_catalog);
}

#[test]
fn inconsistent_counts_are_reported_and_clamped_for_pricing() {
    let event = answered(
        "/v1/chat/completions",
        &json!({"model": "gpt-4o", "usage": {"prompt_tokens": 10, "completion_tokens": -5, "total_tokens": 5,
            "prompt_tokens_details": {"text_tokens": 40}}}),
    );
    let llm = &event["llm"];
    assert_eq!(known(&llm["usage"]), *json!({"input_tokens": 10, "input_text_tokens": 40}).as_object().unwrap());
    // The output has no valid count to price.
    assert_eq!((llm["cost_usd"].as_f64(), &llm["cost_status"]), (Some(0.000_025), &json!("partial")));
    let notes: Vec<_> =
        event["diagnostics"].as_array().unwrap().iter().map(|note| note["detail"].as_str().unwrap()).collect();
    assert_eq!(notes, ["completion_tokens is -5", "input_text_tokens 40 over input_tokens 10"]);
    assert!(event["diagnostics"].as_array().unwrap().iter().all(|note| note["code"] == "usage_inconsistent"));
}

#[test]
fn a_custom_route_can_be_an_llm_endpoint() {
    let recorder = Recorder::new();
    let tap = UsageTap::new().endpoint(|head| {
        (head.uri.path() == "/ask")
            .then(|| LlmEndpoint::new("mistral", Operation::Other("ask".into())).model("mistral-small-latest"))
    });
    let layer = TaggingLayer::builder().usage(tap).sink(recorder.0.clone()).build().unwrap();
    let mut service = layer.layer(tower::service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        let body = r#"{"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        Ok::<_, Infallible>(
            Response::builder().header("content-type", "application/json").body(Full::<Bytes>::from(body)).unwrap(),
        )
    }));
    let response =
        service.call(Request::get("/ask").body(Full::<Bytes>::default()).unwrap()).now_or_never().unwrap().unwrap();
    response.into_body().collect().now_or_never().unwrap().unwrap();
    let llm = &json_of(&recorder.single())["llm"];
    assert_eq!((&llm["provider"], &llm["operation"]), (&json!("mistral"), &json!("ask")));
    assert_eq!((&llm["request_model"], &llm["cost_status"]), (&json!("mistral-small-latest"), &json!("priced")));
}

/// Returns the event of a stream that takes one second per chunk.
fn paced(path: &str, content_type: &'static str, chunks: Vec<String>) -> Arc<Event> {
    let clock = ManualClock::new();
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder()
        .usage(UsageTap::new())
        .events(EventLayer::new(recorder.0.clone()).clock(clock.clone()))
        .build()
        .unwrap();
    let mut service = layer.layer(tower::service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        let clock = clock.clone();
        let frames = chunks.clone().into_iter().map(move |chunk| {
            clock.advance(Duration::from_secs(1));
            Ok::<_, Infallible>(Frame::data(Bytes::from(chunk)))
        });
        let body = StreamBody::new(futures_util::stream::iter(frames));
        std::future::ready(Ok::<_, Infallible>(
            Response::builder().header("content-type", content_type).body(body).unwrap(),
        ))
    }));
    let request = Request::post(path).body(Full::<Bytes>::default()).unwrap();
    let response = service.call(request).now_or_never().unwrap().unwrap();
    response.into_body().collect().now_or_never().unwrap().unwrap();
    recorder.single()
}

#[test]
fn the_first_token_is_the_first_chunk_with_content() {
    let chunk = |content: &str| {
        format!("data: {{\"model\":\"gpt-4o\",\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n")
    };
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":30}}\n\ndata: [DONE]\n\n";
    let chunks = vec![chunk(""), chunk("Hello"), chunk(" you"), usage.to_owned()];
    let event = paced("/v1/chat/completions", "text/event-stream", chunks);
    let llm = event.llm().unwrap();
    assert_eq!(event.time_to_first_byte(), Some(Duration::from_secs(1)));
    assert_eq!(llm.time_to_first_token(), Some(Duration::from_secs(2)));
    assert_eq!(llm.output_tokens_per_second(), Some(15.0));
}

#[test]
fn finds_the_first_token_in_every_format() {
    let (sse, lines) = ("text/event-stream", "application/x-ndjson");
    let gemini = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";
    for (path, content_type, chunks, second) in [
        // Echoed instructions are not content.
        (
            "/v1/responses",
            sse,
            vec![
                r#"data: {"type":"response.created","response":{"instructions":[{"content":[{"type":"input_text","text":"Be nice"}]}]}}"#,
                "\n\n",
                r#"data: {"type":"response.output_text.delta","delta":"Hi"}"#,
                "\n\n",
            ],
            4,
        ),
        (
            gemini,
            sse,
            vec![
                "data: {\"candidates\":[]}\n\n",
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\"}}]}}]}\n\n",
            ],
            2,
        ),
        // Documents may be split anywhere.
        (
            gemini,
            "application/json",
            vec!["[{\"candidates\":[{\"content\":{\"parts\":[{\"te", "xt\"", ":\"", "Hi\"}]}}]}", "]"],
            4,
        ),
        (
            "/api/chat",
            lines,
            vec!["{\"model\":\"m\",\"message\":{\"content\":\"\"}}\n", "{\"message\":{\"cont", "ent\":\"Hi\"}}\n"],
            3,
        ),
        ("/v1/images/generations", sse, vec!["data: {\"type\":\"x\"}\n\n", "data: {\"b64_json\":\"aGk=\"}\n\n"], 2),
    ] {
        let event = paced(path, content_type, chunks.into_iter().map(str::to_owned).collect());
        let time = event.llm().and_then(LlmCall::time_to_first_token);
        assert_eq!(time, Some(Duration::from_secs(second)), "{path} {content_type}");
    }
}

/// Returns the LLM call on the event of a JSON exchange, for a server that does not trust its clients.
fn answered_to(host: &str, path: &str, answer: &Value, tap: UsageTap) -> Value {
    let body = answer.to_string();
    let case = Case {
        name: format!("{host}{path}"),
        request: Request::post(path).header("host", host).body(Full::default()).unwrap(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.clone().into(),
        expect: Value::Null,
        trusts_request: false,
    };
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().usage(tap).sink(recorder.0.clone()).build().unwrap();
    exchange(&layer, &case, None, vec![body.into()]);
    serde_json::to_value(&*recorder.0.single()).unwrap()["llm"].clone()
}

/// Other providers serve Anthropic's API under the same path.
#[test]
fn the_model_decides_the_provider_of_messages() {
    for (model, provider) in [
        ("claude-sonnet-4-20250514", "anthropic"),
        ("deepseek-chat", "deepseek"),
        ("kimi-k2-0905-preview", "moonshotai"),
        ("unknown-model", "anthropic"),
    ] {
        let answer = json!({"id":"m","type":"message","model":model,"usage":{"input_tokens":1000,"output_tokens":100}});
        let llm = answered_to("localhost", "/v1/messages", &answer, UsageTap::new());
        assert_eq!(llm["provider"], provider, "{model}: {llm}");
    }
}

/// A gateway with one upstream knows the provider of every response.
#[test]
fn the_upstream_decides_the_provider() {
    let answer = json!({"model":"gpt-oss-120b","usage":{"prompt_tokens":1000,"completion_tokens":100}});
    for (upstream, provider) in [
        ("https://api.cerebras.ai", "cerebras"),
        ("https://openrouter.ai/api", "openrouter"),
        ("https://api.groq.com/openai/", "groq"),
        ("http://localhost:8000", "openai"),
    ] {
        let tap = UsageTap::new().upstream(upstream.parse().unwrap());
        let llm = answered_to("api.deepseek.com", "/v1/chat/completions", &answer, tap);
        assert_eq!(llm["provider"], provider, "{upstream}: {llm}");
    }
}

/// Some servers send raw deflate data, although RFC 9110 requires the zlib format.
#[test]
fn reads_raw_deflate() {
    for case in &cases() {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&case.body).unwrap();
        let body = encoder.finish().unwrap();
        assert_none(&differences(case, &run(case, Some("deflate"), frames(&body, [])), "whole"));
        let bytes = frames(&body, std::iter::repeat_n(1, body.len()));
        assert_none(&differences(case, &run(case, Some("deflate"), bytes), "byte by byte"));
    }
}

#[test]
fn gives_up_on_a_decompression_bomb() {
    for coding in ["gzip", "gzip, gzip"] {
        let body = encode(coding, &vec![b' '; 64 * 1024 * 1024]);
        let case = Case {
            name: "bomb".to_owned(),
            request: Request::post("/v1/chat/completions").body(Full::default()).unwrap(),
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.clone(),
            expect: Value::Null,
            trusts_request: false,
        };
        let event = run(&case, Some(coding), vec![body.into()]);
        assert_eq!(event["llm"]["usage_status"], "unparsed", "{coding}");
    }
}
