//! Runs the gateway example end to end, with real sockets and a mock upstream. Replays requests that were recorded from
//! real SDKs (`captures/`).

mod common;
#[path = "common/gateway.rs"]
mod gateway;

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{TempFolder, delivery::wait_until};
use gateway::{Gateway, chat, command};
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
use tower_tagging::{
    analytics::{Analytics, Grant, Query, TimeRange, jiff::Timestamp},
    registry::{ApiKey, SecretDigest},
    store::SqliteStore,
};

/// The requests that the upstream received: target, headers, and body.
type Received = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// Starts an upstream that answers every request with the recorded response.
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
            // Serving fails when a client disconnects.
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

/// Computes the expected tags of a request from its recorded headers and body.
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

/// Reads input, cached, and output tokens from the recorded response, independently of the crate. The response is JSON
/// or lines of JSON.
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
                let uncounted = zero(&at("cache_read_input_tokens")) + zero(&at("cache_creation_input_tokens"));
                last = Some([input + uncounted, cached, zero(&at("output_tokens"))]);
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
async fn replays_captures_of_real_sdks() {
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
        // The gateway detects the disconnect when it writes the next chunk.
        tokio::time::sleep(Duration::from_millis(150)).await;
        Response::from_parts(head, first)
    } else {
        let answer = gateway.send(request).await;
        assert_eq!(answer.body(), sent.concat().as_str(), "{name}: the client receives the same bytes");
        answer
    };
    let (output, events) = gateway.stop();
    assert!(output.status.success(), "{name}: {output:?}");

    let (target, upstream_headers, upstream_body) = received.lock().unwrap().remove(0);
    assert_eq!(upstream_body, body.as_str(), "{name}: the upstream receives the same bytes");
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
    let uses_portkey = headers.keys().any(|name| name.starts_with("x-portkey-"));
    let reply = if uses_portkey { "x-portkey-trace-id" } else { "x-trace-id" };
    let expected = trace["client_trace_id"].as_str().or(trace["trace_id"].as_str());
    assert_eq!(answer.headers()[reply].to_str().ok(), expected, "{name}");
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

/// Covers three APIs, unary and streamed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_provider_answers_without_an_upstream() {
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

/// The client sees the same stream with and without `INCLUDE_USAGE`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn include_usage_puts_the_usage_of_streams_on_events() {
    let stream = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello"}], "stream": true});
    let requesting =
        json!({"model": "gpt-4o", "messages": [], "stream": true, "stream_options": {"include_usage": true}});
    let mut answers = Vec::new();
    for include in ["off", "on"] {
        let gateway = Gateway::start(&format!("usage-{include}"), &[("INCLUDE_USAGE", include)]);
        for body in [&stream, &requesting] {
            let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
            let answer = gateway.send(request.body(Full::from(body.to_string())).unwrap()).await;
            let text = String::from_utf8_lossy(answer.body()).into_owned();
            answers.push(text.lines().filter(|line| line.contains("\"choices\":[]")).count());
        }
        let (_, events) = gateway.stop();
        let statuses: Vec<_> = events.iter().map(|event| event["llm"]["usage_status"].as_str().unwrap()).collect();
        assert_eq!(statuses, [if include == "on" { "reported" } else { "absent" }, "reported"]);
    }
    assert_eq!(answers, [0, 1, 0, 1], "only clients that requested usage receive the extra chunk");
}

