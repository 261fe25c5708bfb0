//! Tests of the effects that handlers, bodies, and panics have on the event and the response.

mod common;

use std::{
    any::Any,
    borrow::Cow,
    cell::Cell,
    convert::Infallible,
    error::Error,
    fmt, io,
    panic::{AssertUnwindSafe, panic_any},
};

use axum::{Router, body::Body, routing::get};
use common::Recorder;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{EventLayer, TaggingLayer, Tags, TraceIdLayer, event::Outcome, tagging::RequestBody, tags};

type BoxError = Box<dyn Error + Send + Sync>;

/// A value whose text is written in parts, by code that uses the handle.
struct Parts<'a>(&'a Tags);

impl fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.insert("inner", "set while the value is written");
        write!(f, "a{}", 1)?;
        f.write_str("東")
    }
}

/// A value that fails after its first part.
struct Fails;

impl fmt::Display for Fails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("begun")?;
        Err(fmt::Error)
    }
}

#[test]
fn tags_accept_any_value_with_a_text() {
    let tags = Tags::new();
    tags.insert("integer", 42);
    tags.insert(String::from("negative"), -7_i64);
    tags.insert("float", 0.5);
    tags.insert("flag", true);
    tags.insert("letter", 'é');
    tags.insert("text", "plain");
    tags.insert("owned", String::from("owned"));
    let borrowed = String::from("borrowed");
    tags.insert("borrowed", &borrowed);
    tags.insert("cow", Cow::Borrowed("cow"));
    tags.insert("boxed", Box::<str>::from("boxed"));
    tags.insert("id", uuid());
    tags.insert("address", std::net::Ipv4Addr::LOCALHOST);
    tags.insert("arguments", format_args!("{}-{}", 1, 2));
    tags.insert("parts", Parts(&tags));
    tags.insert("fails", Fails);
    tags.insert("empty", "");
    tags.insert("controls", "a\n\u{0}b");
    tags.insert("integer", 43_u8);
    let expected = tags! {
        "integer" => "43", "negative" => "-7", "float" => "0.5", "flag" => "true", "letter" => "é", "text" => "plain",
        "owned" => "owned", "borrowed" => "borrowed", "cow" => "cow", "boxed" => "boxed", "id" => uuid(),
        "address" => "127.0.0.1", "arguments" => "1-2", "parts" => "a1東", "fails" => "begun", "empty" => "",
        "controls" => "ab", "inner" => "set while the value is written",
    };
    assert_eq!(tags.metadata(), expected);

    let tags = Tags::new();
    tags.extend([("one", 1), ("two", 2), ("one", 3)]);
    tags.extend([(String::from("text"), "x".repeat(200))]);
    tags.extend(Vec::<(&str, bool)>::new());
    assert_eq!(tags.metadata(), tags! { "one" => "3", "two" => "2", "text" => "x".repeat(128) });
    assert_eq!(tags.diagnostics().len(), 1, "the limits apply");
}

fn uuid() -> &'static str {
    "01a208d8-36da-7189-9920-dbab2913f608"
}

