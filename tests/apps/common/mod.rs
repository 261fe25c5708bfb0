//! The parts that the apps share: a collector that forwards to a receiver, a provider of LLMs, clients, and the checks.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    io::Read,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_openai::{
    config::OpenAIConfig,
    error::OpenAIError,
    middleware::HttpRequestFactory,
    types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs},
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
    response::IntoResponse,
    routing::{get, post},
};
use flate2::read::GzDecoder;
use futures_util::StreamExt;
use http::{Request, Response};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::json;
use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_tagging::{
    TaggingLayer,
    tagging::{RequestBody, ResponseBody},
};

/// A collector, and what it has exported.
pub struct Collector {
    process: Child,
    pub grpc: String,
    /// Only one of the apps exports over HTTP.
    #[allow(dead_code, reason = "each app uses its part")]
    pub http: String,
    received: Received,
}

type Received = Arc<Mutex<Vec<(Span, HashMap<String, String>)>>>;

impl Collector {
    /// Starts the program that `ROTEL_AGENT` names.
    pub async fn start() -> Self {
        let agent = std::env::var("ROTEL_AGENT").expect("ROTEL_AGENT is not set: run tests/run.sh");
        let received = Received::default();
        let receiver = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&received));
        let receiver = serve(receiver).await;
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (grpc, http) = (free(), free());
        let process = Command::new(agent)
            .args(["start", "--exporter", "otlp", "--batch-timeout", "200ms", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-compression", "none", "--otlp-exporter-endpoint", &format!("http://{receiver}")])
            .args(["--otlp-grpc-endpoint", &grpc.to_string(), "--otlp-http-endpoint", &http.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let collector = Self { process, grpc: format!("http://{grpc}"), http: format!("http://{http}"), received };
        wait_until("the collector is not listening", || {
            std::net::TcpStream::connect(grpc).is_ok() && std::net::TcpStream::connect(http).is_ok()
        })
        .await;
        collector
    }

    /// Waits for a number of spans, and returns them.
    pub async fn spans(&self, count: usize) -> Spans {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.received.lock().unwrap().len() < count && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let spans = Spans(std::mem::take(&mut *self.received.lock().unwrap()));
        assert_eq!(spans.0.len(), count, "{spans}");
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

async fn receive(State(received): State<Received>, body: Bytes) {
    let mut plain = body.to_vec();
    // The magic number of gzip.
    if body.starts_with(&[0x1f, 0x8b]) {
        plain.clear();
        GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    }
    for group in ExportTraceServiceRequest::decode(&plain[..]).unwrap().resource_spans {
        let resource = attributes(&group.resource.unwrap_or_default().attributes);
        let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.lock().unwrap().extend(spans.map(|span| (span, resource.clone())));
    }
}

fn attributes(list: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let value = |entry: &KeyValue| entry.value.as_ref().and_then(|value| value.value.as_ref()).map(text);
    list.iter().map(|entry| (entry.key.clone(), value(entry).unwrap_or_default())).collect()
}

/// The spans of one request.
pub struct Spans(Vec<(Span, HashMap<String, String>)>);

impl std::fmt::Display for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (span, _) in &self.0 {
            let Span { name, kind, span_id, parent_span_id, trace_id, status, .. } = span;
            writeln!(f, "{name} (kind {kind}) {span_id:x?} within {parent_span_id:x?} of {trace_id:x?}: {status:?}")?;
            writeln!(f, "    {:?}", attributes(&span.attributes))?;
        }
        Ok(())
    }
}

impl Spans {
    fn get(&self, name: &str) -> &Span {
        let mut found = self.0.iter().map(|(span, _)| span).filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name}:\n{self}"));
        assert!(found.next().is_none(), "two spans {name}:\n{self}");
        span
    }

    /// Panics unless the spans are one trace of one service without an error, in which each span has its parent.
    ///
    /// `nesting` contains the name of each span and that of its parent, which is empty for the root.
    pub fn check(&self, nesting: &[(&str, &str)]) {
        let traces: HashSet<_> = self.0.iter().map(|(span, _)| &span.trace_id).collect();
        assert_eq!(traces.len(), 1, "more than one trace:\n{self}");
        for (span, resource) in &self.0 {
            let is_error = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
            assert!(!is_error, "{} is an error:\n{self}", span.name);
            assert!(!attributes(&span.attributes).contains_key("error.type"), "{} is an error:\n{self}", span.name);
            assert_eq!(resource.get("service.name").map(String::as_str), Some("shop"), "{}", span.name);
        }
        assert_eq!(self.0.len(), nesting.len(), "{self}");
        for (name, parent) in nesting {
            let expected = if parent.is_empty() { Vec::new() } else { self.get(parent).span_id.clone() };
            assert_eq!(self.get(name).parent_span_id, expected, "the parent of {name} is not {parent}:\n{self}");
        }
        let servers = self.0.iter().filter(|(span, _)| span.kind() == SpanKind::Server).count();
        assert_eq!(servers, 1, "not exactly one span of the server:\n{self}");
        self.check_calls();
    }

    fn check_calls(&self) {
        let chat = self.get("chat gpt-4o");
        let chat_attributes = attributes(&chat.attributes);
        for (name, value) in [
            ("tower_tagging.outcome", "completed"),
            ("gen_ai.usage.input_tokens", "1000"),
            ("gen_ai.usage.output_tokens", "200"),
            ("tower_tagging.cost.usd", "0.0045"),
            ("http.response.status_code", "200"),
        ] {
            assert_eq!(chat_attributes.get(name).map(String::as_str), Some(value), "{name}:\n{self}");
        }
        for name in ["chat gpt-4o", "GET"] {
            assert_eq!(self.get(name).kind(), SpanKind::Client, "{name}:\n{self}");
        }
    }
}

async fn wait_until(problem: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < deadline, "{problem}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Serves an app and returns its address.
pub async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Starts a provider of LLMs, whose streams stay open after their end marker, and a service with JSON.
pub async fn start_upstream() -> SocketAddr {
    let chunk = |choices: serde_json::Value, usage: serde_json::Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": "gpt-4o-2024-08-06", "choices": choices, "usage": usage})
    };
    let word = json!([{"index": 0, "delta": {"role": "assistant", "content": "hello"}, "finish_reason": null}]);
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200});
    let lines = [chunk(word, json!(null)).to_string(), chunk(json!([]), usage).to_string(), "[DONE]".to_owned()];
    let chat = async move |headers: HeaderMap| {
        assert!(headers.contains_key("traceparent"));
        let lines = lines.map(|line| Ok::<_, Infallible>(format!("data: {line}\n\n")));
        let open = futures_util::stream::iter(lines).chain(futures_util::stream::pending());
        ([("content-type", "text/event-stream")], Body::from_stream(open)).into_response()
    };
    let stock = async |headers: HeaderMap| {
        assert!(headers.contains_key("traceparent"));
        Json(json!({"stock": 7}))
    };
    serve(Router::new().route("/v1/chat/completions", post(chat)).route("/stock", get(stock))).await
}