/// Returns the definition of an API key in a configuration file.
fn api_key(key: &str, rest: Value) -> Value {
    let Value::Object(mut definition) = rest else { panic!("expected an object") };
    definition.insert("secrets".to_owned(), json!([{"sha256": SecretDigest::of(key).to_string()}]));
    definition.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn precedence_decides_between_trusted_scopes_and_the_client() {
    let folder = TempFolder::new("gateway-config-file");
    let path = folder.file("gateway.json");
    let config = json!({
        "workspaces": {"acme": {"metadata": {"tenant": "acme", "env": "prod"}}},
        "api_keys": {"web": api_key("gw-1", json!({"workspace": "acme", "metadata": {"team": "growth"}}))}
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let spoof = ("x-portkey-metadata", r#"{"env": "dev", "team": "spoofed", "own": "1"}"#);
    for (precedence, tags) in [
        ("strict", json!({"env": "prod", "own": "1", "team": "growth", "tenant": "acme"})),
        ("legacy", json!({"env": "dev", "own": "1", "team": "spoofed", "tenant": "acme"})),
    ] {
        let env = [("CONFIG", path.to_str().unwrap()), ("METADATA_PRECEDENCE", precedence)];
        let gateway = Gateway::start(&format!("config-{precedence}"), &env);
        for key in [("x-portkey-api-key", "gw-1"), ("x-majordomo-key", "gw-1"), ("authorization", "Bearer gw-1")] {
            assert_eq!(gateway.send(chat(&[spoof, key])).await.status(), 200);
        }
        gateway.send(chat(&[("authorization", "Bearer unknown")])).await;
        let (_, events) = gateway.stop();
        for event in &events[..3] {
            assert_eq!(event["metadata"], tags, "{precedence}");
            assert_eq!((&event["api_key"], &event["workspace"]), (&json!("web"), &json!("acme")));
            let shadowed = event["diagnostics"].as_array().unwrap().len();
            assert_eq!(shadowed, if precedence == "strict" { 2 } else { 0 });
        }
        assert_eq!(events[3]["metadata"], json!({}));
    }
}

/// The same rules decide what authenticates a caller and what is forwarded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_key_authenticates_and_is_not_forwarded() {
    let folder = TempFolder::new("gateway-known-keys");
    let path = folder.file("gateway.json");
    let keys = [("gw-1", "acme"), ("gw-2", "umbrella"), ("123", "short"), ("gw,3", "comma")];
    let keys = keys.map(|(key, tenant)| (tenant.to_owned(), api_key(key, json!({"metadata": {"tenant": tenant}}))));
    let config = json!({"api_keys": serde_json::Map::from_iter(keys)});
    std::fs::write(&path, config.to_string()).unwrap();
    let response = json!({"status": 200, "headers": [["content-type", "text/plain"]], "body": "hello"});
    let (base, received) = upstream(response).await;
    let gateway = Gateway::start("known-keys", &[("UPSTREAM", &base), ("CONFIG", path.to_str().unwrap())]);
    type Headers<'a> = &'a [(&'a str, &'a str)];
    // The headers of a request, the tenant, and the headers that are forwarded.
    let cases: &[(Headers<'_>, Option<&str>, Headers<'_>)] = &[
        (&[("authorization", "Bearer gw-1")], Some("acme"), &[]),
        (&[("authorization", "bearer gw-1")], Some("acme"), &[]),
        (&[("authorization", "BEARER   gw-1  ")], Some("acme"), &[]),
        (&[("authorization", "Bearer\tgw-1")], Some("acme"), &[]),
        (&[("authorization", "Bearer \t gw-1\t")], Some("acme"), &[]),
        (&[("authorization", "gw-1")], Some("acme"), &[]),
        (&[("authorization", "Bearer, gw-1")], Some("acme"), &[]),
        (&[("authorization", "Bearer sk-own, Bearer gw-1")], Some("acme"), &[]),
        (&[("authorization", "Bearer gw,3")], Some("comma"), &[]),
        (&[("x-portkey-api-key", "gw-1")], Some("acme"), &[]),
        (&[("x-majordomo-key", "Bearer gw-1")], Some("acme"), &[]),
        (&[("x-api-key", "gw-1")], Some("acme"), &[]),
        (&[("api-key", "gw-1")], Some("acme"), &[]),
        (&[("x-goog-api-key", "gw-1")], Some("acme"), &[]),
        // Keys for the upstream.
        (&[("authorization", "Bearer sk-own")], None, &[("authorization", "Bearer sk-own")]),
        (&[("authorization", "Bearer\tsk-own")], None, &[("authorization", "Bearer\tsk-own")]),
        (&[("authorization", "Basic Z3ctMTo=")], None, &[("authorization", "Basic Z3ctMTo=")]),
        (&[("authorization", "Bearer gw-10")], None, &[("authorization", "Bearer gw-10")]),
        (&[("authorization", "Bearer GW-1")], None, &[("authorization", "Bearer GW-1")]),
        (&[("authorization", "Bearer")], None, &[("authorization", "Bearer")]),
        (&[("authorization", "")], None, &[("authorization", "")]),
        (
            &[("x-api-key", "sk-ant"), ("x-goog-api-key", "g")],
            None,
            &[("x-api-key", "sk-ant"), ("x-goog-api-key", "g")],
        ),
        // The dialects' headers are never forwarded, even with a key that is not known.
        (&[("x-portkey-api-key", "unknown"), ("x-majordomo-key", "unknown")], None, &[]),
        // Several values and headers.
        (
            &[("authorization", "Bearer sk-own"), ("authorization", "Bearer gw-1")],
            Some("acme"),
            &[("authorization", "Bearer sk-own")],
        ),
        (
            &[("authorization", "Bearer gw-1"), ("authorization", "Bearer sk-own"), ("authorization", "Bearer gw-2")],
            Some("acme"),
            &[("authorization", "Bearer sk-own")],
        ),
        (
            &[("x-portkey-api-key", "gw-2"), ("authorization", "Bearer sk-own")],
            Some("umbrella"),
            &[("authorization", "Bearer sk-own")],
        ),
        (&[("authorization", "Bearer gw-1"), ("x-portkey-api-key", "gw-2")], Some("umbrella"), &[]),
        (&[("x-portkey-api-key", "unknown"), ("x-portkey-api-key", "gw-2")], Some("umbrella"), &[]),
        (&[("x-portkey-api-key", "unknown"), ("authorization", "Bearer gw-1")], Some("acme"), &[]),
        (&[("authorization", "Bearer gw-1"), ("x-api-key", "sk-ant")], Some("acme"), &[("x-api-key", "sk-ant")]),
        // A known key is not forwarded in any header for credentials, but only the headers above authenticate.
        (&[("helicone-auth", "Bearer gw-1"), ("x-auth-token", "gw-2")], None, &[]),
        (
            &[("proxy-authorization", "Bearer gw-1"), ("x-secret", "gw-2"), ("x-other", "ok")],
            None,
            &[("x-other", "ok")],
        ),
        // A header that is not for credentials may have the same value as a key.
        (&[("x-number", "123"), ("x-api-key", "123")], Some("short"), &[("x-number", "123")]),
    ];
    for (headers, _, _) in cases {
        assert_eq!(gateway.send(chat(headers)).await.status(), 200, "{headers:?}");
    }
    // Bytes that are not ASCII.
    let mut request = chat(&[]);
    for value in [&b"Bearer gw-1, Bearer \xff"[..], b"Bearer \xe9"] {
        request.headers_mut().append("authorization", HeaderValue::from_bytes(value).unwrap());
    }
    gateway.send(request).await;
    let (output, events) = gateway.stop();
    let received = std::mem::take(&mut *received.lock().unwrap());
    assert_eq!((events.len(), received.len()), (cases.len() + 1, cases.len() + 1), "{output:?}");
    let common = ["accept", "content-type", "content-length", "host", "traceparent"];
    for (((headers, tenant, forwarded), event), (_, found, _)) in cases.iter().zip(&events).zip(&received) {
        assert_eq!(event["metadata"]["tenant"].as_str(), *tenant, "{headers:?}");
        let found: Vec<_> = found
            .iter()
            .filter(|(name, _)| !common.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(found, *forwarded, "{headers:?}");
    }
    assert_eq!(events.last().unwrap()["metadata"]["tenant"], "acme");
    let values: Vec<_> = received.last().unwrap().1.get_all("authorization").iter().collect();
    assert_eq!(values, [&HeaderValue::from_bytes(b"Bearer \xe9").unwrap()]);
    let events = json!(events).to_string();
    assert!(["gw-1", "gw-2", "sk-own", "sk-ant"].iter().all(|key| !events.contains(key)), "events have no keys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allow_listed_and_prefixed_headers_become_tags() {
    let env = [("HEADERS_TO_METADATA", "X-User-Id, x-tenant=tenant"), ("METADATA_PREFIXES", "x-tag-, x-label-")];
    let response = json!({"status": 200, "headers": [], "body": "hello"});
    let (base, received) = upstream(response).await;
    let gateway = Gateway::start("headers", &[env[0], env[1], ("UPSTREAM", &base)]);
    let headers = [("x-user-id", "ada"), ("x-tenant", "acme"), ("x-label-env", "prod"), ("x-majordomo-team", "no")];
    gateway.send(chat(&headers)).await;
    let (_, events) = gateway.stop();
    let (_, headers, _) = received.lock().unwrap().remove(0);
    // Headers that only concern tagging are not forwarded. Allow-listed headers are.
    assert!(!headers.contains_key("x-label-env") && !headers.contains_key("x-majordomo-team"));
    assert!(headers.contains_key("x-tenant"));
    assert_eq!(events[0]["metadata"], json!({"x-user-id": "ada", "tenant": "acme", "env": "prod"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_upstream_results_in_a_502_and_an_event() {
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
async fn records_an_aborted_response_of_the_upstream() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", upstream.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = upstream.accept().await.unwrap();
        // Unread data would reset the connection and lose the response.
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

/// Sends a request over plain sockets. Returns what the upstream received, what the client received, and the event. The
/// upstream answers with `response` after it has read `end`.
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

/// Rules for proxies in RFC 9110 and RFC 9112.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwards_messages_as_the_rfcs_require() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    let empty = "\r\n\r\n";

    // Trace headers are forwarded even if the client lists them as hop-by-hop.
    let request = "GET /a HTTP/1.1\r\nhost: x\r\nconnection: close, traceparent, tracestate, x-hop\r\nx-hop: 1\r\n\r\n";
    let (got, _, event) = over_sockets(request, empty, OK).await;
    assert!(got.contains(event["trace"]["span_id"].as_str().unwrap()) && !got.contains("x-hop"), "{got}");

    // `*` means everything under the base. Only CONNECT may use an authority alone.
    let request = "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (got, ..) = over_sockets(request, empty, OK).await;
    assert!(got.starts_with("OPTIONS /base/ HTTP/1.1\r\n"), "{got}");
    let request = "GET admin:80 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (got, answer, event) = over_sockets(request, empty, OK).await;
    assert!(got.is_empty() && answer.starts_with("HTTP/1.1 400 "), "{got} {answer}");
    assert!(event["error"].as_str().unwrap().starts_with("invalid_target: "), "{event}");

    // Transfer codings that are not decoded are rejected.
    let coded = "host: x\r\nconnection: close\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n";
    let (got, answer, _) = over_sockets(&format!("POST / HTTP/1.1\r\n{coded}"), empty, OK).await;
    assert!(got.is_empty() && answer.starts_with("HTTP/1.1 501 "), "{got} {answer}");
    let get = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let coded = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n";
    assert!(over_sockets(get, empty, coded).await.1.starts_with("HTTP/1.1 502 "));

    // The response has the gateway's version, not the upstream's.
    let answer = over_sockets(get, empty, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok").await.1;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");

    // HEAD has no `content-length` that GET would not have.
    let head = "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (_, answer, event) = over_sockets(head, empty, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("content-length"), "{answer}");
    assert_eq!((&event["outcome"], &event["response"]["body_bytes"]), (&json!("completed"), &json!(0)));
    let answer = over_sockets(head, empty, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n").await.1;
    assert!(answer.contains("content-length: 7\r\n"), "{answer}");

    // Trailers are forwarded both ways.
    let request = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close, te\r\nte: trailers\r\ntrailer: x-sum\r\n\
        transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\n\r\n";
    let response =
        "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nx-sum: 2\r\n\r\n";
    let (got, answer, _) = over_sockets(request, "x-sum: 1\r\n\r\n", response).await;
    assert!(got.contains("\r\nte: trailers\r\n") && got.ends_with("0\r\nx-sum: 1\r\n\r\n"), "{got}");
    assert!(answer.ends_with("0\r\nx-sum: 2\r\n\r\n"), "{answer}");

    // The error names the side that aborted.
    let request = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n";
    let (_, answer, event) = over_sockets(request, "never", OK).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(event["error"].as_str().unwrap().starts_with("client_broke_off: "), "{event}");
    let (_, answer, event) = over_sockets(get, empty, "no HTTP at all\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(event["error"].as_str().unwrap().starts_with("upstream_failed: "), "{event}");
}

/// HTTP/2 may split cookies into several headers, but HTTP/1.1 may not (RFC 9113, section 8.2.3).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_the_cookies_of_http_2_requests() {
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

/// Reads the head of a message, up to its empty line.
async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

/// Bytes are forwarded both ways after the handshake. The event describes the handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_websockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/base", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut socket = listener.accept().await.unwrap().0;
        let head = read_head(&mut socket).await;
        // The example in RFC 6455, section 1.3.
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        socket.write_all(answer.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = socket.split();
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        head
    });
    let gateway = Gateway::start("websockets", &[("UPSTREAM", &base)]);
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let request = "GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        x-portkey-metadata: {\"_user\":\"ada\"}\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let answer = read_head(&mut socket).await;
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    for header in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-accept: s3ppl"] {
        assert!(answer.contains(header), "{answer}");
    }
    for sent in ["one", "two"] {
        socket.write_all(sent.as_bytes()).await.unwrap();
        let mut echo = [0; 3];
        socket.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, sent.as_bytes());
    }
    socket.shutdown().await.unwrap();
    assert_eq!(socket.read(&mut [0]).await.unwrap(), 0, "the tunnel ends with the client");
    let head = server.await.unwrap();
    assert!(head.starts_with("get /base/v1/realtime?model=gpt-realtime http/1.1\r\n"), "{head}");
    for header in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-key: ", "traceparent: "] {
        assert!(head.contains(header), "{head}");
    }
    assert!(!head.contains("x-portkey-metadata"), "{head}");
    let (output, events) = gateway.stop();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["outcome"], &events[0]["response"]["status"]), (&json!("upgraded"), &json!(101)));
    assert_eq!(events[0]["metadata"]["_user"], "ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwards_unchanged_headers_with_tagging_off() {
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

/// Streams that are open at the signal are served to their end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_open_requests_on_sigterm() {
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

/// Events are delivered even if requests are not drained.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_signal_stops_without_draining() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", silent.local_addr().unwrap());
    let mut gateway = Gateway::start("twice", &[("UPSTREAM", &upstream)]);
    let io = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = tokio::spawn(async move { sender.send_request(chat(&[("host", "gateway")])).await.is_err() });
    let _open = silent.accept().await.unwrap();

    let child = gateway.child.as_mut().unwrap();
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let mut errors = String::new();
    let mut byte = [0];
    while !errors.contains("stopping") && child.stderr.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
        errors.push(byte[0].into());
    }
    let signaled = std::time::Instant::now();
    let (output, events) = tokio::task::spawn_blocking(|| gateway.stop()).await.unwrap();
    assert!(signaled.elapsed() < Duration::from_secs(9), "the gateway waited for open requests");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["outcome"], "cancelled");
    assert!(request.await.unwrap());
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// As `logrotate` does: it renames the file, and may send a signal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reopens_its_file_after_log_rotation_and_on_sighup() {
    let mut gateway = Gateway::start("rotation", &[]);
    let file = gateway.folder.file("events.jsonl");
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
    for (round, is_signaled) in [false, true, true, false].into_iter().enumerate() {
        gateway.send(chat(&[])).await;
        wait_until(|| lines(&file) == 1);
        let old = gateway.folder.file(&format!("events.jsonl.{round}"));
        std::fs::rename(&file, &old).unwrap();
        if is_signaled {
            signal(gateway.child.as_ref().unwrap(), "-HUP");
            wait_until(|| file.exists());
        }
    }
    gateway.send(chat(&[])).await;
    for round in 0..4 {
        assert_eq!(lines(&gateway.folder.file(&format!("events.jsonl.{round}"))), 1);
    }
    // A path that cannot be opened is reported, and the gateway keeps running.
    wait_until(|| lines(&file) == 1);
    std::fs::rename(&file, gateway.folder.file("last.jsonl")).unwrap();
    std::fs::create_dir(&file).unwrap();
    signal(gateway.child.as_ref().unwrap(), "-HUP");
    read_until(gateway.child.as_mut().unwrap(), "gateway: EVENTS: cannot reopen ");
    gateway.send(chat(&[])).await;
    std::fs::remove_dir(&file).unwrap();
    let (output, events) = gateway.stop();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("6 accepted, 6 delivered"), "{text}");
    assert_eq!(events.len(), 1);
}

/// Without a file, the gateway leaves SIGHUP as it was: it ends a process, unless `nohup` ignores it.
#[cfg(target_os = "linux")]
#[test]
fn leaves_sighup_alone_without_a_file() {
    use std::os::unix::process::ExitStatusExt;

    for is_ignored in [false, true] {
        // The tests themselves may run under `nohup`.
        let wrapper: &[&str] = if is_ignored { &["nohup"] } else { &["env", "--default-signal=HUP"] };
        let mut child = through(wrapper, &command(&[("EVENTS", "-")])).spawn().unwrap();
        read_until(&mut child, "gateway: http://");
        signal(&child, "-HUP");
        if is_ignored {
            signal(&child, "-TERM");
        }
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.signal(), (!is_ignored).then_some(1), "ignored: {is_ignored}, {text}");
        assert_eq!((output.status.success(), text.contains("gateway: stopping")), (is_ignored, is_ignored), "{text}");
    }
}

/// With a file, SIGHUP reopens it, also under `nohup`.
#[cfg(target_os = "linux")]
#[test]
fn reopens_its_file_on_sighup_under_nohup() {
    let folder = TempFolder::new("gateway-nohup");
    let file = folder.file("events.jsonl");
    let mut child = through(&["nohup"], &command(&[("EVENTS", file.to_str().unwrap())])).spawn().unwrap();
    read_until(&mut child, "gateway: http://");
    std::fs::rename(&file, folder.file("old.jsonl")).unwrap();
    signal(&child, "-HUP");
    wait_until(|| file.exists());
    signal(&child, "-TERM");
    assert!(child.wait_with_output().unwrap().status.success());
}

/// Returns a command that runs another one through a program that changes the effect of SIGHUP and becomes the other one.
#[cfg(target_os = "linux")]
fn through(wrapper: &[&str], inner: &Command) -> Command {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads standard error up to the end of a line that contains a text.
#[cfg(target_os = "linux")]
fn read_until(child: &mut Child, text: &str) {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while child.stderr.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
        line.push(byte[0]);
        if byte[0] == b'\n' && String::from_utf8_lossy(&line).contains(text) {
            return;
        }
    }
    panic!("{}", String::from_utf8_lossy(&line));
}

/// Messages for humans go to standard error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_events_to_standard_output() {
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
fn rejects_invalid_variables_with_one_line() {
    let folder = TempFolder::new("gateway-bad");
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
        ("CONFIG", "/no/such/file.toml"),
        ("CONFIG_CHECK", "maybe"),
        ("CONFIG_CHECK", "1"),
        ("HEADERS_TO_METADATA", "x-ok, authorization"),
        ("HEADERS_TO_METADATA", "x ok"),
        ("HEADERS_TO_METADATA", "x-ok=a=b"),
        ("METADATA_PREFIXES", "x-ok-, in valid"),
        ("METADATA_PRECEDENCE", "loose"),
        ("METADATA_KEY_CASE", "camel"),
        ("TAGGING", "maybe"),
        ("INCLUDE_USAGE", "maybe"),
    ] {
        let output = command(&[(name, value)]).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(name), "{errors}");
    }
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateway/gateway.toml");
    let output = command(&[("TAGGING", "off"), ("CONFIG", sample.to_str().unwrap())]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "the registry would have no effect");
    // A file cannot hold both JSON lines and a database.
    let both = folder.file("both").display().to_string();
    let output = command(&[("EVENTS", &both), ("STORE", &format!("sqlite:{both}"))]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1), "{errors}");
    assert!(errors.contains("EVENTS") && errors.contains("STORE"), "{errors}");
    // An occupied port is not an invalid variable, but the error names it.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(&[("LISTEN", &address)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&address));
}