#[tokio::test]
async fn a_trace_id_that_the_app_has_set_is_left_unchanged() {
    let custom = HeaderName::from_static("x-request-id");
    // The layer, the header of the request, the headers that the app sets, and those of the response.
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(TraceIdLayer, Option<&str>, Headers<'_>, Headers<'_>); 6] = [
        (TraceIdLayer::new(), None, &[("x-trace-id", "mine")], &[("x-trace-id", "mine")]),
        (
            TraceIdLayer::new(),
            None,
            &[("x-trace-id", "one"), ("x-trace-id", "two")],
            &[("x-trace-id", "one"), ("x-trace-id", "two")],
        ),
        (TraceIdLayer::new(), None, &[("x-trace-id", "")], &[("x-trace-id", "")]),
        (
            TraceIdLayer::new(),
            Some("client-1"),
            &[("x-portkey-trace-id", "mine"), ("x-trace-id", "upstream")],
            &[("x-portkey-trace-id", "mine"), ("x-trace-id", "upstream")],
        ),
        (
            TraceIdLayer::new(),
            Some("client-1"),
            &[("x-trace-id", "upstream")],
            &[("x-trace-id", "upstream"), ("x-portkey-trace-id", "client-1")],
        ),
        (TraceIdLayer::new().response_header(custom), None, &[("x-request-id", "mine")], &[("x-request-id", "mine")]),
    ];
    for (layer, client_id, set, expected) in cases {
        let set: Vec<_> = set
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let service = layer.layer(service_fn(move |_: Request<String>| {
            let mut response = Response::new(String::new());
            for (name, value) in &set {
                response.headers_mut().append(name, value.clone());
            }
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        let mut request = Request::new(String::new());
        if let Some(id) = client_id {
            request.headers_mut().insert("x-portkey-trace-id", id.parse().unwrap());
        }
        let response = service.oneshot(request).await.unwrap();
        let found: Vec<_> =
            response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(found, expected);
    }
}

/// An error with a cause.
#[derive(Debug)]
struct Wrapped(&'static str, Option<BoxError>);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}

/// An error whose message cannot be written.
#[derive(Debug)]
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("expected: the message cannot be written")
    }
}

impl Error for Panics {}

/// An error that is its own cause.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("round and round")
    }
}

impl Error for Circle {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Circle)
    }
}

fn wrapped(messages: &[&'static str]) -> BoxError {
    let cause = (messages.len() > 1).then(|| wrapped(&messages[1..]));
    Box::new(Wrapped(messages[0], cause))
}

fn boxed_errors() -> Vec<(BoxError, String)> {
    vec![
        ("disk gone".into(), "disk gone".to_owned()),
        (io::Error::other("disk gone").into(), "disk gone".to_owned()),
        (io::Error::from(io::ErrorKind::ConnectionReset).into(), "connection reset".to_owned()),
        (wrapped(&["outer", "middle", "inner"]), "inner".to_owned()),
        (wrapped(&["outer", ""]), "outer".to_owned()),
        (io::Error::other(wrapped(&["outer", "inner"])).into(), "inner".to_owned()),
        (axum::Error::new(axum::Error::new(wrapped(&["outer", "inner"]))).into(), "inner".to_owned()),
        ("a\r\nb\u{0}\u{1b}[31m".into(), "ab[31m".to_owned()),
        ("é".repeat(5_000).into(), "é".repeat(1024)),
        (Box::new(Circle), "round and round".to_owned()),
    ]
}

/// A response body that fails after its first frame.
fn failing<E: Send + 'static>(error: E) -> impl hyper::body::Body<Data = Bytes, Error = E> + Send {
    StreamBody::new(stream::iter([Ok(Frame::data(Bytes::from_static(b"first"))), Err(error)]))
}

/// Returns the error on the event of a response whose body fails.
async fn body_error<E: Send + 'static>(error: E) -> String {
    let recorder = Recorder::new();
    let error = Cell::new(Some(error));
    let service = EventLayer::new(recorder.clone()).layer(service_fn(|_: Request<String>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(failing(error.take().unwrap()))))
    }));
    let mut body = Box::pin(service.oneshot(Request::new(String::new())).await.unwrap().into_body());
    while let Some(Ok(_)) = body.frame().await {}
    let event = recorder.single();
    assert_eq!((event.outcome(), event.response_body_bytes()), (Outcome::Failed, 5));
    event.error().unwrap().strip_prefix("response body error: ").unwrap().to_owned()
}

#[tokio::test]
async fn errors_of_bodies_carry_the_innermost_message() {
    for (error, expected) in boxed_errors() {
        assert_eq!(body_error(error).await, expected);
    }
    for (error, expected) in boxed_errors() {
        assert_eq!(body_error(axum::Error::new(error)).await, expected, "in axum::Error");
    }
    assert_eq!(body_error(io::Error::other("disk gone")).await, "disk gone");
    assert_eq!(body_error::<Box<dyn Error + Send>>(Box::new(Wrapped("plain", None))).await, "plain");
    assert_eq!(body_error("text").await, "text");
    assert_eq!(body_error(String::from("text")).await, "text");
    // Without a message, the type is named.
    assert_eq!(body_error(Wrapped("unknown type", None)).await, "handlers::Wrapped");
    assert_eq!(body_error(42).await, "i32");
    assert_eq!(body_error(BoxError::from("")).await, std::any::type_name::<BoxError>());
    common::expect_panics("expected: ");
    assert_eq!(body_error::<BoxError>(Box::new(Panics)).await, std::any::type_name::<BoxError>());
}

