//! Tests of gRPC calls: their status is in the trailers or headers of a response with status 200.

mod common;

use std::{convert::Infallible, sync::Arc};

use axum::{Router, routing::post};
use bytes::Bytes;
use common::Recorder;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use opentelemetry::{KeyValue, trace::Status};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, MetadataLayer, TagSources, TaggingLayer, Tags, event::Outcome, otel::Otel, tagging::RequestBody,
};

const PATH: &str = "/grpc.health.v1.Health/Check";
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

type Body = BoxBody<Bytes, Infallible>;

/// The place of the status in a response.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// The response has no body.
    Headers,
    Trailers,
    /// The response declares the length of its data before the trailers.
    TrailersAfterLength,
    /// The body ends without trailers.
    Nowhere,
}

fn status_headers(status: &str, message: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", HeaderValue::from_str(status).unwrap());
    if let Some(message) = message {
        headers.insert("grpc-message", HeaderValue::from_str(message).unwrap());
    }
    headers
}

fn response(place: Place, status: &str, message: Option<&str>) -> Response<Body> {
    let headers = status_headers(status, message);
    let data = || Frame::data(Bytes::from_static(b"\0\0\0\0\x02\x08\x01"));
    let frames = match place {
        Place::Headers => {
            let mut response = Response::new(Full::default().boxed());
            *response.headers_mut() = headers;
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            return response;
        }
        Place::Trailers | Place::TrailersAfterLength => vec![data(), Frame::trailers(headers)],
        Place::Nowhere => vec![data()],
    };
    let body = StreamBody::new(stream::iter(frames.into_iter().map(Ok::<_, Infallible>))).boxed();
    let builder = Response::builder().header("content-type", "application/grpc");
    let builder = if place == Place::TrailersAfterLength { builder.header("content-length", 7) } else { builder };
    builder.body(body).unwrap()
}

fn call(path: &str, media: &str) -> Request<Full<Bytes>> {
    Request::post(path).header("content-type", media).body(Full::default()).unwrap()
}

/// Sends a call through the layer, reads at most `frames` frames, and returns the event and the span.
async fn observed(
    request: Request<Full<Bytes>>,
    is_client: bool,
    frames: usize,
    respond: impl Fn() -> Response<Body> + Clone + Send + 'static,
) -> (Arc<Event>, SpanData) {
    let (recorder, exporter) = (Recorder::new(), InMemorySpanExporter::default());
    let otel = Otel::builder().span_exporter(exporter.clone());
    let otel = if is_client { otel.client() } else { otel }.build().unwrap();
    let tagging = TaggingLayer::builder().sink(recorder.clone()).otel(&otel).build().unwrap();
    let expected = respond();
    let service = tagging.clone().layer(service_fn(async |_: Request<_>| Ok::<_, Infallible>(respond())));
    let mut body = service.oneshot(request).await.unwrap().into_body();
    let mut expected = expected.into_body();
    for _ in 0..frames {
        let (frame, expected) = (body.frame().await, expected.frame().await);
        let parts = |frame: Option<Result<Frame<Bytes>, Infallible>>| {
            frame.map(|frame| frame.unwrap().into_data().map_err(|frame| frame.into_trailers().unwrap()))
        };
        let frame = parts(frame);
        assert_eq!(frame, parts(expected), "the response is unchanged");
        if frame.is_none() {
            break;
        }
    }
    drop(body);
    assert!(tagging.delivery().shutdown(std::time::Duration::from_secs(5)).await.is_complete());
    let span = exporter.get_finished_spans().unwrap().remove(0);
    (recorder.single(), span)
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found: Option<&KeyValue> = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.to_string())
}