/// `CONFIG_CHECK` and the start of the gateway report every problem of the file.
#[test]
fn reports_every_problem_of_the_configuration_file() {
    let folder = TempFolder::new("gateway-problems");
    let path = folder.file("gateway.toml");
    let text = "[api_keys.web]\nworkspce = \"acme\"\nsecrets = [{ sha256 = \"abc\" }]\n\n[[limits]]\nname = \"x\"\nkind = \"budget\"\n\
         amount = \"5 USD\"\nwindow = \"fortnight\"\n\n[access]\nunknown_keys = \"deny\"\n\n\
         [analytics]\nzone = \"Mars\"\nretention = { rows = \"long\" }\n";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    for env in [&[("CONFIG", path)][..], &[("CONFIG", path), ("CONFIG_CHECK", "1")]] {
        let output = command(env).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        let places: Vec<_> = errors.lines().map(|line| line.split(": ").nth(1).unwrap().to_owned()).collect();
        let expected = ["2:1", "3:23", "5:1", "9:10", "12:16", "15:8", "16:22"].map(|place| format!("{path}:{place}"));
        assert_eq!(places, expected, "{errors}");
        assert!(errors.contains("did you mean \"workspace\"?"), "{errors}");
    }
    std::fs::write(path, " \n").unwrap();
    let output = command(&[("CONFIG", path), ("CONFIG_CHECK", "1")]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a file that is about to be written is empty");
    std::fs::write(path, "[access]\n").unwrap();
    let output = command(&[("CONFIG", path), ("CONFIG_CHECK", "1")]).output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), format!("{path}: no problems\n").as_bytes()));
}

