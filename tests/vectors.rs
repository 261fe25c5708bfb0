//! The rules for tags and trace IDs, defined as data in `vectors/metadata.json` and `vectors/trace.json`.

mod common;

use std::{collections::BTreeMap, convert::Infallible};

use common::Recorder;
use http::{HeaderName, HeaderValue, Request, Response};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Metadata, MetadataLayer, TaggingLayer, Tags, TraceIdLayer,
    event::Outcome,
    metadata::{Limits, Overflow, Scope, Scopes},
    sources::{KeyCase, TagSources},
    tagging::MetadataLayerBuilder,
    trace::TracePolicy,
};

fn cases(file: &str) -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(file).unwrap();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    cases
}

/// Returns a text, which the file may define as a repetition.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(form) if form.contains_key("repeat") => {
            let times = form["times"].as_u64().unwrap();
            form["repeat"].as_str().unwrap().repeat(usize::try_from(times).unwrap())
        }
        Value::Object(form) if form.contains_key("json_repeat") => {
            let [key, unit, times] = form["json_repeat"].as_array().unwrap().as_slice() else { panic!("{form:?}") };
            let value = unit.as_str().unwrap().repeat(usize::try_from(times.as_u64().unwrap()).unwrap());
            json!({key.as_str().unwrap(): value}).to_string()
        }
        other => panic!("not a text: {other}"),
    }
}

fn request(case: &Value) -> Request<String> {
    let mut request = Request::new(String::new());
    for header in case["headers"].as_array().into_iter().flatten() {
        let name = HeaderName::from_bytes(header[0].as_str().unwrap().as_bytes()).unwrap();
        let value = &header[1];
        let value = if let Some(latin1) = value.get("latin1") {
            let bytes: Vec<u8> = latin1.as_str().unwrap().chars().map(|letter| u8::try_from(letter).unwrap()).collect();
            HeaderValue::from_bytes(&bytes).unwrap()
        } else if let Some(secret) = value.get("sensitive") {
            let mut value = HeaderValue::from_str(secret.as_str().unwrap()).unwrap();
            value.set_sensitive(true);
            value
        } else {
            HeaderValue::from_bytes(text(value).as_bytes()).unwrap()
        };
        request.headers_mut().append(name, value);
    }
    request
}

fn metadata(value: &Value) -> Metadata {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), text(value))).collect()
}

fn scopes(value: &Value) -> Scopes {
    let mut scopes = Scopes::new();
    for (name, tags) in value.as_object().into_iter().flatten() {
        let scope = Scope::ALL.iter().find(|scope| scope.as_str() == name).unwrap();
        scopes.add(*scope, metadata(tags));
    }
    scopes
}

fn builder(case: &Value) -> Result<MetadataLayerBuilder, Box<dyn std::error::Error>> {
    let spec = &case["sources"];
    let mut sources = TagSources::new().baggage(spec["baggage"] == true);
    if let Some(name) = spec["json_header"].as_str() {
        sources = sources.json_header(name.parse()?);
    }
    if spec["strict_json"] == true {
        sources = sources.strict_json();
    }
    for prefix in spec["prefixes"].as_array().into_iter().flatten() {
        sources = sources.prefix(prefix.as_str().unwrap());
    }
    if spec["key_case"] == "title" {
        sources = sources.key_case(KeyCase::Title);
    }
    if let Some(list) = spec["allow_list"].as_str() {
        sources = sources.allow_list(list);
    }
    for secret in spec["allow_secret"].as_array().into_iter().flatten() {
        sources = sources.allow_secret(secret.as_str().unwrap().parse()?);
    }
    let number = |name: &str| case["limits"][name].as_u64().map(|number| usize::try_from(number).unwrap());
    let mut limits = Limits::default();
    limits = number("value_chars").map_or(limits, |chars| limits.value_chars(chars));
    limits = number("key_chars").map_or(limits, |chars| limits.key_chars(chars));
    limits = number("total_bytes").map_or(limits, |bytes| limits.total_bytes(bytes));
    limits = number("tags").map_or(limits, |tags| limits.tags(tags));
    limits = limits.overflow(match case["limits"]["overflow"].as_str() {
        None | Some("truncate") => Overflow::Truncate,
        Some("drop") => Overflow::Drop,
        Some("reject") => Overflow::Reject,
        Some(word) => panic!("unknown overflow {word:?}"),
    });
    let mut builder = MetadataLayer::builder().sources(sources).limits(limits);
    if let Some(word) = case["precedence"].as_str() {
        builder = builder.precedence(word.parse()?);
    }
    let static_scopes = scopes(&case["static_scopes"]);
    for scope in Scope::ALL {
        builder = builder.scope(*scope, static_scopes.get(*scope).clone());
    }
    let resolved = scopes(&case["scopes"]);
    Ok(builder.resolver(move |_| resolved.clone()))
}