/// [The conventions](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#grpc-status): for a client, every status except `OK`
/// is an error; for a server, those that are not the client's fault.
#[tokio::test]
async fn the_status_determines_outcome_and_error() {
    for place in [Place::Headers, Place::Trailers, Place::TrailersAfterLength] {
        for is_client in [false, true] {
            for (code, name) in (0..).zip(NAMES) {
                let case = format!("{name} in {place:?}, client: {is_client}");
                let status = code.to_string();
                let respond = move || response(place, &status, Some("sorry%2C caf%C3%A9"));
                let (event, span) = observed(call(PATH, "application/grpc"), is_client, usize::MAX, respond).await;
                let is_server_error = [2, 4, 12, 13, 14, 15].contains(&code);
                let outcome = match code {
                    1 => Outcome::Cancelled,
                    _ if is_server_error => Outcome::Failed,
                    _ => Outcome::Completed,
                };
                assert_eq!((event.outcome(), event.grpc_status()), (outcome, Some(code)), "{case}");
                let error = (code > 0).then(|| format!("{name}: sorry, café"));
                assert_eq!(event.error(), error.as_deref(), "{case}");
                assert_eq!(event.is_error(), code > 1, "{case}");
                assert_eq!(event.status().unwrap().as_u16(), 200, "{case}");
                let is_error = is_server_error || (is_client && code > 0);
                assert_eq!(matches!(span.status, Status::Error { .. }), is_error, "{case}: {:?}", span.status);
                assert_eq!(attribute(&span, "error.type").as_deref(), is_error.then_some(name), "{case}");
                assert_eq!(attribute(&span, "rpc.grpc.status_code"), Some(code.to_string()), "{case}");
            }
        }
    }
}

/// The route and the name of the span are those of the method, although no router provides them.
#[tokio::test]
async fn the_path_is_the_route() {
    for (path, media, expected) in [
        (PATH, "application/grpc", Some(("grpc.health.v1.Health", "Check"))),
        (PATH, "application/grpc+proto", Some(("grpc.health.v1.Health", "Check"))),
        (PATH, "Application/GRPC; charset=utf-8", Some(("grpc.health.v1.Health", "Check"))),
        (PATH, "application/grpc-web+proto", Some(("grpc.health.v1.Health", "Check"))),
        ("/Greeter/SayHello", "application/grpc", Some(("Greeter", "SayHello"))),
        (PATH, "application/json", None),
        ("/", "application/grpc", None),
        ("/a/b/c", "application/grpc", None),
        ("/only-one", "application/grpc", None),
    ] {
        let respond = || response(Place::Trailers, "0", None);
        let (event, span) = observed(call(path, media), false, usize::MAX, respond).await;
        assert_eq!(event.route(), expected.map(|_| path), "{media} {path}");
        assert_eq!(attribute(&span, "rpc.system").as_deref(), expected.map(|_| "grpc"), "{media} {path}");
        let names = attribute(&span, "rpc.service").zip(attribute(&span, "rpc.method"));
        let expected_names = expected.map(|(service, method)| (service.to_owned(), method.to_owned()));
        assert_eq!(names, expected_names, "{media} {path}");
        let name = expected.map_or_else(|| "POST".to_owned(), |(service, method)| format!("{service}/{method}"));
        assert_eq!(span.name, name, "{media} {path}");
        assert_eq!(event.grpc_status(), expected.map(|_| 0), "{media} {path}");
    }
}

/// Creates a response with a body that is not empty.
fn plain(status: u16, headers: &[(&str, &str)]) -> Response<Body> {
    let builder = headers.iter().fold(Response::builder(), |builder, (name, value)| builder.header(*name, *value));
    builder.status(status).body(Full::from("sorry").boxed()).unwrap()
}