/// A key may be anywhere in the file by mistake, and even in the variable.
#[test]
fn errors_about_the_configuration_never_quote_a_key() {
    let secret = ApiKey::generate("live").unwrap();
    let secret = secret.expose();
    let hidden = secret.rsplit('_').nth(1).unwrap();
    let folder = TempFolder::new("gateway-misplaced-keys");
    let refused = |value: &str| {
        let output = command(&[("CONFIG", value)]).output().unwrap();
        let errors = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with("gateway: ") && !errors.contains(hidden), "{errors}");
    };
    let definition = api_key("k", json!({}));
    for (name, text) in [
        ("json", json!(secret).to_string()),
        ("json", json!({secret: {}}).to_string()),
        ("json", json!({"api_keys": secret}).to_string()),
        ("json", json!({"api_keys": [secret]}).to_string()),
        ("json", json!({"api_keys": {secret: {}}}).to_string()),
        ("json", json!({"api_keys": {"a": {"secrets": [secret]}}}).to_string()),
        ("json", json!({"api_keys": {"a": {"secrets": [{"sha256": secret}]}}}).to_string()),
        ("json", json!({"api_keys": {"a": api_key("k", json!({"workspace": secret}))}}).to_string()),
        ("json", json!({"api_keys": {"a": api_key("k", json!({"metadata": {secret: 1}}))}}).to_string()),
        ("json", json!({"api_keys": {"a": api_key("k", json!({"permissions": [secret]}))}}).to_string()),
        ("json", json!({"api_keys": {"a": definition, "b": definition, secret: definition}}).to_string()),
        (
            "json",
            json!({"contract": {"mode": "reject", "schema": {secret: 1, "required": [secret, secret]}}}).to_string(),
        ),
        (
            "json",
            json!({"api_keys": {"a": api_key("k", json!({"contract": {"schema": {"properties": {secret: 1}}}}))}})
                .to_string(),
        ),
        ("json", format!("{{\"api_keys\": {secret}}}")),
        ("json", format!("{{\"{secret}\": 1, \"{secret}\": 2}}")),
        ("toml", secret.to_owned()),
        ("toml", format!("api_keys = {secret}")),
        ("toml", format!("[api_keys.{secret}]\n[api_keys.{secret}]")),
        ("toml", format!("[virtual_keys.a]\nsecret_env = \"{secret}\"\nbase_url = \"{secret}\"")),
        ("toml", format!("[access]\nkey_headers = [\"{secret} \"]\nerrors = \"{secret}\"")),
        ("toml", format!("[screening]\nsecrets = \"{secret}\"\nhash_key_env = \"{secret}\"")),
        ("toml", format!("[[limits]]\nname = \"{secret}\"\nwhen = {{ \"{secret}\" = [\"a\"] }}")),
        ("toml", format!("[[limits]]\namount = \"{secret}\"\nwindow = \"{secret}\"\ngroup_by = [\"{secret}\"]")),
        ("toml", format!("[[limits]]\nkind = \"rate\"\namount = \"1 {secret}\"\nwindow = \"{secret}\"")),
        ("toml", format!("[[alerts]]\non = \"{secret}\"\nwebhook = \"{secret}\"\nsecret_env = \"{secret}\"")),
        ("toml", format!("[[alerts]]\non = \"limit:{secret}\"\nshape = \"{secret}\"")),
        ("toml", format!("[analytics]\nretention = {{ rows = \"{secret}\" }}\nzone = \"{secret}\"")),
        ("toml", format!("[analytics]\nactive_keys = \"{secret}\"\npairs = [[\"{secret}\", \"model\"]]")),
        ("toml", format!("[login.tags]\n\"{secret}\" = {{ key = \"a\", scope = \"workspace\" }}")),
        ("toml", format!("[names.aliases]\na = \"{secret}\"\n\"{secret}\" = \"b\"")),
        ("toml", format!("[ledger]\nurl = \"{secret}\"\nnamespace = \"{secret} \"")),
    ] {
        let path = folder.file(&format!("gateway.{name}"));
        std::fs::write(&path, &text).unwrap();
        refused(path.to_str().unwrap());
    }
    std::fs::write(folder.file("gateway.toml"), [secret.as_bytes(), b" = \"\xff\""].concat()).unwrap();
    refused(folder.file("gateway.toml").to_str().unwrap());
    for value in [secret.to_owned(), format!("/no/such/{secret}"), json!({"api_keys": {secret: {}}}).to_string()] {
        refused(&value);
    }
}

