//! The gateway example as a user runs it: the real program, real sockets, a mock upstream. What real SDKs sent is
//! replayed through it (`captures/`).

mod common;

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use common::TempFolder;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The program, built once for all tests.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let build = Command::new(env!("CARGO"))
        .args(["build", "--example", "gateway", "--features", "full", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(build.status.success(), "the gateway does not build");
    let messages = String::from_utf8(build.stdout).unwrap();
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let path = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    path.expect("cargo names the program")
});

/// A running gateway, its events in a file.
struct Gateway {
    child: Option<Child>,
    address: SocketAddr,
    folder: TempFolder,
}

fn command(env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(&*PROGRAM);
    for name in [
        "UPSTREAM",
        "EVENTS",
        "SCOPES",
        "HEADERS_TO_METADATA",
        "METADATA_PREFIXES",
        "METADATA_PRECEDENCE",
        "TAGGING",
        "SPOOL",
        "METADATA_KEY_CASE",
        "INCLUDE_USAGE",
    ] {
        command.env_remove(name);
    }
    command
        .env("LISTEN", "127.0.0.1:0")
        .env("STORE", "none")
        .envs(env.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Gateway {
    fn start(name: &str, env: &[(&str, &str)]) -> Self {
        let folder = TempFolder::new(&format!("gateway-{name}"));
        let events = folder.file("events.jsonl");
        let mut child = command(env).env("EVENTS", &events).spawn().unwrap();
        // The first line says the address; the rest is read when the program ends.
        let mut line = String::new();
        let mut byte = [0];
        let errors = child.stderr.as_mut().unwrap();
        while !line.ends_with('\n') && errors.read(&mut byte).unwrap() == 1 {
            line.push(byte[0].into());
        }
        let address = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()).expect(&line);
        Self { address: address.parse().unwrap(), child: Some(child), folder }
    }

    /// Ends it as an operator does; gives its output and its events.
    fn stop(mut self) -> (Output, Vec<Value>) {
        let child = self.child.take().unwrap();
        let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let output = child.wait_with_output().unwrap();
        let text = std::fs::read_to_string(self.folder.file("events.jsonl")).unwrap_or_default();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        events.iter().for_each(common::assert_schema);
        (output, events)
    }

    /// Sends a request and reads the response whole.
    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (head, body) = self.open(request).await.into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    async fn open(&self, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        request.headers_mut().insert("host", HeaderValue::from_str(&self.address.to_string()).unwrap());
        sender.send_request(request).await.unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn chat(headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::post("/v1/chat/completions?trace=no")
        .header("content-type", "application/json")
        .body(Full::from(r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello"}]}"#))
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

/// What the upstream was sent: target, headers, body.
type Received = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// An upstream that answers every request with the recorded response.
async fn upstream(response: Value) -> (String, Received) {
    let received = Received::default();
    let keep = Arc::clone(&received);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            let (keep, response) = (Arc::clone(&keep), response.clone());
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let (keep, response) = (Arc::clone(&keep), response.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    keep.lock().unwrap().push((head.uri.to_string(), head.headers, body));
                    Ok::<_, hyper::Error>(recorded_response(&response))
                }
            });
            // A client that goes away ends its connection.
            tokio::spawn(
                async move { drop(auto::Builder::new(TokioExecutor::new()).serve_connection(io, service).await) },
            );
        }
    });
    (format!("http://{address}/base"), received)
}

fn recorded_response(response: &Value) -> Response<BoxBody<Bytes, std::convert::Infallible>> {
    let mut builder = Response::builder().status(u16::try_from(response["status"].as_u64().unwrap()).unwrap());
    for header in response["headers"].as_array().unwrap() {
        let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
        if !name.eq_ignore_ascii_case("transfer-encoding") {
            builder = builder.header(name, value);
        }
    }
    let body = match response["sse_chunks"].as_array() {
        None => Full::from(response["body"].as_str().unwrap().to_owned()).boxed(),
        Some(chunks) => {
            let chunks = chunks.clone();
            let frames = futures_util::stream::unfold(chunks.into_iter(), async |mut chunks| {
                let chunk = chunks.next()?.as_str().unwrap().to_owned();
                // Long enough for a client to hang up between two chunks.
                tokio::time::sleep(Duration::from_millis(30)).await;
                Some((Ok(Frame::data(Bytes::from(chunk))), chunks))
            });
            StreamBody::new(Box::pin(frames)).boxed()
        }
    };
    builder.body(body).unwrap()
}

/// What a request must be tagged with, worked out from the recorded headers and body alone.
fn expected_tags(headers: &HashMap<String, String>, body: &Value) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    if let Some(text) = headers.get("x-portkey-metadata") {
        for (key, value) in serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap() {
            let value = match value {
                Value::Null => continue,
                Value::String(text) => text.chars().take(128).collect(),
                other => other.to_string(),
            };
            tags.insert(key, value);
        }
    }
    let reserved = ["key", "provider", "provider-alias", "client", "trace-id", "span-path", "span-name"];
    for (name, value) in headers {
        if let Some(key) = name.strip_prefix("x-majordomo-").filter(|key| !reserved.contains(key)) {
            tags.entry(key.to_owned()).or_insert(value.clone());
        }
    }
    for member in headers.get("baggage").into_iter().flat_map(|baggage| baggage.split(',')) {
        let (key, value) = member.split_once('=').unwrap();
        tags.entry(key.to_owned()).or_insert(value.to_owned());
    }
    if let Some(user) = body["user"].as_str() {
        tags.entry("_user".to_owned()).or_insert(user.to_owned());
    }
    tags
}