/// A client that only claims to make a gRPC call cannot invent routes. Its own calls are named nevertheless.
#[tokio::test]
async fn a_method_that_the_service_does_not_have_is_not_a_route() {
    const GRPC: (&str, &str) = ("content-type", "application/grpc");
    let answers: [fn() -> Response<Body>; 12] = [
        || plain(404, &[]),
        || plain(404, &[GRPC]),
        || plain(200, &[("content-type", "text/html")]),
        || plain(200, &[]),
        || plain(204, &[GRPC]),
        || plain(500, &[("content-type", "text/plain")]),
        || plain(502, &[]),
        || plain(503, &[GRPC]),
        || plain(503, &[GRPC, ("grpc-status", "14")]),
        // The fallback of tonic.
        || response(Place::Headers, "12", None),
        || response(Place::Trailers, "12", Some("no such method")),
        || response(Place::TrailersAfterLength, "12", None),
    ];
    for (case, answer) in answers.into_iter().enumerate() {
        for media in ["application/grpc", "application/grpc+proto", "application/grpc-web"] {
            let (event, span) = observed(call("/random.Name/X", media), false, usize::MAX, answer).await;
            assert_eq!(event.route(), None, "{case} {media}");
            assert_eq!((&*span.name, attribute(&span, "rpc.service")), ("POST", None), "{case} {media}");
            assert_eq!(
                (attribute(&span, "rpc.method"), attribute(&span, "http.route")),
                (None, None),
                "{case} {media}"
            );
            let (event, span) = observed(call("/random.Name/X", media), true, usize::MAX, answer).await;
            assert_eq!((event.route(), &*span.name), (None, "random.Name/X"), "{case} {media}");
            assert_eq!(attribute(&span, "rpc.service").as_deref(), Some("random.Name"), "{case} {media}");
        }
    }
    // Any other status is an answer of the method.
    for status in (0..18).filter(|status| *status != 12) {
        let status = status.to_string();
        for place in [Place::Headers, Place::Trailers] {
            let status = status.clone();
            let respond = move || response(place, &status, None);
            let (event, _) = observed(call(PATH, "application/grpc"), false, usize::MAX, respond).await;
            assert_eq!(event.route(), Some(PATH), "{place:?}");
        }
    }
}

/// The end of a call without a response of the method.
#[derive(Clone, Copy, Debug)]
enum End {
    ClientLeaves,
    ServiceFails,
    Unavailable,
    Rejected,
    RejectedByCode,
    Unimplemented,
}

type Answer = Box<dyn Fn() -> Response<Body> + Send + Sync>;
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A method is known once the service has answered a call of it. Until then, a call without an answer has no route.
#[tokio::test]
async fn calls_without_an_answer_have_the_route_of_a_method_that_is_known() {
    for end in
        [End::ClientLeaves, End::ServiceFails, End::Unavailable, End::Rejected, End::RejectedByCode, End::Unimplemented]
    {
        let recorder = Recorder::new();
        let tagging = TaggingLayer::builder()
            .metadata(MetadataLayer::builder().sources(TagSources::portkey().strict_json()))
            .sink(recorder.clone())
            .build()
            .unwrap();
        let service = tagging.layer(service_fn(move |request: Request<RequestBody<Full<Bytes>>>| async move {
            if request.headers().contains_key("works") {
                return Ok::<_, AnyError>(response(Place::Trailers, "0", None));
            }
            match end {
                End::ClientLeaves => std::future::pending().await,
                End::ServiceFails => Err("connection refused".into()),
                End::RejectedByCode => {
                    request.extensions().get::<Tags>().unwrap().reject("no_credit");
                    Ok(response(Place::Headers, "7", None))
                }
                End::Unimplemented => Ok(response(Place::Headers, "12", None)),
                End::Unavailable | End::Rejected => Ok(plain(503, &[])),
            }
        }));
        let send = async |path: &str, works: bool| {
            let mut call = call(path, "application/grpc");
            if works {
                call.headers_mut().insert("works", HeaderValue::from_static("yes"));
            } else if matches!(end, End::Rejected) {
                call.headers_mut().insert("x-portkey-metadata", HeaderValue::from_static("[1]"));
            }
            // A client that leaves drops the future.
            if let Some(Ok(response)) = service.clone().oneshot(call).now_or_never() {
                response.into_body().collect().await.unwrap();
            }
            recorder.events().last().unwrap().route().map(str::to_owned)
        };
        assert_eq!(send("/a.B/C", false).await, None, "{end:?}");
        assert_eq!(send("/a.B/C", true).await.as_deref(), Some("/a.B/C"), "{end:?}");
        assert_eq!(send("/a.B/C", false).await.as_deref(), Some("/a.B/C"), "{end:?}");
        assert_eq!(send("/a.B/Other", false).await, None, "{end:?}");
    }
}

