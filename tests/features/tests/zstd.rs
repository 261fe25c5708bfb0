//! The feature `zstd`: usage of a compressed response.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{tagging::RequestBody, usage::UsageTap};
use tower_tagging_feature_tests::{Collector, tagging};

/// Wraps text in a zstd frame with one uncompressed block; see RFC 8878, section 3.1.1.
fn frame(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD];
    // A single segment with a content size of four bytes.
    frame.push(0b1010_0000);
    frame.extend(length.to_le_bytes());
    frame.extend(&(length << 3 | 1).to_le_bytes()[..3]);
    frame.extend(text.as_bytes());
    frame
}

#[test]
fn reads_the_usage_of_a_compressed_response() {
    let collector = Collector::default();
    let layer = tagging().usage(UsageTap::new()).sink(collector.clone()).build().unwrap();
    let service = layer.layer(service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        let body =
            frame(r#"{"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 2}}"#);
        let response =
            Response::builder().header("content-type", "application/json").header("content-encoding", "zstd");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(body)).unwrap())
    }));
    let request = Request::post("/v1/chat/completions").body(Full::default()).unwrap();
    let response = service.oneshot(request).now_or_never().unwrap().unwrap();
    drop(response.into_body().collect().now_or_never().unwrap());
    let llm = &collector.single()["llm"];
    assert_eq!((&llm["usage"]["input_tokens"], &llm["usage"]["output_tokens"]), (&10.into(), &2.into()), "{llm:#}");
}
