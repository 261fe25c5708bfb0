//! A client of the tools for agents, over a real socket and by hand.

#![allow(dead_code, reason = "each test uses its part")]

use std::net::SocketAddr;

use axum::Router;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf},
    net::TcpStream,
};
use tower_tagging::mcp::{McpServer, rmcp};

/// The revisions of the protocol.
pub(crate) const OLD: &str = "2025-11-25";
pub(crate) const NEW: &str = "2026-07-28";

/// Serves an app on a free port of this machine.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// A client with a key.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn result(&self) -> Value {
        let body = self.json();
        assert!(self.status == StatusCode::OK && body["result"].is_object(), "{self:?}");
        body["result"].clone()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        let headers = if key.is_empty() { Vec::new() } else { vec![("x-portkey-api-key", key.to_owned())] };
        Self { address, path: "/tagging/mcp", headers }
    }

    /// Adds a header, or replaces it.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Sends a body with the headers of every client, and those of this one.
    pub(crate) async fn send(&self, body: &Value) -> Reply {
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::post(self.path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        for (name, value) in &self.headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// Calls a method as clients of 2025 do, without a session.
    pub(crate) async fn old(&self, method: &str, params: Value) -> Reply {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.clone().with("mcp-protocol-version", OLD).send(&request).await
    }

    /// Calls a method as clients of 2026 do: the version and the client are in each request, and headers repeat them.
    pub(crate) async fn new_way(&self, method: &'static str, mut params: Value) -> Reply {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": NEW,
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {}
        });
        let mut client = self.clone().with("mcp-protocol-version", NEW).with("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            client = client.with("mcp-name", name);
        }
        client.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })).await
    }

    /// Calls a tool. Returns the result of the call.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.old("tools/call", json!({ "name": tool, "arguments": arguments })).await.result()
    }

    /// Calls a tool that succeeds. Returns the structured content.
    pub(crate) async fn data(&self, tool: &str, arguments: Value) -> Value {
        data(tool, &self.call(tool, arguments).await)
    }

    /// Calls a tool that fails. Returns the message.
    pub(crate) async fn error(&self, tool: &str, arguments: Value) -> String {
        error(tool, &self.call(tool, arguments).await)
    }
}

/// Returns the structured content of a result.
fn data(tool: &str, result: &Value) -> Value {
    assert_eq!(result["isError"], false, "{tool}: {result}");
    result["structuredContent"].clone()
}

/// Returns the message of a failure.
fn error(tool: &str, result: &Value) -> String {
    assert_eq!((&result["isError"], &result["structuredContent"]), (&json!(true), &Value::Null), "{tool}: {result}");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

/// A client of tools that are served over a pipe, as over standard input and output.
pub(crate) struct Piped {
    reader: BufReader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

impl Piped {
    pub(crate) async fn new(server: McpServer) -> Self {
        let (near, far) = tokio::io::duplex(1024 * 1024);
        tokio::spawn(async move { rmcp::serve_server(server, far).await.unwrap().waiting().await.unwrap() });
        let (reader, writer) = tokio::io::split(near);
        let mut client = Self { reader: BufReader::new(reader), writer };
        let hello =
            json!({ "protocolVersion": OLD, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
        client.request("initialize", hello).await;
        client.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        client
    }

    async fn write(&mut self, message: &Value) {
        self.writer.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    /// Calls a method. Returns its result.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        self.write(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })).await;
        let mut line = String::new();
        self.reader.read_line(&mut line).await.unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["result"].is_object(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Calls a tool. Returns the result of the call.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// Calls a tool that succeeds. Returns the structured content.
    pub(crate) async fn data(&mut self, tool: &str, arguments: Value) -> Value {
        data(tool, &self.call(tool, arguments).await)
    }

    /// Calls a tool that fails. Returns the message.
    pub(crate) async fn error(&mut self, tool: &str, arguments: Value) -> String {
        error(tool, &self.call(tool, arguments).await)
    }
}
