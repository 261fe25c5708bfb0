//! Starts the gateway example, with real sockets.

#![allow(dead_code, reason = "each test uses its part")]

#[path = "program.rs"]
mod program;

use std::{
    io::Read,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::LazyLock,
};

use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::common::{TempFolder, assert_schema};

/// The program, built once for all tests.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| program::example("gateway"));

/// A running gateway that writes its events to a file.
pub(crate) struct Gateway {
    pub(crate) child: Option<Child>,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempFolder,
}

/// Returns the command that starts the gateway with these variables, on any port and without a store.
pub(crate) fn command(env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(&*PROGRAM);
    for name in [
        "UPSTREAM",
        "EVENTS",
        "CONFIG",
        "CONFIG_CHECK",
        "HEADERS_TO_METADATA",
        "METADATA_PREFIXES",
        "METADATA_PRECEDENCE",
        "TAGGING",
        "SPOOL",
        "METADATA_KEY_CASE",
        "INCLUDE_USAGE",
        "ADMIN_KEY",
        "PUBLIC_URL",
        "DEMO_HISTORY",
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
    pub(crate) fn start(name: &str, env: &[(&str, &str)]) -> Self {
        let folder = TempFolder::new(&format!("gateway-{name}"));
        let events = folder.file("events.jsonl");
        let mut child = command(env).env("EVENTS", &events).spawn().unwrap();
        // The first line has the address. The rest is read when the program ends.
        let mut line = String::new();
        let mut byte = [0];
        let errors = child.stderr.as_mut().unwrap();
        while !line.ends_with('\n') && errors.read(&mut byte).unwrap() == 1 {
            line.push(byte[0].into());
        }
        let address = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()).expect(&line);
        Self { address: address.parse().unwrap(), child: Some(child), folder }
    }

    /// Stops the gateway as an operator does. Returns its output and its events.
    pub(crate) fn stop(mut self) -> (Output, Vec<Value>) {
        let child = self.child.take().unwrap();
        let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let output = child.wait_with_output().unwrap();
        let text = std::fs::read_to_string(self.folder.file("events.jsonl")).unwrap_or_default();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        events.iter().for_each(assert_schema);
        (output, events)
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (head, body) = self.open(request).await.into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    pub(crate) async fn open(&self, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
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

/// Returns a chat completion request.
pub(crate) fn chat(headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::post("/v1/chat/completions?trace=no")
        .header("content-type", "application/json")
        .body(Full::from(r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello"}]}"#))
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}
