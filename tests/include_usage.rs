//! Tests of the middleware that requests usage and hides it from the client.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service};
use tower_tagging::usage::include_usage;

/// Returns the request that the service receives, and the response body that the client receives.
fn injected(request: Request<Full<Bytes>>, frames: Vec<Bytes>) -> (Request<Bytes>, Bytes) {
    let seen = Arc::new(Mutex::new(None));
    let keep = seen.clone();
    let service = tower::service_fn(move |request: Request<include_usage::RequestBody<Full<Bytes>>>| {
        let (head, body) = request.into_parts();
        let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
        *keep.lock().unwrap() = Some(Request::from_parts(head, body));
        let frames = frames.clone().into_iter().map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
        let response = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
        std::future::ready(Ok::<_, Infallible>(
            response.body(StreamBody::new(futures_util::stream::iter(frames))).unwrap(),
        ))
    });
    let mut service = include_usage::InjectIncludeUsageLayer::new().max_request_bytes(1024).layer(service);
    let response = service.call(request).now_or_never().unwrap().unwrap();
    let body = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    (seen.lock().unwrap().take().unwrap(), body)
}

const ANSWER: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a usage \\\"usage\\\"\"}}],\"usage\":null}\r\n\r\n\
    : a comment\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

/// Splits a body into two frames.
fn cut(body: &'static str, at: usize) -> Vec<Bytes> {
    let (start, rest) = body.split_at(at);
    vec![Bytes::from(start), Bytes::from(rest)]
}

fn post_json(path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .header("accept-encoding", "gzip")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

#[test]
fn requests_usage_and_hides_it_from_the_client_at_any_split() {
    let visible =
        ANSWER.replace("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n", "");
    for at in 0..ANSWER.len() {
        let body = r#" {"model":"gpt-4o","stream":true,"messages":[]}"#;
        let (request, answer) = injected(post_json("/v1/chat/completions", body), cut(ANSWER, at));
        let expected = r#" {"stream_options":{"include_usage":true},"model":"gpt-4o","stream":true,"messages":[]}"#;
        assert_eq!(request.body(), expected);
        assert_eq!(request.headers()["content-length"], expected.len().to_string());
        assert!(!request.headers().contains_key("accept-encoding"));
        assert_eq!(answer, visible, "cut at {at}");
    }
}

#[test]
fn passes_on_other_requests_unchanged() {
    let large = format!(r#"{{"stream":true,"messages":"{}"}}"#, "x".repeat(2048));
    for (path, body) in [
        ("/v1/chat/completions", r#"{"model":"gpt-4o","stream":false}"#),
        ("/v1/chat/completions", r#"{"model":"gpt-4o"}"#),
        ("/v1/chat/completions", r#"{"stream":true,"stream_options":{"include_usage":false}}"#),
        ("/v1/chat/completions", r#"{"stream":true"#),
        ("/v1/chat/completions", "[true]"),
        ("/v1/chat/completions", ""),
        ("/v1/chat/completions", &large),
        ("/v1/messages", r#"{"stream":true}"#),
    ] {
        let (request, answer) = injected(post_json(path, body), cut(ANSWER, 7));
        assert_eq!((request.body(), answer.as_ref()), (&Bytes::from(body.to_owned()), ANSWER.as_bytes()));
        assert_eq!(request.headers()["accept-encoding"], "gzip");
    }
}

/// Returns what the client receives of a stream that fails after these frames.
fn received_before_the_error(frames: &[&'static str]) -> Bytes {
    let frames: Vec<_> = frames.iter().map(|frame| Bytes::from_static(frame.as_bytes())).collect();
    let service = tower::service_fn(move |_: Request<include_usage::RequestBody<Full<Bytes>>>| {
        let frames = frames.clone().into_iter().map(|frame| Ok(Frame::data(frame))).chain([Err("reset")]);
        let response = Response::builder().header("content-type", "text/event-stream");
        std::future::ready(Ok::<_, Infallible>(
            response.body(StreamBody::new(futures_util::stream::iter(frames))).unwrap(),
        ))
    });
    let mut service = include_usage::InjectIncludeUsageLayer::new().layer(service);
    let request = post_json("/v1/chat/completions", r#"{"stream":true}"#);
    let mut body = service.call(request).now_or_never().unwrap().unwrap().into_body();
    let mut received = Vec::new();
    loop {
        assert!(!body.is_end_stream(), "the error is still to come");
        match body.frame().now_or_never().unwrap().unwrap() {
            Ok(frame) => received.extend(frame.into_data().unwrap()),
            Err(error) => {
                assert_eq!(error, "reset");
                assert!(body.frame().now_or_never().unwrap().is_none(), "nothing follows the error");
                return received.into();
            }
        }
    }
}

#[test]
fn sends_everything_that_is_held_before_an_error() {
    for (frames, received) in [
        (&["data: 1\n\ndata: {\"cho"][..], "data: 1\n\ndata: {\"cho"),
        (&["data: 1\n\n", "da", "ta: 2"], "data: 1\n\ndata: 2"),
        (&["data: 1\n"], "data: 1\n"),
        (&["data: 1\n\n"], "data: 1\n\n"),
        (
            &["data: {\"choices\":[],\"usage\":{}}\n\n", "data: {\"choices\":[],\"usage\":{}"],
            "data: {\"choices\":[],\"usage\":{}",
        ),
        (&[], ""),
    ] {
        assert_eq!(received_before_the_error(frames), received, "{frames:?}");
    }
}
