// A provider on the loopback interface, and a service that calls it. Included by the tests of each package.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, header},
    response::{IntoResponse, Response},
};
use tower::ServiceExt;
use tower_tagging::{Event, TagSources, TaggingLayer, sink::MockSink, usage::UsageTap};

/// A mock of an OpenAI-compatible provider. It records the headers of each call.
pub struct Provider {
    pub url: String,
    calls: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Provider {
    /// Starts the provider on a free port.
    pub async fn start() -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let answer = async move |headers: HeaderMap, body: String| {
            let is_stream = body.contains(r#""stream":true"#);
            seen.lock().unwrap().push(headers);
            if is_stream { stream() } else { chat() }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Self { url, calls }
    }

    /// Asserts that each call belongs to the request and carries the tags that the example allows, and no others.
    pub fn assert_calls(&self, count: usize, event: &Event) {
        let calls = self.calls.lock().unwrap();
        assert_eq!(calls.len(), count);
        for call in calls.iter() {
            let text = |name: &str| call.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(text("x-portkey-metadata").as_deref(), Some(r#"{"_user":"ada","tenant":"acme"}"#));
            let traceparent = text("traceparent").unwrap();
            assert_eq!(&traceparent[3..35], event.trace().trace_id().as_str());
            assert_eq!(text("x-portkey-parent-span-id").as_deref(), Some(&traceparent[36..52]));
            assert_ne!(&traceparent[36..52], event.trace().span_id().as_str(), "the call has its own span");
        }
    }
}

fn chat() -> Response {
    let body = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06",
        "choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn stream() -> Response {
    let head = r#""id":"chatcmpl-2","object":"chat.completion.chunk","created":1,"model":"gpt-4o-2024-08-06""#;
    let delta = r#"{"index":0,"delta":{"role":"assistant","content":"Hello"},"finish_reason":null}"#;
    let stop = r#"{"index":0,"delta":{},"finish_reason":"stop"}"#;
    let usage = r#""usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}"#;
    let body = format!(
        "data: {{{head},\"choices\":[{delta}]}}\n\ndata: {{{head},\"choices\":[{stop}]}}\n\n\
         data: {{{head},\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n"
    );
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// Runs a handler for a request with tags, and returns the event of the request.
pub async fn event_of<F: Future<Output = ()> + Send + 'static>(
    handler: impl FnOnce() -> F + Clone + Send + Sync + 'static,
) -> Arc<Event> {
    let sink = MockSink::new();
    let sources = TagSources::new().allow_list("x-user-id=_user, x-tenant=tenant, x-plan=plan");
    let tagging = TaggingLayer::builder().sources(sources).usage(UsageTap::new()).sink(sink.clone()).build().unwrap();
    let app = Router::new().fallback(async move || handler().await).layer(tagging);
    let request = Request::post("/").header("x-user-id", "ada").header("x-tenant", "acme").header("x-plan", "secret");
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert!(response.status().is_success());
    axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
    sink.single()
}

/// Asserts that the event has the usage and the cost of its calls.
pub fn assert_costs(event: &Event, calls: u64, cost: &str) {
    let llm = event.llm().expect("calls are rolled up");
    assert_eq!(llm.calls(), Some(calls));
    assert_eq!(llm.usage().unwrap().input_tokens(), Some(1000 * calls));
    assert_eq!(llm.cost().map(|cost| cost.to_string()).as_deref(), Some(cost));
    assert_eq!((llm.usage_status().as_str(), llm.cost_status().as_str()), ("reported", "priced"));
    assert_eq!(llm.request_model(), Some("gpt-4o"));
    assert_eq!(llm.response_model(), Some("gpt-4o-2024-08-06"));
    assert!(!event.is_error());
}
