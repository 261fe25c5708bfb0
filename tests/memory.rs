//! Memory does not grow with the length of bodies. This is a separate test binary because it measures the whole
//! process.

mod common;

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use tower_tagging::{
    MetadataLayer, TaggingLayer,
    sources::TagSources,
    tags,
    usage::{Usage, UsageStatus, UsageTap},
};

/// Sends one gibibyte each way through a real server and client, and then an LLM stream of the same size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streaming_a_gibibyte_does_not_grow_memory() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 16 * 1024;
    let recorder = common::Recorder::new();
    let layer = TaggingLayer::builder().metadata(MetadataLayer::builder().sources(TagSources::all()));
    let layer = layer.usage(UsageTap::new()).sink(recorder.clone()).build().unwrap();
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let app = Router::new().route(
        "/",
        get(async move || Body::from_stream(stream::repeat(chunk).take(CHUNKS).map(Ok::<_, Infallible>))).post(
            async |body: Body| {
                let mut bytes = 0;
                let mut frames = body.into_data_stream();
                while let Some(frame) = frames.next().await {
                    bytes += frame.unwrap().len();
                }
                bytes.to_string()
            },
        ),
    );
    // The last part of this stream splits events across frames, and one event exceeds every buffer limit.
    let app = app.route(
        "/v1/chat/completions",
        post(async || {
            let word = "data: {\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\" word\"}}]}\n\n";
            let chunk = Bytes::from(word.repeat(CHUNK / word.len() + 1));
            let cut = stream::repeat(chunk.slice(..CHUNK)).take(CHUNKS / 64);
            let words = stream::repeat(chunk).take(CHUNKS).chain(cut);
            let large =
                [Bytes::from("\n\ndata: {\"text\":\""), Bytes::from(vec![b'x'; 8 * CHUNK]), Bytes::from("\"}\n\n")];
            let usage =
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
            let end = large.into_iter().chain([Bytes::from(usage)]);
            let body = Body::from_stream(words.chain(stream::iter(end)).map(Ok::<_, Infallible>));
            ([("content-type", "text/event-stream")], body)
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app.layer(layer)).await });
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http::<Body>();
    let before = common::memory();

    let request = Request::get(format!("http://{address}/")).body(Body::empty()).unwrap();
    let mut body = client.request(request).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(received, CHUNK * CHUNKS);

    // In the other direction, the layer searches a JSON body for `user` while it passes through.
    let start = stream::iter([Bytes::from(r#"{"text":""#)]);
    let end = stream::iter([Bytes::from(r#"","user":"ada"}"#)]);
    let text = stream::repeat(Bytes::from(vec![b'x'; CHUNK])).take(CHUNKS);
    let body = Body::from_stream(start.chain(text).chain(end).map(Ok::<_, Infallible>));
    let request = Request::post(format!("http://{address}/")).header("content-type", "application/json");
    let response = client.request(request.body(body).unwrap()).await.unwrap();
    let counted: usize =
        std::str::from_utf8(&response.into_body().collect().await.unwrap().to_bytes()).unwrap().parse().unwrap();

    let request = Request::post(format!("http://{address}/v1/chat/completions")).body(Body::empty()).unwrap();
    let mut body = client.request(request).await.unwrap().into_body();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }

    let growth = common::peak_memory().saturating_sub(before);
    assert!(growth < 32 * 1024 * 1024, "memory grew by {growth} bytes");
    let events = recorder.wait_for(3).await;
    assert_eq!(events[0].response_body_bytes(), (CHUNK * CHUNKS) as u64);
    assert_eq!(events[1].request_body_bytes(), Some(counted as u64));
    assert_eq!(events[1].metadata(), &tags! { "_user" => "ada" });
    let llm = events[2].llm().unwrap();
    assert_eq!((llm.usage_status(), llm.usage()), (UsageStatus::Reported, Some(&Usage::tokens(1, 2))));
}