/// Runs a case for tags. The error describes the first difference.
async fn run_metadata(case: &Value) -> Result<(), String> {
    let expect = &case["expect"];
    let built = builder(case).and_then(|builder| {
        let recorder = Recorder::new();
        let layer = TaggingLayer::builder().metadata(builder).sink(recorder.clone()).build()?;
        Ok((recorder, layer))
    });
    let (recorder, layer) = match (built, expect["build_error"].as_str()) {
        (Ok(built), None) => built,
        (Ok(_), Some(error)) => return Err(format!("no error that contains {error:?}")),
        (Err(error), Some(expected)) if error.to_string().contains(expected) => return Ok(()),
        (Err(error), _) => return Err(format!("error: {error}")),
    };
    let handler_tags = metadata(&case["code_tags"]);
    let service = layer.layer(service_fn(move |request: Request<_>| {
        let _: &tower_tagging::tagging::RequestBody<String> = request.body();
        request.extensions().get::<Tags>().unwrap().extend(&handler_tags);
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    }));
    let response = service.oneshot(request(case)).await.unwrap();
    let event = recorder.single();
    if let Some(status) = expect["status"].as_u64() {
        let actual = (u64::from(response.status().as_u16()), event.outcome());
        return if actual == (status, Outcome::Rejected) { Ok(()) } else { Err(format!("responded with {actual:?}")) };
    }
    if event.metadata() != &metadata(&expect["metadata"]) {
        return Err(format!("metadata {:?}", event.metadata()));
    }
    if let Some(sources) = expect["sources"].as_object() {
        let expected: BTreeMap<_, _> =
            sources.iter().map(|(key, scope)| (key.as_str(), scope.as_str().unwrap())).collect();
        let actual: BTreeMap<_, _> = event.sources().map(|(key, scope)| (key, scope.as_str())).collect();
        if actual != expected {
            return Err(format!("sources {actual:?}"));
        }
    }
    let mut notes = event.diagnostics().to_vec();
    for expected in expect["diagnostics"].as_array().into_iter().flatten() {
        let matches = |field: &str, actual: Option<&str>| {
            expected.get(field).is_none_or(|expected| expected.is_null() || Some(text(expected).as_str()) == actual)
        };
        let found = notes.iter().position(|note| {
            expected["code"] == note.code().as_str() && matches("key", note.key()) && matches("detail", note.detail())
        });
        match found {
            Some(at) => _ = notes.remove(at),
            None => return Err(format!("no diagnostic {expected} in {:?}", event.diagnostics())),
        }
    }
    if notes.is_empty() { Ok(()) } else { Err(format!("unexpected diagnostics {notes:?}")) }
}

/// Runs a case for trace IDs. The error describes the first difference.
async fn run_trace(case: &Value) -> Result<(), String> {
    let expect = &case["expect"];
    let mut trace_ids = TraceIdLayer::new();
    if case["policy"] == "restart" {
        trace_ids = trace_ids.policy(TracePolicy::Restart);
    }
    if let Some(names) = case["trace_headers"].as_array() {
        trace_ids = trace_ids.trace_headers(names.iter().map(|name| name.as_str().unwrap().parse().unwrap()));
    }
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().trace_ids(trace_ids).sink(recorder.clone()).build().unwrap();
    let service = layer.without_request_body().layer(service_fn(async |request: Request<String>| {
        let mut response = Response::new(String::new());
        for name in ["traceparent", "tracestate"] {
            for value in request.headers().get_all(name) {
                response.headers_mut().append(name, value.clone());
            }
        }
        Ok::<_, Infallible>(response)
    }));
    let request = request(case);
    let inbound: Vec<String> =
        request.headers().values().map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase()).collect();
    let response = service.oneshot(request).await.unwrap();
    let event = common::json(&recorder.single());
    let trace = &event["trace"];
    let check = |field: &str, expected: &Value| -> Result<(), String> {
        let actual = &trace[field];
        let id = actual.as_str().unwrap_or_default();
        let is_correct = match expected.as_str() {
            Some("<fresh>") => !id.is_empty() && !inbound.iter().any(|value| value.replace('-', "").contains(id)),
            _ if expected.is_object() => id == text(expected),
            _ => actual == expected,
        };
        if is_correct { Ok(()) } else { Err(format!("{field} is {actual}, expected {expected}")) }
    };
    let fields =
        ["trace_id", "client_trace_id", "span_id", "parent_span_id", "span_name", "span_path", "linked_trace_id"];
    for field in fields.into_iter().chain(["sampled", "source"]) {
        if let Some(expected) = expect.get(field) {
            check(field, expected)?;
        }
    }
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    if let Some(expected) = expect.get("tracestate")
        && header("tracestate").as_deref() != expected.as_str()
    {
        return Err(format!("tracestate {:?}", header("tracestate")));
    }
    if let Some([name, _]) = expect["response_header"].as_array().map(Vec::as_slice)
        && header(name.as_str().unwrap()).as_deref() != trace["client_trace_id"].as_str().or(trace["trace_id"].as_str())
    {
        return Err(format!("response headers {:?}", response.headers()));
    }
    // The service receives exactly one `traceparent`, with our span as the parent.
    let ours = format!("00-{}-{}-0", trace["trace_id"].as_str().unwrap(), trace["span_id"].as_str().unwrap());
    let forwarded: Vec<_> = response.headers().get_all("traceparent").iter().collect();
    if forwarded.len() != 1 || !forwarded[0].to_str().unwrap().starts_with(&ours) {
        return Err(format!("traceparent {forwarded:?}"));
    }
    let mut codes: Vec<_> = event["diagnostics"].as_array().unwrap().iter().map(|note| note["code"].clone()).collect();
    let mut expected = expect["diagnostics"].as_array().cloned().unwrap_or_default();
    codes.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    if codes == expected { Ok(()) } else { Err(format!("diagnostics {}", event["diagnostics"])) }
}

#[tokio::test]
async fn tags_follow_the_vectors() {
    let mut wrong = Vec::new();
    for case in cases(include_str!("vectors/metadata.json")) {
        if let Err(problem) = run_metadata(&case).await {
            wrong.push(format!("{}\n    {problem}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn trace_ids_follow_the_vectors() {
    let mut wrong = Vec::new();
    for case in cases(include_str!("vectors/trace.json")) {
        if let Err(problem) = run_trace(&case).await {
            wrong.push(format!("{}\n    {problem}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