#[test]
fn the_sample_configuration_has_no_problems() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateway/gateway.toml");
    let output = command(&[("CONFIG", sample.to_str().unwrap()), ("CONFIG_CHECK", "1")]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn virtual_keys_choose_the_upstream_and_its_credential() {
    let folder = TempFolder::new("gateway-virtual-keys");
    let path = folder.file("gateway.json");
    let response = json!({"status": 200, "headers": [["content-type", "text/plain"]], "body": "hello"});
    let (openai, openai_received) = upstream(response.clone()).await;
    let (anthropic, anthropic_received) = upstream(response).await;
    std::fs::write(folder.file("secret"), "sk-ant-provider\n").unwrap();
    let config = json!({
        "workspaces": {"acme": {}, "other": {}},
        "api_keys": {"web": api_key("gw-1", json!({"workspace": "acme"})), "lone": api_key("gw-2", json!({}))},
        "virtual_keys": {
            "openai-prod": {"provider": "openai", "base_url": openai, "secret_env": "TEST_PROVIDER_KEY",
                "workspaces": ["acme"]},
            "anthropic-prod": {"provider": "anthropic", "base_url": anthropic, "secret_file": "secret", "workspaces": ["acme"]},
            "theirs": {"provider": "openai", "base_url": openai, "secret_file": "secret", "workspaces": ["other"]},
            "old": {"provider": "openai", "base_url": openai, "secret_file": "secret", "workspaces": ["acme"],
                "expires_at": "2020-01-01T00:00:00Z"}
        }
    });
    std::fs::write(&path, config.to_string()).unwrap();
    // Without an upstream, the demo provider answers requests without a virtual key.
    let env = [("CONFIG", path.to_str().unwrap()), ("TEST_PROVIDER_KEY", "sk-openai-provider")];
    let gateway = Gateway::start("virtual-keys", &env);
    let key = ("authorization", "Bearer gw-1");
    for (headers, status) in [
        (vec![key, ("x-portkey-virtual-key", "openai-prod"), ("x-own", "kept")], 200),
        (vec![key, ("x-portkey-provider", "@anthropic-prod"), ("x-api-key", "sk-own")], 200),
        (vec![key], 200),
        (vec![key, ("x-portkey-virtual-key", "theirs")], 403),
        (vec![key, ("x-portkey-virtual-key", "old")], 403),
        (vec![key, ("x-portkey-virtual-key", "nowhere")], 400),
        (vec![("authorization", "gw-2"), ("x-portkey-virtual-key", "openai-prod")], 403),
        (vec![("x-portkey-virtual-key", "openai-prod")], 403),
    ] {
        assert_eq!(gateway.send(chat(&headers)).await.status(), status, "{headers:?}");
    }
    let (output, events) = gateway.stop();
    let [(uri, headers, _)] = &openai_received.lock().unwrap()[..] else { panic!("{output:?}") };
    assert_eq!(
        (uri.as_str(), headers["authorization"].to_str().ok()),
        ("/base/v1/chat/completions?trace=no", Some("Bearer sk-openai-provider"))
    );
    assert_eq!(
        (&headers["x-own"], headers.contains_key("x-portkey-virtual-key")),
        (&HeaderValue::from_static("kept"), false)
    );
    let [(_, headers, _)] = &anthropic_received.lock().unwrap()[..] else { panic!("{output:?}") };
    assert_eq!(
        (&headers["x-api-key"], headers.contains_key("authorization")),
        (&HeaderValue::from_static("sk-ant-provider"), false)
    );
    let names: Vec<_> = events.iter().map(|event| event["virtual_key"].as_str()).collect();
    assert_eq!(names[..3], [Some("openai-prod"), Some("anthropic-prod"), None]);
    // The provider of the virtual key decides the price, whatever the path suggests.
    assert_eq!(events[1]["llm"]["provider"], "anthropic");
    let all = format!("{events:?}{output:?}");
    assert!(["gw-1", "sk-openai-provider", "sk-ant-provider"].iter().all(|secret| !all.contains(secret)), "{all}");
}

/// A change of the file, and SIGHUP, load it again. A broken file changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_a_changed_configuration_file() {
    let folder = TempFolder::new("gateway-reload");
    let path = folder.file("gateway.json");
    let config =
        |team: &str| json!({"api_keys": {"web": api_key("gw-1", json!({"metadata": {"team": team}}))}}).to_string();
    std::fs::write(&path, config("one")).unwrap();
    let gateway = Gateway::start("reload", &[("CONFIG", path.to_str().unwrap())]);
    let send = async || assert_eq!(gateway.send(chat(&[("authorization", "gw-1")])).await.status(), 200);
    send().await;
    std::fs::write(&path, "{").unwrap();
    signal(gateway.child.as_ref().unwrap(), "-HUP");
    send().await;
    std::fs::write(&path, config("two")).unwrap();
    signal(gateway.child.as_ref().unwrap(), "-HUP");
    let events_file = gateway.folder.file("events.jsonl");
    let last_team = || {
        let text = std::fs::read_to_string(&events_file).unwrap_or_default();
        text.lines().last().and_then(|line| Some(serde_json::from_str::<Value>(line).ok()?["metadata"]["team"].clone()))
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while last_team() != Some(json!("two")) {
        assert!(std::time::Instant::now() < deadline, "the file is not loaded");
        send().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (output, events) = gateway.stop();
    assert_eq!((&events[0]["metadata"]["team"], &events[1]["metadata"]["team"]), (&json!("one"), &json!("one")));
    assert!(String::from_utf8(output.stderr).unwrap().contains("CONFIG: "));
}

/// A provider repeats the credential in its error. It has no form by which it could be recognized.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_the_provider_repeats_is_not_on_the_event() {
    const SECRET: &str = "our-own-words";
    let folder = TempFolder::new("gateway-repeated-credential");
    let path = folder.file("gateway.json");
    let error = json!({"error": {"message": format!("Incorrect API key provided: {SECRET}."), "type": "invalid"}});
    let response = json!({"status": 401, "headers": [["content-type", "application/json"]], "body": error.to_string()});
    let (openai, _received) = upstream(response).await;
    let config = json!({
        "workspaces": {"acme": {}},
        "api_keys": {"web": api_key("gw-1", json!({"workspace": "acme"}))},
        "virtual_keys": {"openai": {"provider": "openai", "base_url": openai, "secret_env": "TEST_PROVIDER_KEY",
            "workspaces": ["acme"]}},
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let env = [("CONFIG", path.to_str().unwrap()), ("TEST_PROVIDER_KEY", SECRET)];
    let gateway = Gateway::start("repeated-credential", &env);
    let headers = [("authorization", "gw-1"), ("x-portkey-virtual-key", "openai")];
    assert_eq!(gateway.send(chat(&headers)).await.status(), 401);
    let (output, events) = gateway.stop();
    assert!(events[0]["llm"]["error"].as_str().unwrap().contains("[secret]"), "{}", events[0]);
    assert!(!format!("{}{output:?}", events[0]).contains(SECRET));
}

/// Reading a pipe never ends, and a device never ends, too.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_becomes_a_pipe_or_device_stops_nothing() {
    let folder = TempFolder::new("gateway-pipe");
    let path = folder.file("gateway.toml");
    std::fs::write(&path, "[access]\n").unwrap();
    let gateway = Gateway::start("pipe", &[("CONFIG", path.to_str().unwrap())]);
    assert_eq!(gateway.send(chat(&[])).await.status(), 200);
    std::fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(gateway.send(chat(&[])).await.status(), 200);
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(gateway.send(chat(&[])).await.status(), 200);
    let (output, _) = gateway.stop();
    assert!(output.status.success(), "{output:?}");
}

/// A file whose other sections are broken is not loaded at all, whichever section is the broken one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_a_changed_file_as_a_whole_or_not_at_all() {
    let folder = TempFolder::new("gateway-whole-file");
    let path = folder.file("gateway.json");
    let write = |team: &str, calls: &str, errors: &str, rest: Value| {
        let mut config = json!({
            "access": {"errors": errors},
            "api_keys": {"web": api_key("gw-1", json!({"metadata": {"team": team}}))},
            "limits": [{"name": "calls", "kind": "budget", "amount": calls, "window": "year", "on_store_error": "deny"}],
        });
        config.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        std::fs::write(&path, config.to_string()).unwrap();
    };
    write("one", "4 requests", "problem", json!({}));
    let gateway = Gateway::start("whole-file", &[("CONFIG", path.to_str().unwrap())]);
    let send = async || gateway.send(chat(&[("authorization", "gw-1")])).await.status().as_u16();
    let reload = async || {
        signal(gateway.child.as_ref().unwrap(), "-HUP");
        // Both parts look at the file within a second.
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    assert_eq!(send().await, 200);
    // The registry is broken, and then the limits, and then the analytics.
    write("two", "100 requests", "portkey", json!({"access": {"errors": "none"}}));
    reload().await;
    assert_eq!(send().await, 200);
    write("two", "many", "portkey", json!({}));
    reload().await;
    assert_eq!(send().await, 200);
    write("two", "100 requests", "portkey", json!({"analytics": {"zone": "Mars"}}));
    reload().await;
    assert_eq!([send().await, send().await], [200, 429]);
    // The whole file is valid: the limit is lower, the tag is new, and rejections have another form.
    write("two", "3 requests", "portkey", json!({}));
    reload().await;
    assert_eq!(send().await, 412);
    let (output, events) = gateway.stop();
    let teams: Vec<_> = events.iter().map(|event| event["metadata"]["team"].as_str().unwrap()).collect();
    assert_eq!(teams, ["one", "one", "one", "one", "one", "two"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    for part in ["expected \"problem\" or \"portkey\"", "many", "Mars"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

/// Sections that change tags, in a file whose extension is written in capitals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn screens_and_renames_tags_as_configured() {
    let folder = TempFolder::new("gateway-tag-rules");
    let path = folder.file("gateway.JSON");
    let config = json!({
        "names": {"aliases": {"user_id": "_user"}, "style": "snake"},
        "screening": {"emails": "mask", "tags": {"nickname": "hash"}, "hash_key_env": "TEST_HASH_KEY"},
        "workspaces": {"acme": {"limits": {"value_chars": 8}}},
        "api_keys": {"web": api_key("gw-1", json!({"workspace": "acme"}))},
        "analytics": {"active_keys": ["_user"]},
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let key = "0123456789abcdef0123456789abcdef";
    let gateway = Gateway::start("tag-rules", &[("CONFIG", path.to_str().unwrap()), ("TEST_HASH_KEY", key)]);
    let json = r#"{"user_id":"ada","Feature-Name":"checkout-page","note":"a@b.example","nickname":"Countess"}"#;
    let headers = [("authorization", "gw-1"), ("x-portkey-metadata", json)];
    assert_eq!(gateway.send(chat(&headers)).await.status(), 200);
    let (_, events) = gateway.stop();
    let tags = &events[0]["metadata"];
    assert_eq!(
        (&tags["_user"], &tags["feature_name"], &tags["note"]),
        (&json!("ada"), &json!("checkout"), &json!("[email]"))
    );
    assert!(tags["nickname"].as_str().unwrap().starts_with("hash:"), "{tags}");
    assert!(!events[0].to_string().contains("Countess") && !events[0].to_string().contains("b.example"));
}

/// Every request whose client received the whole response is stored exactly once.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_does_not_lose_answered_requests() {
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
                    // Sends requests until the connection breaks.
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
        // Kills the gateway at a different moment in each round.
        tokio::time::sleep(Duration::from_millis(120 + 23 * round as u64)).await;
        let mut child = gateway.child.take().unwrap();
        // `kill` sends signal 9.
        child.kill().unwrap();
        child.wait().unwrap();
        for client in clients {
            client.await.unwrap();
        }
    }
    let answered = std::mem::take(&mut *answered.lock().unwrap());
    // A loaded machine answers fewer.
    assert!(answered.len() > 200, "only {} requests were answered", answered.len());
    // The last process delivers what the others left in the spool.
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
    assert!(lost.is_empty(), "{} of {} are lost, among them {:?}: {text}", lost.len(), answered.len(), lost.first());
    assert!(stored.values().all(|count| *count == 1), "some events were stored twice");
    assert!(text.contains("sqlite: "), "{text}");
    // The sums were written with the rows, whenever the process was killed.
    let analytics = Analytics::new(SqliteStore::open(folder.file("events.db")).unwrap());
    let year = TimeRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX).unwrap();
    let answer = analytics.run(&Query::new(year.clone()), &Grant::everything()).await.unwrap();
    assert_eq!((answer.total.totals.requests, answer.basis.rows_read), (stored.len() as u64, 0));
    assert_eq!(analytics.verify(&year).await.unwrap(), Vec::<String>::new());
    println!("{} answered over {ROUNDS} kills, {} stored", answered.len(), stored.len());
}