/// Input, cached and output tokens by an independent reading of the recorded response, which is JSON or lines of it.
fn expected_usage(response: &str) -> Option<[u64; 3]> {
    let documents = response.lines().filter_map(|line| serde_json::from_str(line.trim_start_matches("data: ")).ok());
    let mut last: Option<[u64; 3]> = None;
    for document in documents.collect::<Vec<Value>>() {
        let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_u64);
        let zero = |pointer: &str| number(pointer).unwrap_or(0);
        for root in ["/usage", "/response/usage"] {
            let at = |key: &str| format!("{root}/{key}");
            if let Some(prompt) = number(&at("prompt_tokens")) {
                let cached = zero(&at("prompt_tokens_details/cached_tokens"));
                last = Some([prompt, cached, zero(&at("completion_tokens"))]);
            } else if let Some(input) = number(&at("input_tokens")) {
                let cached = zero(&at("cache_read_input_tokens")) + zero(&at("input_tokens_details/cached_tokens"));
                let beside = zero(&at("cache_read_input_tokens")) + zero(&at("cache_creation_input_tokens"));
                last = Some([input + beside, cached, zero(&at("output_tokens"))]);
            } else if let (Some(output), Some(last)) = (number(&at("output_tokens")), &mut last) {
                last[2] = output;
            }
        }
        if let Some(input) = number("/message/usage/input_tokens") {
            let cached = zero("/message/usage/cache_read_input_tokens");
            last = Some([input + cached + zero("/message/usage/cache_creation_input_tokens"), cached, 0]);
        }
        if let Some(prompt) = number("/usageMetadata/promptTokenCount") {
            let output = zero("/usageMetadata/candidatesTokenCount") + zero("/usageMetadata/thoughtsTokenCount");
            last = Some([prompt, zero("/usageMetadata/cachedContentTokenCount"), output]);
        }
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captures_of_real_sdks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let capture: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let name = capture["scenario"].as_str().unwrap();
        for exchange in capture["requests"].as_array().unwrap() {
            replay(name, exchange).await;
            replayed += 1;
        }
    }
    assert!(replayed >= 22, "{replayed} captures");
}