/// axum's template of a tonic service is `/package.Service/{*rest}`.
#[tokio::test]
async fn the_path_replaces_the_template_of_a_router() {
    const TEMPLATE: &str = "/grpc.health.v1.Health/{*rest}";
    for (status, media, sets_route, expected) in [
        ("0", "application/grpc", false, PATH),
        ("5", "application/grpc", false, PATH),
        ("13", "application/grpc+proto", false, PATH),
        ("12", "application/grpc", false, TEMPLATE),
        ("0", "application/json", false, TEMPLATE),
        ("0", "application/grpc", true, "chosen"),
        ("12", "application/grpc", true, "chosen"),
    ] {
        for place in [Place::Headers, Place::Trailers] {
            let recorder = Recorder::new();
            let tagging = TaggingLayer::builder().sink(recorder.clone()).build().unwrap();
            let handler = async move |tags: Tags| {
                if sets_route {
                    tags.set_route("chosen");
                }
                response(place, status, None)
            };
            let app = Router::new().route(TEMPLATE, post(handler)).layer(tagging);
            let response = app.oneshot(call(PATH, media).map(axum::body::Body::new)).await.unwrap();
            response.into_body().collect().await.unwrap();
            assert_eq!(recorder.single().route(), Some(expected), "{status} {media} {place:?}");
        }
    }
}

/// Within a nested router, the path has no prefix.
#[tokio::test]
async fn the_prefix_of_a_nested_router_is_not_part_of_the_route() {
    for (status, expected) in [("0", Some(PATH)), ("12", None)] {
        let recorder = Recorder::new();
        let tagging = TaggingLayer::builder().sink(recorder.clone()).build().unwrap();
        let service = tagging
            .layer(service_fn(async move |_: Request<_>| Ok::<_, Infallible>(response(Place::Trailers, status, None))));
        let app = Router::new().nest_service("/api", service);
        let path = format!("/api{PATH}");
        let response = app.oneshot(call(&path, "application/grpc").map(axum::body::Body::new)).await.unwrap();
        response.into_body().collect().await.unwrap();
        let event = recorder.single();
        let route = event.route().filter(|route| !route.contains('{'));
        assert_eq!((event.path(), route), (&*path, expected), "{status}");
    }
}

/// A client fails a call whose response ends without a status: https://grpc.github.io/grpc/core/md_doc_statuscodes.html.
#[tokio::test]
async fn a_response_without_a_status_is_a_failed_call() {
    const ERROR: &str = "UNKNOWN: the call ended without a status";
    let empty = |headers: &[(&str, &str)]| plain(200, headers).map(|_| Full::default().boxed());
    let trailers = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("7"));
        let frames = [Frame::data(Bytes::from_static(b"abc")), Frame::trailers(trailers)];
        let body = StreamBody::new(stream::iter(frames.into_iter().map(Ok::<_, Infallible>))).boxed();
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    };
    let answers: [(&str, Answer, bool); 11] = [
        ("no trailers", Box::new(|| response(Place::Nowhere, "", None)), true),
        ("other trailers", Box::new(trailers), true),
        ("no body", Box::new(move || empty(&[("content-type", "application/grpc")])), true),
        ("sized", Box::new(|| plain(200, &[("content-type", "application/grpc")])), true),
        (
            "length",
            Box::new(|| plain(200, &[("content-type", "application/grpc+proto"), ("content-length", "5")])),
            true,
        ),
        // The status is in the body.
        ("web", Box::new(|| plain(200, &[("content-type", "application/grpc-web")])), false),
        ("web text", Box::new(|| plain(200, &[("content-type", "application/grpc-web-text+proto")])), false),
        // The status is in the headers.
        ("only trailers", Box::new(|| response(Place::Headers, "0", None)), false),
        // These are not responses of gRPC.
        ("html", Box::new(|| plain(200, &[("content-type", "text/html")])), false),
        ("no type", Box::new(|| plain(200, &[])), false),
        ("unavailable", Box::new(|| plain(503, &[("content-type", "application/grpc")])), false),
    ];
    for (case, respond, fails) in answers {
        let respond = Arc::new(respond);
        for is_client in [false, true] {
            let respond = Arc::clone(&respond);
            let (event, span) =
                observed(call(PATH, "application/grpc"), is_client, usize::MAX, move || respond()).await;
            let outcome = if fails { Outcome::Failed } else { Outcome::Completed };
            assert_eq!((event.outcome(), event.error()), (outcome, fails.then_some(ERROR)), "{case}");
            if fails {
                assert_eq!((event.grpc_status(), event.route()), (None, Some(PATH)), "{case}");
                assert_eq!(span.status, Status::error(ERROR), "{case}");
                assert!(event.is_error(), "{case}");
            }
        }
    }
    // Only a POST is a call.
    for method in ["HEAD", "GET"] {
        let mut request = call(PATH, "application/grpc");
        *request.method_mut() = method.parse().unwrap();
        let ended = || response(Place::Nowhere, "", None);
        let (event, _) = observed(request, false, usize::MAX, ended).await;
        assert_eq!((event.outcome(), event.error(), event.route()), (Outcome::Completed, None, None), "{method}");
    }
}

