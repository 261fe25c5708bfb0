//! Runs the example against a mock of a provider.

#[path = "../../mock.rs"]
mod mock;

use mock::{Provider, assert_costs, event_of};
use tower_tagging::client::ReqwestClient;
use tower_tagging_app_reqwest::{ask, llm};

#[tokio::test]
async fn calls_have_tags_trace_usage_and_cost() {
    fn is_state<T: Clone + Send + Sync + 'static>(client: T) -> T {
        client
    }
    let provider = Provider::start().await;
    let client: ReqwestClient = is_state(llm("127.0.0.1").unwrap());
    let url = format!("{}/chat/completions", provider.url);
    let event = event_of(async move || {
        let answer = ask(&client, &url, "Say hello").await.unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
        ask(&client, &url, "Say hello again").await.unwrap();
    })
    .await;
    provider.assert_calls(2, &event);
    assert_costs(&event, 2, "0.007");
}