async fn replay(name: &str, exchange: &Value) {
    let response = &exchange["response_sent"];
    let (base, received) = upstream(response.clone()).await;
    let gateway = Gateway::start(name, &[("UPSTREAM", &base)]);
    let body = exchange["body_text"].as_str().unwrap().to_owned();
    let mut request = Request::post(exchange["target"].as_str().unwrap()).body(Full::from(body.clone())).unwrap();
    let mut headers = HashMap::new();
    for header in exchange["headers"].as_array().unwrap() {
        let (name, value) = (header[0].as_str().unwrap().to_ascii_lowercase(), header[1].as_str().unwrap());
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        headers.entry(name).or_insert(value.to_owned());
    }
    let aborts = name.contains("abort");
    let sent: Vec<&str> = match response["sse_chunks"].as_array() {
        Some(chunks) => chunks.iter().map(|chunk| chunk.as_str().unwrap()).collect(),
        None => vec![response["body"].as_str().unwrap()],
    };
    let answer = if aborts {
        let mut answer = gateway.open(request).await;
        let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, sent[0], "{name}");
        let (head, body) = answer.into_parts();
        drop(body);
        // The gateway notices when it writes the next chunk.
        tokio::time::sleep(Duration::from_millis(150)).await;
        Response::from_parts(head, first)
    } else {
        let answer = gateway.send(request).await;
        assert_eq!(answer.body(), sent.concat().as_str(), "{name}: the client gets the same bytes");
        answer
    };
    let (output, events) = gateway.stop();
    assert!(output.status.success(), "{name}: {output:?}");

    let (target, upstream_headers, upstream_body) = received.lock().unwrap().remove(0);
    assert_eq!(upstream_body, body.as_str(), "{name}: the upstream gets the same bytes");
    assert_eq!(target, format!("/base{}", exchange["target"].as_str().unwrap()), "{name}");
    for (header, value) in &headers {
        let is_consumed = header.starts_with("x-portkey-") || header.starts_with("x-majordomo");
        let is_per_hop = ["host", "connection", "traceparent"].contains(&header.as_str());
        let got = upstream_headers.get(header).map(|got| got.to_str().unwrap());
        if !is_per_hop {
            assert_eq!(got, if is_consumed { None } else { Some(value.as_str()) }, "{name}: {header}");
        }
    }

    assert_eq!(events.len(), 1, "{name}");
    let event = &events[0];
    let body_json = serde_json::from_str(&body).unwrap_or_default();
    assert_eq!(event["metadata"], json!(expected_tags(&headers, &body_json)), "{name}");
    let trace = &event["trace"];
    let explicit = headers.get("x-portkey-trace-id").or(headers.get("x-majordomo-trace-id"));
    assert_eq!(trace["client_trace_id"].as_str(), explicit.map(String::as_str), "{name}");
    if let Some(traceparent) = headers.get("traceparent") {
        assert_eq!(trace["trace_id"].as_str().unwrap(), &traceparent[3..35], "{name}");
    }
    assert_eq!(trace["span_name"].as_str(), headers.get("x-portkey-span-name").map(String::as_str), "{name}");
    let speaks_portkey = headers.keys().any(|name| name.starts_with("x-portkey-"));
    let reply = if speaks_portkey { "x-portkey-trace-id" } else { "x-trace-id" };
    let shown = trace["client_trace_id"].as_str().or(trace["trace_id"].as_str());
    assert_eq!(answer.headers()[reply].to_str().ok(), shown, "{name}");
    let traceparent = upstream_headers["traceparent"].to_str().unwrap();
    let parts: Vec<_> = traceparent.split('-').collect();
    assert_eq!([parts[1], parts[2]], [trace["trace_id"].as_str().unwrap(), trace["span_id"].as_str().unwrap()]);

    let llm = &event["llm"];
    assert_eq!(llm["request_model"].as_str(), body_json["model"].as_str().or(Some("gemini-2.5-flash")), "{name}");
    match expected_usage(&sent.concat()).filter(|_| !aborts) {
        Some([input, cached, output]) => {
            let usage = &llm["usage"];
            assert_eq!(usage["input_tokens"], input, "{name}: {llm:#}");
            assert_eq!(usage["cache_read_tokens"].as_u64().unwrap_or(0), cached, "{name}: {llm:#}");
            assert_eq!(usage["output_tokens"].as_u64().unwrap_or(0), output, "{name}: {llm:#}");
            assert_eq!((&llm["usage_status"], &llm["cost_status"]), (&json!("reported"), &json!("priced")), "{name}");
        }
        None => {
            assert_eq!((&llm["usage_status"], &llm["cost_usd"]), (&json!("absent"), &Value::Null), "{name}: {llm:#}");
        }
    }

    assert_eq!(event["outcome"], if aborts { "cancelled" } else { "completed" }, "{name}");
    assert_eq!(event["request"]["body_bytes"], body.len(), "{name}");
    if !aborts {
        assert_eq!(event["response"]["body_bytes"], sent.concat().len(), "{name}");
    }
}

