//! W3C Trace Context over HTTP/1. A handler receives the headers that it should send to the next service.
//!
//! The cases follow the specification, level 2: <https://www.w3.org/TR/trace-context-2/>.

mod common;

use std::collections::HashSet;

use axum::{Router, http::HeaderMap, routing::get};
use common::Recorder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_tagging::TaggingLayer;

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";

/// The headers that a handler received and would forward.
struct Forwarded {
    traceparent: Vec<String>,
    tracestate: Vec<String>,
}

impl Forwarded {
    fn part(&self, at: usize) -> &str {
        self.traceparent[0].split('-').nth(at).unwrap()
    }

    fn trace_id(&self) -> &str {
        self.part(1)
    }

    /// Returns the members of the `tracestate` list.
    fn members(&self) -> Vec<&str> {
        let members = self.tracestate.iter().flat_map(|value| value.split(','));
        members.map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()).collect()
    }
}

struct Service {
    address: std::net::SocketAddr,
    recorder: Recorder,
}

impl Service {
    async fn start() -> Self {
        let recorder = Recorder::new();
        let all = |headers: &HeaderMap, name: &str| -> Vec<String> {
            headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        let handler = move |headers: HeaderMap| async move {
            serde_json::to_string(&[all(&headers, "traceparent"), all(&headers, "tracestate")]).unwrap()
        };
        let tagging = TaggingLayer::builder().sink(recorder.clone()).build().unwrap();
        let app = Router::new().route("/", get(handler)).layer(tagging);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, recorder }
    }

