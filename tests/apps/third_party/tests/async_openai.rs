//! async-openai as a client: the SDK sees the same with and without the layers, and each call has one event.

#[path = "../../mock.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod mock;

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    middleware::HttpRequestFactory,
    types::chat::{
        ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use futures_util::TryStreamExt;
use mock::Provider;
use tower_tagging::{TaggingLayer, client::ReqwestClient, event::Outcome, sink::MockSink};

fn request() -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model("gpt-4o")
        .messages([ChatCompletionRequestUserMessage::from("Say hello").into()])
        .build()
        .unwrap()
}

fn streamed() -> CreateChatCompletionRequest {
    let options = ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None };
    CreateChatCompletionRequest { stream_options: Some(options), ..request() }
}

#[tokio::test]
async fn the_sdk_sees_what_the_provider_sends() {
    let provider = Provider::start().await;
    let config = OpenAIConfig::new().with_api_base(&provider.url).with_api_key("test");
    let sink = MockSink::new();
    let tagging = TaggingLayer::client_builder().sink(sink.clone()).build().unwrap();
    let llm = ReqwestClient::new(reqwest::Client::new()).tagging(tagging);
    let service = tower::service_fn(move |call: HttpRequestFactory| {
        let llm = llm.clone();
        async move { Ok::<_, OpenAIError>(llm.execute(call.build().await?).await?) }
    });
    let bare = Client::with_config(config.clone());
    let wrapped = Client::with_config(config).with_http_service(service);
    let json = async |client: &Client<OpenAIConfig>| {
        let answer = client.chat().create(request()).await.unwrap();
        let stream = client.chat().create_stream(streamed()).await.unwrap();
        let chunks: Vec<_> = stream.try_collect().await.unwrap();
        (serde_json::to_string(&answer).unwrap(), serde_json::to_string(&chunks).unwrap())
    };
    assert_eq!(json(&wrapped).await, json(&bare).await);

    // A stream is dropped by a task of the SDK.
    while sink.events().len() < 2 {
        tokio::task::yield_now().await;
    }
    let events = sink.events();
    assert_eq!(events.len(), 2, "one event per call");
    for (event, is_stream) in events.iter().zip([false, true]) {
        let llm = event.llm().unwrap();
        assert_eq!((event.outcome(), llm.is_stream()), (Outcome::Completed, is_stream));
        assert_eq!(llm.cost().unwrap().to_string(), "0.0035");
    }
}

/// The bytes of a response, of every kind and size, are the same.
#[tokio::test]
async fn responses_are_byte_identical() {
    let body: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    let expected = body.clone();
    let app = axum::Router::new().fallback(async move || body.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = ReqwestClient::new(reqwest::Client::new());
    let response = client.send(client.client().post(url)).await.unwrap();
    assert_eq!(response.bytes().await.unwrap(), expected);
}