/// Without an upstream, the demo provider answers in three dialects, unary and streamed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_provider() {
    let gateway = Gateway::start("demo", &[]);
    let post = |path: &str, body: Value| {
        Request::post(path).header("content-type", "application/json").body(Full::from(body.to_string())).unwrap()
    };
    let messages = json!([{"role": "user", "content": "Say hello"}]);
    let unary = gateway.send(post("/v1/chat/completions", json!({"model": "gpt-4o", "messages": messages}))).await;
    let unary: Value = serde_json::from_slice(unary.body()).unwrap();
    assert_eq!(unary["usage"]["total_tokens"], 9);
    let stream = json!({"model": "m", "messages": messages, "stream": true, "stream_options": {"include_usage": true}});
    let stream = gateway.send(post("/v1/chat/completions", stream)).await;
    let text = String::from_utf8_lossy(stream.body()).into_owned();
    assert!(text.contains("\"completion_tokens\":6") && text.ends_with("data: [DONE]\n\n"), "{text}");
    let unary = gateway.send(post("/v1/messages", json!({"model": "claude", "messages": messages}))).await;
    assert_eq!(serde_json::from_slice::<Value>(unary.body()).unwrap()["usage"]["output_tokens"], 6);
    let stream = gateway.send(post("/v1/messages", json!({"messages": messages, "stream": true}))).await;
    assert!(String::from_utf8_lossy(stream.body()).contains("event: message_delta"));
    let contents = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    let unary = gateway.send(post("/v1beta/models/gemini-2.5-flash:generateContent", contents.clone())).await;
    assert_eq!(serde_json::from_slice::<Value>(unary.body()).unwrap()["usageMetadata"]["totalTokenCount"], 7);
    let stream = gateway.send(post("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", contents)).await;
    assert!(String::from_utf8_lossy(stream.body()).contains("\"totalTokenCount\":7"));
    assert_eq!(gateway.send(post("/nowhere", json!({}))).await.status(), 404);
    let (output, events) = gateway.stop();
    assert_eq!(events.len(), 7);
    assert_eq!(events[0]["request"]["route"], "/v1/chat/completions");
    assert!(String::from_utf8_lossy(&output.stderr).contains("7 accepted, 7 delivered"), "{output:?}");
}

/// With `INCLUDE_USAGE` a stream's usage is on the event, and its client sees what it would have seen without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_that_nobody_asked_for() {
    let stream = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello"}], "stream": true});
    let asked = json!({"model": "gpt-4o", "messages": [], "stream": true, "stream_options": {"include_usage": true}});
    let mut answers = Vec::new();
    for include in ["off", "on"] {
        let gateway = Gateway::start(&format!("usage-{include}"), &[("INCLUDE_USAGE", include)]);
        for body in [&stream, &asked] {
            let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
            let answer = gateway.send(request.body(Full::from(body.to_string())).unwrap()).await;
            // The demo provider counts its answers.
            let text = String::from_utf8_lossy(answer.body()).into_owned();
            answers.push(text.lines().filter(|line| line.contains("\"choices\":[]")).count());
        }
        let (_, events) = gateway.stop();
        let statuses: Vec<_> = events.iter().map(|event| event["llm"]["usage_status"].as_str().unwrap()).collect();
        assert_eq!(statuses, [if include == "on" { "reported" } else { "absent" }, "reported"]);
    }
    assert_eq!(answers, [0, 1, 0, 1], "only who asked sees the extra chunk");
}