/// The trailers are the end of a call.
#[tokio::test]
async fn a_call_ends_with_its_trailers() {
    for place in [Place::Trailers, Place::TrailersAfterLength, Place::Nowhere] {
        // The client leaves before the trailers.
        let respond = move || response(place, "0", None);
        let (event, _) = observed(call(PATH, "application/grpc"), false, 1, respond).await;
        assert_eq!(
            (event.outcome(), event.grpc_status(), event.error()),
            (Outcome::Cancelled, None, None),
            "{place:?}"
        );
        if place == Place::Nowhere {
            continue;
        }
        // The trailers are the end, whether or not the body is polled again.
        let respond = move || response(place, "0", None);
        let (event, _) = observed(call(PATH, "application/grpc"), false, 2, respond).await;
        assert_eq!((event.outcome(), event.grpc_status()), (Outcome::Completed, Some(0)), "{place:?}");
    }
}

#[tokio::test]
async fn unusual_statuses_are_unknown() {
    for (text, status, error) in [
        ("17", 17, "UNKNOWN"),
        ("abc", 2, "UNKNOWN"),
        ("-1", 2, "UNKNOWN"),
        ("99999999", 2, "UNKNOWN"),
        ("", 2, "UNKNOWN"),
    ] {
        let respond = move || response(Place::Trailers, text, None);
        let (event, _) = observed(call(PATH, "application/grpc"), false, usize::MAX, respond).await;
        assert_eq!((event.grpc_status(), event.error()), (Some(status), Some(error)), "{text:?}");
        assert_eq!(event.outcome(), Outcome::Failed, "{text:?}");
    }
}

/// The message is text of the server, which may contain anything.
#[tokio::test]
async fn messages_are_bounded_and_have_no_control_characters() {
    for (message, expected) in [
        ("x".repeat(5000), format!("NOT_FOUND: {}", "x".repeat(1024))),
        ("%C3%A9".repeat(1100), format!("NOT_FOUND: {}", "é".repeat(1024))),
        ("%0A".repeat(2000) + "end", "NOT_FOUND: end".to_owned()),
        ("a%0D%0Ab%00c%1B[31md%7F%C2%85e".to_owned(), "NOT_FOUND: abc[31mde".to_owned()),
        ("%0A%00".to_owned(), "NOT_FOUND".to_owned()),
        (String::new(), "NOT_FOUND".to_owned()),
        ("%zz %FF 100%".to_owned(), "NOT_FOUND: %zz \u{FFFD} 100%".to_owned()),
    ] {
        for place in [Place::Headers, Place::Trailers] {
            let text = message.clone();
            let respond = move || response(place, "5", Some(&text));
            let (event, _) = observed(call(PATH, "application/grpc"), false, usize::MAX, respond).await;
            assert_eq!(event.error(), Some(&*expected), "{message:?}");
        }
    }
}
