//! Runs the example against a mock of a provider, without TLS: the example trusts public certificates only.

#[path = "../../mock.rs"]
mod mock;

use http::Request;
use http_body_util::Full;
use mock::{Provider, assert_costs, event_of};
use tower_tagging_app_hyper_tls::{Llm, ask, llm};

#[tokio::test]
async fn calls_have_tags_trace_usage_and_cost() {
    fn is_state<T: Clone + Send + Sync + 'static>(client: T) -> T {
        client
    }
    let provider = Provider::start().await;
    let client: Llm = is_state(llm("127.0.0.1").unwrap());
    let url = format!("{}/chat/completions", provider.url);
    let event = event_of(async move || {
        let call = Request::post(url).header("content-type", "application/json");
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello"}]}"#;
        let answer = ask(&client, call.body(Full::from(body)).unwrap()).await.unwrap();
        assert!(answer.windows(5).any(|text| text == b"Hello"));
    })
    .await;
    provider.assert_calls(1, &event);
    assert_costs(&event, 1, "0.0035");
}

/// The connector of the example opens TLS connections: a server that does not speak TLS is an error.
#[tokio::test]
async fn https_uses_tls() {
    let provider = Provider::start().await;
    let client = llm("127.0.0.1").unwrap();
    let url = provider.url.replace("http://", "https://");
    let error = ask(&client, Request::post(url).body(Full::default()).unwrap()).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("InvalidMessage") || text.contains("InvalidContentType"), "{text}");
}