const SCOPES: &str = r#"{
    "workspaces": {"acme": {"metadata": {"tenant": "acme", "env": "prod"}}},
    "api_keys": {"gw-1": {"workspace": "acme", "metadata": {"team": "growth"}}}
}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_and_precedence() {
    let folder = TempFolder::new("gateway-scopes-file");
    std::fs::write(folder.file("scopes.json"), SCOPES).unwrap();
    let path = folder.file("scopes.json");
    let spoof = ("x-portkey-metadata", r#"{"env": "dev", "team": "spoofed", "own": "1"}"#);
    for (precedence, tags) in [
        ("strict", json!({"env": "prod", "own": "1", "team": "growth", "tenant": "acme"})),
        ("legacy", json!({"env": "dev", "own": "1", "team": "spoofed", "tenant": "acme"})),
    ] {
        let env = [("SCOPES", path.to_str().unwrap()), ("METADATA_PRECEDENCE", precedence)];
        let gateway = Gateway::start(&format!("scopes-{precedence}"), &env);
        for key in [("x-portkey-api-key", "gw-1"), ("x-majordomo-key", "gw-1"), ("authorization", "Bearer gw-1")] {
            assert_eq!(gateway.send(chat(&[spoof, key])).await.status(), 200);
        }
        gateway.send(chat(&[("authorization", "Bearer unknown")])).await;
        let (_, events) = gateway.stop();
        for event in &events[..3] {
            assert_eq!(event["metadata"], tags, "{precedence}");
            let shadowed = event["diagnostics"].as_array().unwrap().len();
            assert_eq!(shadowed, if precedence == "strict" { 2 } else { 0 });
        }
        assert_eq!(events[3]["metadata"], json!({}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_to_metadata_and_prefixes() {
    let env = [("HEADERS_TO_METADATA", "X-User-Id, x-tenant=tenant"), ("METADATA_PREFIXES", "x-tag-, x-label-")];
    let response = json!({"status": 200, "headers": [], "body": "hello"});
    let (base, received) = upstream(response).await;
    let gateway = Gateway::start("headers", &[env[0], env[1], ("UPSTREAM", &base)]);
    let headers = [("x-user-id", "ada"), ("x-tenant", "acme"), ("x-label-env", "prod"), ("x-majordomo-team", "no")];
    gateway.send(chat(&headers)).await;
    let (_, events) = gateway.stop();
    let (_, headers, _) = received.lock().unwrap().remove(0);
    // What only concerns tagging goes no further; what is on the allow-list does.
    assert!(!headers.contains_key("x-label-env") && !headers.contains_key("x-majordomo-team"));
    assert!(headers.contains_key("x-tenant"));
    assert_eq!(events[0]["metadata"], json!({"x-user-id": "ada", "tenant": "acme", "env": "prod"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_upstream_is_a_502_and_an_event() {
    // A port that was free a moment ago.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = Gateway::start("dead", &[("UPSTREAM", &format!("http://{dead}"))]);
    let response = gateway.send(chat(&[])).await;
    assert_eq!(response.status(), 502);
    assert_eq!(serde_json::from_slice::<Value>(response.body()).unwrap()["error"]["type"], "upstream_unreachable");
    let (output, events) = gateway.stop();
    assert!(output.status.success());
    assert_eq!(
        (events[0]["response"]["status"].as_u64(), events[0]["outcome"].as_str()),
        (Some(502), Some("completed"))
    );
    assert!(events[0]["error"].as_str().unwrap().starts_with("upstream_unreachable: "), "{}", events[0]["error"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_breaks_off_is_named_on_the_event() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", upstream.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = upstream.accept().await.unwrap();
        // Read to its end, so that closing the connection does not lose what was written.
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            assert!(connection.read_buf(&mut request).await.unwrap() > 0);
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
        connection.write_all(format!("{head}5\r\nhello\r\n").as_bytes()).await.unwrap();
    });
    let gateway = Gateway::start("broken", &[("UPSTREAM", &base)]);
    let response = gateway.open(chat(&[])).await;
    assert!(response.into_body().collect().await.is_err());
    let (output, events) = gateway.stop();
    assert!(output.status.success());
    assert_eq!(
        (events[0]["outcome"].as_str(), events[0]["response"]["body_bytes"].as_u64()),
        (Some("failed"), Some(5))
    );
    assert!(events[0]["error"].as_str().unwrap().starts_with("upstream_broke_off: "), "{}", events[0]["error"]);
}

/// What the upstream got and what the client got of one exchange over plain sockets, with the event; the upstream answers with
/// `response` once it has read what ends with `end`.
async fn over_sockets(request: &str, end: &str, response: &'static str) -> (String, String, Value) {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/base", upstream.local_addr().unwrap());
    let got = Arc::new(Mutex::new(String::new()));
    let (keep, end) = (got.clone(), end.to_owned());
    tokio::spawn(async move {
        let (mut connection, _) = upstream.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(end.as_bytes()) && connection.read_buf(&mut request).await.unwrap_or_default() > 0 {
            *keep.lock().unwrap() = String::from_utf8_lossy(&request).into_owned();
        }
        connection.write_all(response.as_bytes()).await.unwrap();
    });
    let gateway = Gateway::start("sockets", &[("UPSTREAM", &base)]);
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    let (_, events) = gateway.stop();
    let got = got.lock().unwrap().clone();
    (got, String::from_utf8_lossy(&answer).into_owned(), events[0].clone())
}

/// RFC 9110 and RFC 9112 on what a proxy does to messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_forwarded_as_the_rfcs_say() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    let empty = "\r\n\r\n";

    // The trace is ours, whatever the client says of its connection.
    let request = "GET /a HTTP/1.1\r\nhost: x\r\nconnection: close, traceparent, tracestate, x-hop\r\nx-hop: 1\r\n\r\n";
    let (got, _, event) = over_sockets(request, empty, OK).await;
    assert!(got.contains(event["trace"]["span_id"].as_str().unwrap()) && !got.contains("x-hop"), "{got}");

    // All of the server is what stands under the base; an authority alone is for CONNECT.
    let request = "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (got, ..) = over_sockets(request, empty, OK).await;
    assert!(got.starts_with("OPTIONS /base/ HTTP/1.1\r\n"), "{got}");
    let request = "GET admin:80 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (got, answer, event) = over_sockets(request, empty, OK).await;
    assert!(got.is_empty() && answer.starts_with("HTTP/1.1 400 "), "{got} {answer}");
    assert!(event["error"].as_str().unwrap().starts_with("invalid_target: "), "{event}");

    // A coding that is not undone must not be forgotten.
    let coded = "host: x\r\nconnection: close\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n";
    let (got, answer, _) = over_sockets(&format!("POST / HTTP/1.1\r\n{coded}"), empty, OK).await;
    assert!(got.is_empty() && answer.starts_with("HTTP/1.1 501 "), "{got} {answer}");
    let get = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let coded = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n";
    assert!(over_sockets(get, empty, coded).await.1.starts_with("HTTP/1.1 502 "));

    // Our version, not the upstream's.
    let answer = over_sockets(get, empty, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok").await.1;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");

    // No length that GET would not have.
    let head = "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (_, answer, event) = over_sockets(head, empty, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("content-length"), "{answer}");
    assert_eq!((&event["outcome"], &event["response"]["body_bytes"]), (&json!("completed"), &json!(0)));
    let answer = over_sockets(head, empty, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n").await.1;
    assert!(answer.contains("content-length: 7\r\n"), "{answer}");

    // Trailers both ways.
    let request = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close, te\r\nte: trailers\r\ntrailer: x-sum\r\n\
        transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\n\r\n";
    let response =
        "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nx-sum: 2\r\n\r\n";
    let (got, answer, _) = over_sockets(request, "x-sum: 1\r\n\r\n", response).await;
    assert!(got.contains("\r\nte: trailers\r\n") && got.ends_with("0\r\nx-sum: 1\r\n\r\n"), "{got}");
    assert!(answer.ends_with("0\r\nx-sum: 2\r\n\r\n"), "{answer}");

    // Who broke off.
    let request = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n";
    let (_, answer, event) = over_sockets(request, "never", OK).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(event["error"].as_str().unwrap().starts_with("client_broke_off: "), "{event}");
    let (_, answer, event) = over_sockets(get, empty, "no HTTP at all\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(event["error"].as_str().unwrap().starts_with("upstream_failed: "), "{event}");
}

/// RFC 9113, section 8.2.3: HTTP/2 may send the cookies of a request in several headers, HTTP/1.1 may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_of_http_2_are_one_header_upstream() {
    let (base, received) = upstream(json!({"status": 200, "headers": [], "body": "hello"})).await;
    let gateway = Gateway::start("cookies", &[("UPSTREAM", &base)]);
    let io = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut request = chat(&[("cookie", "a=1"), ("cookie", "b=2; c=3")]);
    *request.uri_mut() = format!("http://{}/v1/things", gateway.address).parse().unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    drop(sender);
    let (_, events) = gateway.stop();
    assert_eq!(events[0]["request"]["http_version"], "HTTP/2.0");
    let headers = received.lock().unwrap().remove(0).1;
    let cookies: Vec<_> = headers.get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1; b=2; c=3"]);
}

/// What both sides say passes; the event is that of the head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::{
        accept_hdr_async, client_async,
        tungstenite::{
            Message,
            client::IntoClientRequest,
            handshake::server::{Request, Response},
        },
    };

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/base", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut seen = None;
        #[allow(clippy::result_large_err, reason = "the callback's own type")]
        let see = |request: &Request, response: Response| {
            seen = Some((request.uri().to_string(), request.headers().clone()));
            Ok(response)
        };
        let mut socket = accept_hdr_async(listener.accept().await.unwrap().0, see).await.unwrap();
        while let Some(Ok(Message::Text(text))) = socket.next().await {
            socket.send(Message::text(format!("you said {text}"))).await.unwrap();
        }
        seen.unwrap()
    });
    let gateway = Gateway::start("websockets", &[("UPSTREAM", &base)]);
    let mut request = format!("ws://{}/v1/realtime?model=gpt-realtime", gateway.address).into_client_request().unwrap();
    request.headers_mut().insert("x-portkey-metadata", HeaderValue::from_static(r#"{"_user":"ada"}"#));
    let (mut socket, answer) = client_async(request, TcpStream::connect(gateway.address).await.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 101);
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        let Some(Ok(Message::Text(said))) = socket.next().await else { panic!("nothing came back") };
        assert_eq!(said, format!("you said {text}"));
    }
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    let (target, headers) = server.await.unwrap();
    assert_eq!(target, "/base/v1/realtime?model=gpt-realtime");
    assert!(headers.contains_key("traceparent") && !headers.contains_key("x-portkey-metadata"));
    let (output, events) = gateway.stop();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["outcome"], &events[0]["response"]["status"]), (&json!("upgraded"), &json!(101)));
    assert_eq!(events[0]["metadata"]["_user"], "ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tagging_off_is_the_bare_proxy() {
    let response = json!({"status": 200, "headers": [["content-type", "text/plain"]], "body": "hello"});
    let (base, received) = upstream(response).await;
    let gateway = Gateway::start("off", &[("UPSTREAM", &base), ("TAGGING", "off")]);
    let answer = gateway.send(chat(&[("x-portkey-metadata", "{}"), ("connection", "x-hop"), ("x-hop", "1")])).await;
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (200, b"hello".as_slice()));
    assert!(!answer.headers().contains_key("x-trace-id"));
    let (_, events) = gateway.stop();
    assert!(events.is_empty());
    let (target, headers, _) = received.lock().unwrap().remove(0);
    assert_eq!(target, "/base/v1/chat/completions?trace=no");
    assert!(headers.contains_key("x-portkey-metadata") && !headers.contains_key("x-hop"));
}

/// A stream at hand when the gateway is told to stop is served to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_on_sigterm() {
    let gateway = Gateway::start("drain", &[]);
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true}).to_string();
    let mut response = gateway.open(Request::post("/v1/chat/completions").body(Full::from(body)).unwrap()).await;
    response.frame().await.unwrap().unwrap();
    let stop = tokio::task::spawn_blocking(|| gateway.stop());
    let rest = response.into_body().collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    let (output, events) = stop.await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(events[0]["outcome"], "completed");
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("jsonl: 1 accepted, 1 delivered, 0 in flight\n"));
}