#[tokio::test]
async fn errors_of_request_bodies_carry_the_innermost_message() {
    for (error, expected) in boxed_errors() {
        let recorder = Recorder::new();
        let layer = TaggingLayer::builder().sink(recorder.clone()).build().unwrap();
        let service = layer.layer(service_fn(async |request: Request<RequestBody<Body>>| {
            let error = request.into_body().collect().await.map(|_| ());
            Ok::<_, Infallible>(Response::new(format!("{}", error.is_err())))
        }));
        let body = Body::from_stream(stream::iter([Ok(Bytes::from_static(b"first")), Err(error)]));
        let response = service.oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "true");
        let event = recorder.single();
        assert_eq!(
            (event.outcome(), event.error()),
            (Outcome::Completed, Some(&*format!("request body error: {expected}")))
        );
    }
}

#[tokio::test]
async fn the_error_of_a_handler_comes_before_that_of_the_body() {
    let recorder = Recorder::new();
    let app = Router::new()
        .route(
            "/",
            get(async |tags: Tags| {
                tags.set_error("upstream_broke_off");
                Body::from_stream(stream::iter([Err::<Bytes, _>(io::Error::other("cut"))]))
            }),
        )
        .layer(TaggingLayer::builder().sink(recorder.clone()).build().unwrap());
    let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(recorder.single().error(), Some("upstream_broke_off"));
}

/// How a panic starts, and the error on the event.
fn panics() -> Vec<(fn(), Option<String>)> {
    vec![
        (|| panic!("expected: literal"), Some("panic: expected: literal".to_owned())),
        (|| panic!("expected: {}", 42), Some("panic: expected: 42".to_owned())),
        (|| panic!("expected: a\nb\u{0}c"), Some("panic: expected: abc".to_owned())),
        (|| panic!("expected: {}", "é".repeat(5_000)), Some(format!("panic: expected: {}", "é".repeat(1014)))),
        (|| panic_any(42), None),
        (|| panic_any(String::from("owned")), Some("panic: owned".to_owned())),
        (
            || "no".parse::<bool>().map(drop).expect("expected: value"),
            Some("panic: expected: value: ParseBoolError".to_owned()),
        ),
        (
            || {
                Tags::current().unwrap().set_error("recorded");
                panic!("expected: later")
            },
            Some("recorded".to_owned()),
        ),
    ]
}

/// Returns the payload of a panic as text.
fn payload(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "another type".to_owned())
}

#[tokio::test]
async fn panics_carry_their_message_and_continue_unchanged() {
    // Panics of other types have no text that the hook could recognize.
    std::panic::set_hook(Box::new(|_| {}));
    for place in ["call", "future", "body"] {
        for (panics, error) in panics() {
            let recorder = Recorder::new();
            let service = EventLayer::new(recorder.clone()).layer(service_fn(move |_: Request<String>| {
                if place == "call" {
                    panics();
                }
                async move {
                    if place == "future" {
                        panics();
                    }
                    let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"first")))]);
                    let rest = stream::once(async move {
                        panics();
                        Ok(Frame::data(Bytes::new()))
                    });
                    Ok::<_, Infallible>(Response::new(StreamBody::new(Box::pin(first.chain(rest)))))
                }
            }));
            let exchange = async {
                let response = service.oneshot(Request::new(String::new())).await.unwrap();
                response.into_body().collect().await.unwrap();
            };
            let panic = AssertUnwindSafe(exchange).catch_unwind().await.unwrap_err();
            let expected = std::panic::catch_unwind(panics);
            let event = recorder.single();
            assert_eq!(event.outcome(), Outcome::Panicked, "{place}");
            assert_eq!(event.error(), error.as_deref(), "{place}");
            if error.as_deref() != Some("recorded") {
                assert_eq!(payload(&*panic), payload(&*expected.unwrap_err()), "{place}");
            }
        }
    }
}
