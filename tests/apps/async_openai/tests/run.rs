//! Runs the example against a mock of a provider.

#[path = "../../mock.rs"]
mod mock;

use async_openai::{
    config::OpenAIConfig,
    types::chat::{
        ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use futures_util::StreamExt;
use mock::{Provider, assert_costs, event_of};
use tower_tagging_app_async_openai::openai;

fn request(is_stream: bool) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessage::from("Say hello");
    let mut request = CreateChatCompletionRequestArgs::default();
    request.model("gpt-4o").messages([message.into()]);
    if is_stream {
        request.stream_options(ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None });
    }
    request.build().unwrap()
}

#[tokio::test]
async fn calls_have_tags_trace_usage_and_cost() {
    let provider = Provider::start().await;
    let config = OpenAIConfig::new().with_api_base(&provider.url).with_api_key("test");
    let client = openai(config, "127.0.0.1").unwrap();
    let event = event_of(async move || {
        let answer = client.chat().create(request(false)).await.unwrap();
        assert_eq!(answer.choices[0].message.content.as_deref(), Some("Hello"));
        let mut stream = client.chat().create_stream(request(true)).await.unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let delta = chunk.unwrap().choices.into_iter().find_map(|choice| choice.delta.content);
            text.push_str(&delta.unwrap_or_default());
        }
        assert_eq!(text, "Hello");
    })
    .await;
    provider.assert_calls(2, &event);
    assert_costs(&event, 2, "0.007");
    assert!(event.llm().unwrap().is_stream());
}

/// The error of a call reaches the SDK, and is not the error of the request.
#[tokio::test]
async fn errors_are_those_of_the_sdk() {
    let config = OpenAIConfig::new().with_api_base("http://127.0.0.1:1").with_api_key("test");
    let client = openai(config, "127.0.0.1").unwrap();
    let event = event_of(async move || {
        let error = client.chat().create(request(false)).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    })
    .await;
    assert!(!event.is_error() && event.llm().is_none());
}