/// Told to stop twice, it waits for nobody, and its events still arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_not_drain_when_told_twice() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", silent.local_addr().unwrap());
    let mut gateway = Gateway::start("twice", &[("UPSTREAM", &upstream)]);
    let io = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = tokio::spawn(async move { sender.send_request(chat(&[("host", "gateway")])).await.is_err() });
    let _at_hand = silent.accept().await.unwrap();

    let child = gateway.child.as_mut().unwrap();
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let mut errors = String::new();
    let mut byte = [0];
    while !errors.contains("stopping") && child.stderr.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
        errors.push(byte[0].into());
    }
    let told = std::time::Instant::now();
    let (output, events) = tokio::task::spawn_blocking(|| gateway.stop()).await.unwrap();
    assert!(told.elapsed() < Duration::from_secs(9), "it waited");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["outcome"], "cancelled");
    assert!(request.await.unwrap());
}

/// Events on standard output, everything for people on standard error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_on_standard_output() {
    let gateway = Gateway::start("stdout", &[]);
    let mut child = command(&[("EVENTS", "-")]).spawn().unwrap();
    drop(gateway);
    let mut line = String::new();
    let mut byte = [0];
    while !line.ends_with('\n') && child.stderr.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
        line.push(byte[0].into());
    }
    let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let gateway = Gateway { child: Some(child), address, folder: TempFolder::new("gateway-stdout-2") };
    gateway.send(chat(&[])).await;
    let (output, _) = gateway.stop();
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    common::assert_schema(&lines[0]);
    let human = String::from_utf8(output.stderr).unwrap();
    assert!(human.contains("try: curl http://"), "{human}");
}