    /// Sends a request with these header lines.
    async fn send(&self, headers: &[(&str, &str)]) -> Forwarded {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n".to_owned();
        for (name, value) in headers {
            request = format!("{request}{name}: {value}\r\n");
        }
        stream.write_all((request + "\r\n").as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{response}");
        let [traceparent, tracestate]: [Vec<String>; 2] = serde_json::from_str(body).unwrap();
        let forwarded = Forwarded { traceparent, tracestate };
        assert_eq!(forwarded.traceparent.len(), 1, "exactly one traceparent is forwarded");
        let parts: Vec<_> = forwarded.traceparent[0].split('-').collect();
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        assert!(
            parts.len() == 4 && parts[0] == "00" && is_hex(parts[1], 32) && is_hex(parts[2], 16) && is_hex(parts[3], 2),
            "{}",
            forwarded.traceparent[0]
        );
        assert_ne!(forwarded.part(2), SPAN, "our own span is the parent");
        let event = self.recorder.0.events().pop().unwrap();
        assert_eq!(event.trace().trace_id().as_str(), forwarded.trace_id());
        assert_eq!(event.trace().span_id().as_str(), forwarded.part(2));
        forwarded
    }

    async fn traceparent(&self, value: &str) -> Forwarded {
        self.send(&[("traceparent", value), ("tracestate", "foo=1")]).await
    }

    async fn tracestate(&self, value: &str) -> Forwarded {
        let forwarded = self.send(&[("traceparent", &valid("00")), ("tracestate", value)]).await;
        assert_eq!(forwarded.trace_id(), TRACE, "the tracestate does not affect the trace ID");
        forwarded
    }
}

fn valid(version: &str) -> String {
    format!("{version}-{TRACE}-{SPAN}-01")
}

#[tokio::test]
async fn continues_a_valid_traceparent() {
    let service = Service::start().await;
    for value in [
        valid("00"),
        format!("00-{TRACE}-{SPAN}-00"),
        // Later versions add parts after a dash, which are ignored.
        valid("cc"),
        valid("cc") + "-what-the-future-will-be-like",
        valid("01") + "-",
        // Optional white space.
        format!(" {}", valid("00")),
        format!("\t{}\t ", valid("00")),
        format!("{} \t", valid("00")),
    ] {
        let forwarded = service.traceparent(&value).await;
        assert_eq!(forwarded.trace_id(), TRACE, "{value:?}");
        assert_eq!(forwarded.members(), ["foo=1"], "{value:?}");
        assert_eq!(forwarded.part(3), value.trim().split('-').nth(3).unwrap(), "the sampled flag is kept: {value:?}");
    }
    for name in ["traceparent", "TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        assert_eq!(service.send(&[(name, &valid("00"))]).await.trace_id(), TRACE, "{name}");
    }
    // Only the two defined flags are kept.
    assert_eq!(service.traceparent(&format!("00-{TRACE}-{SPAN}-ff")).await.part(3), "03");
}

#[tokio::test]
async fn an_invalid_traceparent_starts_a_new_trace() {
    let service = Service::start().await;
    let zeros = "0".repeat(32);
    for value in [
        String::new(),
        "00".to_owned(),
        // Versions.
        valid("ff"),
        valid("00") + ".",
        valid("00") + "-what-the-future-will-be-like",
        valid("00") + "-",
        valid("cc") + ".what-the-future-will-not-be-like",
        valid("cc") + "x",
        valid(".0"),
        valid("0."),
        valid("000"),
        valid("0000"),
        valid("0"),
        valid(""),
        valid("0A"),
        // Trace ids.
        format!("00-{zeros}-{SPAN}-01"),
        format!("00-.2345678901234567890123456789012-{SPAN}-01"),
        format!("00-1234567890123456789012345678901.-{SPAN}-01"),
        format!("00-{TRACE}3-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", &TRACE[..31]),
        format!("00-A2345678901234567890123456789012-{SPAN}-01"),
        // Parent ids.
        format!("00-{TRACE}-0000000000000000-01"),
        format!("00-{TRACE}-.234567890123456-01"),
        format!("00-{TRACE}-123456789012345.-01"),
        format!("00-{TRACE}-{SPAN}7-01"),
        format!("00-{TRACE}-123456789012345-01"),
        format!("00-{TRACE}-A234567890123456-01"),
        // Flags.
        format!("00-{TRACE}-{SPAN}-.0"),
        format!("00-{TRACE}-{SPAN}-0."),
        format!("00-{TRACE}-{SPAN}-001"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00-{TRACE}-{SPAN}-0A"),
        // Spaces inside, and other separators.
        format!("00 -{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}- {SPAN}-01"),
        format!("00_{TRACE}_{SPAN}_01"),
        format!("{}, {}", valid("00"), valid("00")),
    ] {
        let forwarded = service.traceparent(&value).await;
        assert_ne!(forwarded.trace_id(), TRACE, "{value:?}");
        assert_ne!(forwarded.trace_id(), zeros, "{value:?}");
        assert!(forwarded.tracestate.is_empty(), "a tracestate belongs to its traceparent: {value:?}");
    }
    // Headers with similar names are ignored.
    for name in ["trace-parent", "trace.parent"] {
        assert_ne!(service.send(&[(name, &valid("00"))]).await.trace_id(), TRACE, "{name}");
    }
    // More than one header is invalid, even if each is valid on its own.
    let other = format!("00-{}-{SPAN}-01", TRACE.replace('1', "2"));
    for pair in [[valid("00"), other.clone()], [other.clone(), valid("00")], [valid("00"), valid("00")]] {
        let headers = [("traceparent", pair[0].as_str()), ("traceparent", pair[1].as_str()), ("tracestate", "foo=1")];
        let forwarded = service.send(&headers).await;
        assert!(!pair.iter().any(|value| value.contains(forwarded.trace_id())), "{pair:?}");
        assert!(forwarded.tracestate.is_empty());
    }
}

#[tokio::test]
async fn a_request_without_a_traceparent_starts_a_new_trace() {
    let service = Service::start().await;
    let mut ids = HashSet::new();
    for _ in 0..5 {
        for headers in [&[][..], &[("tracestate", "foo=1")], &[("tracestate", "foo=1"), ("tracestate", "bar=2")]] {
            let forwarded = service.send(headers).await;
            assert!(forwarded.tracestate.is_empty(), "it does not belong to a trace");
            ids.insert(forwarded.trace_id().to_owned());
        }
    }
    assert_eq!(ids.len(), 15);
    // Every request of a trace has its own span.
    let mut spans = HashSet::new();
    for _ in 0..10 {
        let forwarded = service.traceparent(&valid("00")).await;
        assert_eq!(forwarded.trace_id(), TRACE);
        spans.insert(forwarded.part(2).to_owned());
    }
    assert_eq!(spans.len(), 10);
}

#[tokio::test]
async fn forwards_a_valid_tracestate() {
    let service = Service::start().await;
    let allowed_key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let allowed_value: String = (b' '..=b'~').map(char::from).filter(|letter| !",=".contains(*letter)).collect();
    let long = |count: usize| "v".repeat(count);
    let many: Vec<String> = (1..=32).map(|number| format!("bar{number:02}={number:02}")).collect();
    for value in [
        "foo=1".to_owned(),
        "foo=1,bar=2".to_owned(),
        "foo=1 \t , \t bar=2, \t baz=3".to_owned(),
        "foo=1\t \t,\t \tbar=2,\t \tbaz=3".to_owned(),
        " foo=1".to_owned(),
        "\tfoo=1 \t".to_owned(),
        "foo=1,,,bar=2,".to_owned(),
        format!("{allowed_key}=1"),
        format!("{allowed_key}@a-z0-9_-*/=1"),
        // The at sign is an ordinary character after the first one.
        "foo@=1,bar=2".to_owned(),
        "foo@@bar=1,bar=2".to_owned(),
        "foo@bar@baz=1,bar=2".to_owned(),
        "foo@0bar=1".to_owned(),
        format!("{}@v=1", long(242)),
        format!("t@{}=1", long(15)),
        format!("key=x{allowed_value}x"),
        "0tenant@system=1".to_owned(),
        "0key=1".to_owned(),
        many.join(","),
        // Limits of keys and values.
        format!("{}=1", long(256)),
        format!("{}@{}=1", long(241), long(14)),
        format!("foo={}", long(256)),
    ] {
        let forwarded = service.tracestate(&value).await;
        let expected: Vec<_> =
            value.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|m| !m.is_empty()).collect();
        assert_eq!(forwarded.members(), expected, "{value:?}");
        assert_eq!(forwarded.tracestate.len(), 1, "{value:?}");
    }
    for name in ["tracestate", "TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        let forwarded = service.send(&[("traceparent", &valid("00")), (name, "foo=1")]).await;
        assert_eq!(forwarded.members(), ["foo=1"], "{name}");
    }
    // Several headers are joined into one list in their order, so that a service that copies one header loses nothing.
    for values in [
        &["foo=1", "bar=2", "rojo=1,congo=2", "baz=3"][..],
        &["foo=1", "", "bar=2", "rojo=1", "congo=2,baz=3"],
        &["", "foo=1,bar=2", "rojo=1,congo=2,baz=3", ""],
    ] {
        let valid = valid("00");
        let mut headers = vec![("traceparent", valid.as_str())];
        headers.extend(values.iter().map(|value| ("tracestate", *value)));
        let forwarded = service.send(&headers).await;
        assert_eq!(forwarded.tracestate, ["foo=1,bar=2,rojo=1,congo=2,baz=3"], "{values:?}");
    }
    // The first member of a repeated key is the newest.
    for (value, expected) in [("foo=1,foo=1", "foo=1"), ("foo=1,foo=2", "foo=1"), ("foo=1,bar=2,foo=3", "foo=1,bar=2")]
    {
        assert_eq!(service.tracestate(value).await.tracestate, [expected], "{value:?}");
    }
    // An empty list is dropped.
    for value in ["", " ", ",", " , ,"] {
        assert!(service.tracestate(value).await.tracestate.is_empty(), "{value:?}");
    }
}

#[tokio::test]
async fn drops_an_invalid_tracestate() {
    let service = Service::start().await;
    let long = |count: usize| "v".repeat(count);
    let many: Vec<String> = (1..=33).map(|number| format!("bar{number:02}={number:02}")).collect();
    for value in [
        // Keys.
        "foo =1".to_owned(),
        "FOO=1".to_owned(),
        "foo.bar=1".to_owned(),
        "=1".to_owned(),
        "_foo=1".to_owned(),
        "foo".to_owned(),
        "@foo=1,bar=2".to_owned(),
        format!("{}=1", long(257)),
        format!("{}@v=1", long(255)),
        // Values.
        "foo=bar=baz".to_owned(),
        "foo=,bar=3".to_owned(),
        format!("foo={}", long(257)),
        // Members.
        many.join(","),
    ] {
        let forwarded = service.tracestate(&value).await;
        assert!(forwarded.tracestate.is_empty(), "{value:?} was forwarded as {:?}", forwarded.tracestate);
        let event = service.recorder.0.events().pop().unwrap();
        let notes: Vec<_> = event.diagnostics().iter().map(|note| note.code().as_str()).collect();
        assert_eq!(notes, ["invalid_tracestate"], "{value:?}");
    }
    // Headers with similar names are ignored.
    for name in ["trace-state", "trace.state"] {
        let forwarded = service.send(&[("traceparent", &valid("00")), (name, "foo=1")]).await;
        assert!(forwarded.tracestate.is_empty(), "{name}");
    }
}