/// The client of the app.
#[derive(Clone)]
pub struct Clients {
    pub upstream: SocketAddr,
    pub client: Client,
}

/// reqwest within layers.
pub type Client = BoxCloneSyncService<Request<reqwest::Body>, Response<ResponseBody<reqwest::Body>>, BoxError>;

/// Puts a layer around reqwest. `inject` adds headers to each request, before the layer reads them.
pub fn client(tagging: TaggingLayer, inject: impl Fn(&mut HeaderMap) + Clone + Send + Sync + 'static) -> Client {
    let client = reqwest::Client::new();
    let service = service_fn(move |request: Request<RequestBody<reqwest::Body>>| {
        let client = client.clone();
        async move {
            let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap))?;
            Ok::<_, BoxError>(Response::from(client.execute(request).await?))
        }
    });
    let service = tagging.layer(service).map_request(move |mut request: Request<reqwest::Body>| {
        inject(request.headers_mut());
        request
    });
    BoxCloneSyncService::new(service)
}

impl Clients {
    /// Reads a stream of async-openai to its end marker.
    pub async fn chat(&self) -> String {
        let client = self.client.clone();
        let service = service_fn(move |factory: HttpRequestFactory| {
            let client = client.clone();
            async move {
                let request = Request::try_from(factory.build().await?)?;
                let response = client.oneshot(request).await.map_err(OpenAIError::Boxed)?;
                Ok::<_, OpenAIError>(reqwest::Response::from(response.map(reqwest::Body::wrap)))
            }
        });
        let config = OpenAIConfig::new().with_api_base(format!("http://{}/v1", self.upstream)).with_api_key("key");
        let openai = async_openai::Client::with_config(config).with_http_service(service);
        let message = ChatCompletionRequestUserMessageArgs::default().content("hello").build().unwrap();
        let request = CreateChatCompletionRequestArgs::default()
            .model("gpt-4o")
            .messages([message.into()])
            .stream(true)
            .build()
            .unwrap();
        let mut stream = openai.chat().create_stream(request).await.unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let choices = chunk.unwrap().choices;
            text.extend(choices.into_iter().filter_map(|choice| choice.delta.content));
        }
        text
    }

    /// Makes a call with reqwest.
    pub async fn stock(&self) -> i64 {
        let request = Request::get(format!("http://{}/stock", self.upstream)).body(reqwest::Body::default()).unwrap();
        let response = self.client.clone().oneshot(request).await.unwrap();
        let response = reqwest::Response::from(response.map(reqwest::Body::wrap));
        response.json::<serde_json::Value>().await.unwrap()["stock"].as_i64().unwrap()
    }
}

/// Sends the request that the spans describe.
pub async fn send(address: SocketAddr) {
    let response = reqwest::get(format!("http://{address}/orders/7")).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello 7");
}