#[test]
fn bad_variables_end_it_with_one_line() {
    let folder = TempFolder::new("gateway-bad");
    let file = |name: &str, text: &str| {
        std::fs::write(folder.file(name), text).unwrap();
        folder.file(name).to_str().unwrap().to_owned()
    };
    let long = "x".repeat(200);
    let over = file("over.json", &json!({"workspaces": {"w": {"metadata": {"k": long}}}}).to_string());
    let lost = file("lost.json", r#"{"api_keys": {"secret-key": {"workspace": "nowhere"}}}"#);
    let broken = file("broken.json", "{");
    let misplaced = file("misplaced.json", r#"{"secret-key": {}}"#);
    let keyless = file("keyless.json", r#"{"api_keys": {"": {}}}"#);
    let twice =
        file("twice.json", r#"{"api_keys": {"secret-key": {"metadata": {"tenant": "acme"}}, "secret-key": {}}}"#);
    let list = file("list.json", r#"[{}, {"secret-key": ["acme"]}]"#);
    for (name, value) in [
        ("LISTEN", "nowhere"),
        ("UPSTREAM", "ftp://example.com"),
        ("UPSTREAM", "/just/a/path"),
        ("UPSTREAM", "http://user:password@example.com"),
        ("UPSTREAM", "http://example.com:99999"),
        ("UPSTREAM", "http://example.com:0"),
        ("UPSTREAM", "http://:80"),
        ("UPSTREAM", "http://example.com#part"),
        ("STORE", "postgres://"),
        ("EVENTS", "/no/such/folder/events.jsonl"),
        ("SCOPES", "/no/such/file.json"),
        ("SCOPES", &over),
        ("SCOPES", &lost),
        ("SCOPES", &broken),
        ("SCOPES", &misplaced),
        ("SCOPES", &list),
        ("SCOPES", &keyless),
        ("SCOPES", &twice),
        ("HEADERS_TO_METADATA", "x-ok, authorization"),
        ("HEADERS_TO_METADATA", "x ok"),
        ("HEADERS_TO_METADATA", "x-ok=a=b"),
        ("METADATA_PREFIXES", "x-ok-, in valid"),
        ("METADATA_PRECEDENCE", "loose"),
        ("TAGGING", "maybe"),
        ("INCLUDE_USAGE", "maybe"),
    ] {
        let output = command(&[(name, value)]).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(name) && !errors.contains("secret-key"), "{errors}");
    }
    // Lines among the pages of a database.
    let both = folder.file("both").display().to_string();
    let output = command(&[("EVENTS", &both), ("STORE", &format!("sqlite:{both}"))]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1), "{errors}");
    assert!(errors.contains("EVENTS") && errors.contains("STORE"), "{errors}");
    // A port that is taken is no bad variable, but it is said which.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(&[("LISTEN", &address)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&address));
}

/// Killed in mid-work, again and again: what a client was answered in full is stored, and once.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_no_event_that_was_answered() {
    const ROUNDS: usize = 20;
    let folder = TempFolder::new("kill-9");
    let store = format!("sqlite:{}", folder.file("events.db").display());
    let spool = folder.file("spool").display().to_string();
    let env = [("STORE", store.as_str()), ("SPOOL", spool.as_str())];
    let answered: Arc<Mutex<Vec<String>>> = Arc::default();
    for round in 0..ROUNDS {
        let mut gateway = Gateway::start("killed", &env);
        let address = gateway.address;
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let answered = Arc::clone(&answered);
                tokio::spawn(async move {
                    // Until the connection breaks.
                    let io = TokioIo::new(TcpStream::connect(address).await.ok()?);
                    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
                    tokio::spawn(connection);
                    for number in 0.. {
                        let id = format!("{round}-{client}-{number}");
                        let mut request = chat(&[("x-majordomo-request", &id)]);
                        request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
                        sender.ready().await.ok()?;
                        let response = sender.send_request(request).await.ok()?;
                        let is_ok = response.status().is_success();
                        response.into_body().collect().await.ok()?;
                        if is_ok {
                            answered.lock().unwrap().push(id);
                        }
                    }
                    Some(())
                })
            })
            .collect();
        // A different moment in each round.
        tokio::time::sleep(Duration::from_millis(120 + 23 * round as u64)).await;
        let mut child = gateway.child.take().unwrap();
        // The signal 9.
        child.kill().unwrap();
        child.wait().unwrap();
        for client in clients {
            client.await.unwrap();
        }
    }
    let answered = std::mem::take(&mut *answered.lock().unwrap());
    assert!(answered.len() > 1000, "only {} requests were answered", answered.len());
    // The last process delivers what the others left.
    let gateway = Gateway::start("killed", &env);
    let database = rusqlite::Connection::open(folder.file("events.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    let stored = || -> HashMap<String, u32> {
        let mut query =
            database.prepare("SELECT raw_metadata->>'request', COUNT(*) FROM tagging_events GROUP BY 1").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let is_complete = || {
        let stored = stored();
        answered.iter().all(|id| stored.contains_key(id))
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_complete() && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (output, _) = gateway.stop();
    let stored = stored();
    let lost: Vec<_> = answered.iter().filter(|id| !stored.contains_key(*id)).collect();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(lost.is_empty(), "{} of {} are lost, {:?} among them: {text}", lost.len(), answered.len(), lost.first());
    assert!(stored.values().all(|count| *count == 1), "none twice");
    assert!(text.contains("sqlite: "), "{text}");
    println!("{} answered over {ROUNDS} kills, {} stored", answered.len(), stored.len());
}
