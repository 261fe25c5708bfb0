//! LLM usage, as it is read out of exchanges in the shapes of every provider, whatever the frames and codings.

#![cfg(feature = "llm")]

mod common;

use std::{convert::Infallible, io::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use common::{Recorder, assert_schema};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Map, Value};
use tower::{Layer, Service};
use tower_tagging::{TaggingLayer, usage::UsageTap};

struct Case {
    name: String,
    request: Request<Full<Bytes>>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    expect: Value,
}

fn headers(of: &Value) -> Vec<(String, String)> {
    let pairs = of["headers"].as_array().into_iter().flatten();
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
    }
}

fn cases() -> Vec<Case> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/llm");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    texts.flat_map(|text| serde_json::from_str::<Vec<Value>>(&text).unwrap()).map(|value| case(&value)).collect()
}

/// Runs the exchange with the response in these frames. Gives the event, if the client took all frames.
fn run(case: &Case, coding: Option<&str>, frames: Vec<Bytes>) -> Value {
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().usage(UsageTap::new()).sink(recorder.0.clone()).build().unwrap();
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
            // The request is read to its end, as a service would.
            let body: tower_tagging::tagging::RequestBody<Full<Bytes>> = request.into_body();
            body.collect().await.unwrap();
            Ok::<_, Infallible>(response)
        }
    }));
    let response = service.call(case.request.clone()).now_or_never().unwrap().unwrap();
    let received = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    assert_eq!(received, sent, "{}: the client gets what the service sent", case.name);
    // Checking the schema takes longer than all the rest: the whole bodies are enough for it.
    serde_json::to_value(&*recorder.0.single()).unwrap()
}

/// The members that are not null.
fn known(object: &Value) -> Map<String, Value> {
    let members = object.as_object().cloned().unwrap_or_default();
    members.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// What of the event is not as the fixture expects.
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
        pairs.push(("price_source", llm["price_source"].clone(), "provider".into()));
    }
    let wrong = pairs.into_iter().filter(|(_, is, should)| is != should);
    wrong.map(|(key, is, should)| format!("{} {how}: {key} is {is}, not {should}", case.name)).collect()
}

#[track_caller]
fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

fn encode(coding: &str, body: &[u8]) -> Vec<u8> {
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
        other => panic!("{other}"),
    }
}

#[test]
fn every_fixture_is_read() {
    let cases = cases();
    assert!(cases.len() > 150);
    let read = |case: &Case| {
        let event = run(case, None, vec![Bytes::copy_from_slice(&case.body)]);
        assert_schema(&event);
        differences(case, &event, "whole")
    };
    assert_none(&cases.iter().flat_map(read).collect::<Vec<_>>());
}

/// The body in frames of these lengths, the rest in a last one.
fn frames(body: &[u8], lengths: impl IntoIterator<Item = usize>) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(body);
    let mut frames = Vec::new();
    for length in lengths {
        frames.push(rest.split_to(length.min(rest.len())));
    }
    frames.push(rest);
    frames
}

#[test]
fn frames_cut_at_any_byte_change_nothing() {
    let mut wrong = Vec::new();
    for case in &cases() {
        for at in 1..case.body.len() {
            wrong.extend(differences(case, &run(case, None, frames(&case.body, [at])), &format!("cut at {at}")));
        }
        let bytes = frames(&case.body, std::iter::repeat_n(1, case.body.len()));
        wrong.extend(differences(case, &run(case, None, bytes), "byte by byte"));
        wrong.truncate(20);
    }
    assert_none(&wrong);
}

#[test]
fn codings_change_nothing() {
    let mut wrong = Vec::new();
    for case in &cases() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let body = encode(coding, &case.body);
            let how = |what: &str| format!("{coding} {what}");
            wrong.extend(differences(case, &run(case, Some(coding), frames(&body, [])), &how("whole")));
            let bytes = frames(&body, std::iter::repeat_n(1, body.len()));
            wrong.extend(differences(case, &run(case, Some(coding), bytes), &how("byte by byte")));
            for at in (1..body.len()).step_by(7) {
                let event = run(case, Some(coding), frames(&body, [at]));
                wrong.extend(differences(case, &event, &how(&format!("cut at {at}"))));
            }
        }
        wrong.truncate(20);
    }
    assert_none(&wrong);
}

/// A client that goes away after so many frames.
fn run_cancelled(case: &Case, frames: Vec<Bytes>, taken: usize) -> Value {
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().usage(UsageTap::new()).sink(recorder.0.clone()).build().unwrap();
    let mut response = Response::builder().status(case.status);
    for (name, value) in &case.headers {
        response = response.header(name, value);
    }
    let frames = frames.into_iter().map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
    let mut response = Some(response.body(StreamBody::new(futures_util::stream::iter(frames))).unwrap());
    let mut service = layer.layer(tower::service_fn(move |_: Request<_>| {
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
fn a_stream_that_is_cut_off_gives_one_event_and_never_a_zero() {
    for case in cases().iter().filter(|case| case.expect["stream"] == true && case.expect["usage_status"] == "reported") {
        let step = (case.body.len() / 40).max(1);
        let pieces = frames(&case.body, std::iter::repeat_n(step, case.body.len() / step));
        let whole = known(&case.expect["usage"]);
        for taken in 0..pieces.len() {
            let event = run_cancelled(case, pieces.clone(), taken);
            let (llm, name) = (&event["llm"], &case.name);
            let usage = known(&llm["usage"]);
            let status = llm["usage_status"].as_str().unwrap_or("none");
            match status {
                // Nothing was seen, not even that it is a call of an LLM.
                "none" => assert!(usage.is_empty()),
                "absent" => assert_eq!((usage.len(), &llm["cost_usd"]), (0, &Value::Null), "{name} after {taken}"),
                "partial" => {
                    assert!(!usage.is_empty(), "{name} after {taken}");
                    for (unit, count) in &usage {
                        let (count, whole) = (count.as_u64(), whole.get(unit).and_then(Value::as_u64));
                        assert!(count <= whole, "{unit} {count:?} of {whole:?} in {name} after {taken}");
                        let is_total = unit == "input_tokens" || unit == "output_tokens";
                        assert!(count > Some(0) || whole == Some(0) || !is_total, "{unit} is zero in {name} after {taken}");
                    }
                    assert!(["partial", "unpriced_model"].contains(&llm["cost_status"].as_str().unwrap()), "{llm:#}");
                }
                "reported" => assert_eq!(usage, whole, "{name} after {taken}"),
                other => panic!("{other} in {name} after {taken}"),
            }
        }
    }
}
