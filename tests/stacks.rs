//! The layers in typical stacks: axum, bare hyper, clients, upgrades, and next to tower-http's layers. Each request
//! emits exactly one correct event.

mod common;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    routing::{any, get, post},
};
use common::Recorder;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer, timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer, Tags, TraceIdLayer,
    event::Outcome,
    metadata::{Diagnostic, DiagnosticCode, Limits, Overflow, Scope, Scopes},
    sink::{BatchWriter, Fanout, MockSink, Queued, WriteError},
    sources::{StripHeaders, TagSources},
    tagging::{RequestBody, RequestBodyService, Tagging},
    tags,
};

fn tagging(recorder: &Recorder) -> TaggingLayer {
    TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::all()))
        .sink(recorder.clone())
        .build()
        .unwrap()
}

fn router() -> Router {
    Router::new()
        .route("/users/{id}", get(async |tags: Tags| tags.get("feature").unwrap_or_default()))
        .route("/panic", get(async || -> &'static str { panic!("on purpose") }))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_secs(3600)).await))
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).header("x-majordomo-feature", "search").body(Body::empty()).unwrap()
}

async fn text(response: Response<impl hyper::body::Body<Data = Bytes, Error: std::fmt::Debug>>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn axum_router_layer_and_route_layer() {
    for layered in [Router::layer::<TaggingLayer>, Router::route_layer::<TaggingLayer>] {
        let recorder = Recorder::new();
        let app = layered(router(), tagging(&recorder));
        let response = app.oneshot(request("/users/7?secret=1")).await.unwrap();
        assert!(response.headers().contains_key("x-trace-id"));
        assert_eq!(text(response).await, "search");
        let event = recorder.single();
        assert_eq!((event.path(), event.route()), ("/users/7", Some("/users/{id}")));
        assert_eq!(event.metadata(), &tags! { "feature" => "search" });
        assert_eq!(event.outcome(), Outcome::Completed);
        assert_eq!(event.request_body_bytes(), Some(0));
    }
}

#[tokio::test]
async fn the_tags_extractor_names_the_missing_layer() {
    let response = router().oneshot(request("/users/7")).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(response).await.contains("Router::layer"));
    let optional = Router::new().route("/", get(async |tags: Option<Tags>| tags.is_none().to_string()));
    assert_eq!(text(optional.oneshot(request("/")).await.unwrap()).await, "true");
}

#[tokio::test]
async fn axum_head_request_is_completed() {
    let recorder = Recorder::new();
    let address = serve(router().layer(tagging(&recorder))).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let head = Request::head(format!("http://{address}/users/7")).body(Empty::new()).unwrap();
    assert_eq!(client.request(head).await.unwrap().status(), StatusCode::OK);
    let event = recorder.wait_for(1).await.remove(0);
    assert_eq!((event.outcome(), event.response_body_bytes()), (Outcome::Completed, 0));
    assert_eq!(event.host(), Some(address.to_string().as_str()));
}

/// A client that fills the tag limits cannot crowd out or override the tags of the handler.
#[tokio::test]
async fn a_client_cannot_crowd_out_the_tags_of_the_handler() {
    for limits in [Limits::default(), Limits::default().tags(3), Limits::default().tags(3).overflow(Overflow::Drop)] {
        let recorder = Recorder::new();
        let layer = TaggingLayer::builder()
            .metadata(MetadataLayer::builder().sources(TagSources::portkey()).limits(limits))
            .sink(recorder.clone())
            .build()
            .unwrap();
        let handler = async |tags: Tags| {
            tags.insert("_user", "ada");
            tags.insert("document_id", "42");
        };
        let mut metadata = serde_json::json!({ "_user": "e" });
        for number in 0..400 {
            metadata[format!("key-{number}")] = "v".repeat(100).into();
        }
        let request = Request::get("/").header("x-portkey-metadata", metadata.to_string()).body(Body::empty()).unwrap();
        let response = Router::new().route("/", get(handler)).layer(layer).oneshot(request).await.unwrap();
        drop(response);
        let event = recorder.wait_for(1).await.remove(0);
        assert_eq!(event.metadata().get("_user"), Some("ada"), "{limits:?}");
        assert_eq!(event.metadata().get("document_id"), Some("42"), "{limits:?}");
        assert!(event.diagnostics().len() > 60, "the client's tags exceeded the limit");
    }
}

/// The tagging layer works both inside and outside of common tower-http layers.
#[tokio::test]
async fn works_with_tower_http_layers() {
    let timeout = || TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_millis(30));
    let others = || {
        ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(CorsLayer::permissive())
            .layer(CompressionLayer::new())
            .layer(CatchPanicLayer::new())
    };
    for ours_is_outside in [true, false] {
        let recorder = Recorder::new();
        let app = if ours_is_outside {
            router().layer(timeout()).layer(others()).layer(tagging(&recorder))
        } else {
            router().layer(tagging(&recorder)).layer(timeout()).layer(others())
        };
        let mut statuses = Vec::new();
        for path in ["/users/7", "/panic", "/slow"] {
            let response = app.clone().oneshot(request(path)).await.unwrap();
            statuses.push(response.status().as_u16());
            text(response).await;
        }
        assert_eq!(statuses, [200, 500, 408]);
        let events = recorder.wait_for(3).await;
        let ends: Vec<_> = events.iter().map(|event| (event.outcome(), event.status().map(|s| s.as_u16()))).collect();
        let expected = if ours_is_outside {
            // Outside, the event has the response that the client received.
            [(Outcome::Completed, Some(200)), (Outcome::Completed, Some(500)), (Outcome::Completed, Some(408))]
        } else {
            // Inside, the event has the result of the service.
            [(Outcome::Completed, Some(200)), (Outcome::Panicked, None), (Outcome::Cancelled, None)]
        };
        assert_eq!(ends, expected);
    }
}

#[tokio::test]
async fn body_bytes_are_compressed_only_outside_of_the_compression_layer() {
    let page = "tower-tagging ".repeat(1000);
    let plain = page.len() as u64;
    for ours_is_outside in [true, false] {
        let recorder = Recorder::new();
        let page = page.clone();
        let app = Router::new().route("/", get(async move || page));
        let app = if ours_is_outside {
            app.layer(CompressionLayer::new()).layer(tagging(&recorder))
        } else {
            app.layer(tagging(&recorder)).layer(CompressionLayer::new())
        };
        let request = Request::get("/").header("accept-encoding", "gzip").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip");
        let sent = response.into_body().collect().await.unwrap().to_bytes().len() as u64;
        let event = recorder.single();
        assert_eq!(event.response_body_bytes(), if ours_is_outside { sent } else { plain });
        assert_eq!(event.outcome(), Outcome::Completed);
    }
}

#[tokio::test]
async fn bare_hyper_server_http1_and_http2() {
    let recorder = Recorder::new();
    // hyper's body types on both sides: the layer does not wrap the request body.
    let service = tagging(&recorder).without_request_body().layer(service_fn(async |request: Request<Incoming>| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(stream), service).await.unwrap();
            });
        }
    });
    for http2 in [false, true] {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
        let request = Request::post(format!("http://{address}/echo")).body(Full::from("hello")).unwrap();
        assert_eq!(text(client.request(request).await.unwrap()).await, "hello");
    }
    let events = recorder.wait_for(2).await;
    let versions: Vec<_> = events.iter().map(|event| common::json(event)["request"]["http_version"].clone()).collect();
    assert_eq!(versions, ["HTTP/1.1", "HTTP/2.0"]);
    for event in events {
        assert_eq!((event.outcome(), event.response_body_bytes()), (Outcome::Completed, 5));
        assert_eq!(event.request_body_bytes(), None, "the size is unknown, not zero");
        assert_eq!(event.host(), Some(address.to_string().as_str()));
    }
}

#[tokio::test]
async fn services_are_constructed_from_their_layers() {
    let recorder = Recorder::new();
    let echo = service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
        assert!(request.body().get_ref().size_hint().exact().is_some());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    });
    let service = RequestBodyService::new(echo, RequestBodyService::layer());
    let mut service = Tagging::new(service, Tagging::layer(recorder.clone()));
    let response = service.call(Request::new(Full::from("hello"))).await.unwrap();
    assert!(response.headers().contains_key("x-trace-id"));
    assert_eq!(response.body().get_ref().unwrap().size_hint().exact(), Some(5));
    assert_eq!(text(response).await, "hello");
    assert_eq!(recorder.single().request_body_bytes(), Some(5));

    let alone = Tagging::new(service.into_inner(), TraceIdLayer::new());
    assert_eq!(text(alone.oneshot(Request::new(Full::from("again"))).await.unwrap()).await, "again");
    assert_eq!(recorder.events().len(), 1);
}

#[tokio::test]
async fn wraps_a_hyper_client() {
    let served = Recorder::new();
    let address = serve(router().layer(tagging(&served))).await;
    let called = Recorder::new();
    let client = Client::builder(TokioExecutor::new()).build_http::<BoxBody<Bytes, Infallible>>();
    let client = ServiceBuilder::new().layer(tagging(&called).without_request_body()).service(client);
    let request = Request::get(format!("http://{address}/users/7"))
        .header("x-majordomo-feature", "search")
        .header("x-portkey-trace-id", "TRACE-1")
        .body(Empty::new().boxed())
        .unwrap();
    assert_eq!(text(client.oneshot(request).await.unwrap()).await, "search");
    let (called, served) = (called.wait_for(1).await.remove(0), served.wait_for(1).await.remove(0));
    assert_eq!(called.outcome(), Outcome::Completed);
    assert_eq!(called.path(), "/users/7");
    assert_eq!(called.host(), Some(address.to_string().as_str()));
    // The client's span is the parent of the server's span.
    assert_eq!(served.trace().trace_id(), called.trace().trace_id());
    assert_eq!(served.trace().parent_span_id(), Some(called.trace().span_id().as_str()));
    assert_eq!(served.trace().client_trace_id(), Some("TRACE-1"));
}

#[tokio::test]
async fn websocket_is_upgraded() {
    let recorder = Recorder::new();
    let app = Router::new().route(
        "/ws",
        any(async |mut request: axum::extract::Request| {
            let upgraded = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded.await.unwrap()));
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            });
            let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            response.header("connection", "upgrade").header("upgrade", "websocket").body(Body::empty()).unwrap()
        }),
    );
    let address = serve(app.layer(tagging(&recorder))).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    // The event is emitted while the socket is still open.
    let event = recorder.wait_for(1).await.remove(0);
    assert_eq!((event.outcome(), event.status()), (Outcome::Upgraded, Some(StatusCode::SWITCHING_PROTOCOLS)));
    socket.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");
}

#[tokio::test]
async fn connect_is_upgraded() {
    let recorder = Recorder::new();
    let service = EventLayer::new(recorder.clone())
        .layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new("tunnel".to_owned()))));
    let request = Request::builder().method(Method::CONNECT).uri("example.com:443").body(()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(recorder.single().outcome(), Outcome::Upgraded);
    drop(response);
    assert_eq!(recorder.events().len(), 1);
}

/// Each layer works on its own, and separately composed layers share the same tags.
#[tokio::test]
async fn layers_work_alone_and_composed() {
    async fn answer(request: Request<()>) -> Result<Response<String>, Infallible> {
        let tags = request.extensions().get::<Tags>().unwrap();
        tags.insert("added", "by handler");
        Ok(Response::new(format!("{} {}", tags.metadata().len(), tags.trace().trace_id())))
    }
    let request = || {
        let builder = Request::get("/").header("x-majordomo-feature", "search").header("x-portkey-trace-id", "T1");
        builder.body(()).unwrap()
    };

    let layer = MetadataLayer::builder().sources(TagSources::all()).build().unwrap();
    let response = layer.layer(service_fn(answer)).oneshot(request()).await.unwrap();
    assert!(text(response).await.starts_with("2 "));

    let response = TraceIdLayer::new().layer(service_fn(answer)).oneshot(request()).await.unwrap();
    assert_eq!(response.headers()["x-portkey-trace-id"], "T1");
    let digest = "1f93603db53bfad5c92390f735d0cbb8";
    assert_eq!(text(response).await, format!("1 {digest}"), "the trace ID is a digest of the client's ID");

    let recorder = Recorder::new();
    let layer = EventLayer::new(recorder.clone());
    let trace_id = text(layer.layer(service_fn(answer)).oneshot(request()).await.unwrap()).await;
    let event = recorder.single();
    assert_eq!(event.metadata(), &tags! { "added" => "by handler" });
    assert_eq!(trace_id, format!("1 {}", event.trace().trace_id()));

    // Layers that are composed one by one share the same tags, in either order.
    for events_outside in [true, false] {
        let recorder = Recorder::new();
        let events = EventLayer::new(recorder.clone());
        let metadata = MetadataLayer::builder().sources(TagSources::all()).build().unwrap();
        let body = if events_outside {
            let layers = ServiceBuilder::new().layer(events).layer(TraceIdLayer::new()).layer(metadata);
            text(layers.service(service_fn(answer)).oneshot(request()).await.unwrap()).await
        } else {
            let layers = ServiceBuilder::new().layer(metadata).layer(TraceIdLayer::new()).layer(events);
            text(layers.service(service_fn(answer)).oneshot(request()).await.unwrap()).await
        };
        assert_eq!(body, format!("2 {digest}"), "events outside: {events_outside}");
        let event = recorder.single();
        assert_eq!(event.trace().client_trace_id(), Some("T1"));
        assert_eq!(event.metadata(), &tags! { "added" => "by handler", "feature" => "search" });
    }
}

#[tokio::test]
async fn nested_layers_emit_one_event() {
    let recorder = Recorder::new();
    let inner = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().scope(Scope::Workspace, tags! { "tenant" => "acme" }))
        .sink(recorder.clone())
        .build()
        .unwrap();
    let app = router().route("/echo", post(async |body: String| body)).layer(inner).layer(tagging(&recorder));
    assert_eq!(text(app.clone().oneshot(request("/users/7")).await.unwrap()).await, "search");
    let event = recorder.single();
    assert_eq!(event.metadata(), &tags! { "feature" => "search", "tenant" => "acme" });
    recorder.0.clear();
    // Both layers wrap the request body, but only one counts it.
    assert_eq!(text(app.oneshot(request_of("/echo", "hello")).await.unwrap()).await, "hello");
    assert_eq!(recorder.single().request_body_bytes(), Some(5));
}

#[tokio::test]
async fn no_sink_receives_no_event() {
    let layer = TaggingLayer::builder().sink(Fanout::new()).build().unwrap();
    let delivery = layer.delivery();
    let app = router().layer(layer);
    assert_eq!(app.oneshot(request("/users/7")).await.unwrap().status(), StatusCode::OK);
    assert!(delivery.report().sinks.iter().all(|sink| sink.accepted == 0));
}

/// Trusted scopes are set by the builder, a resolver, a request extension, or the handler. Later ones override earlier
/// ones, and the client overrides none.
#[tokio::test]
async fn trusted_scopes_override_each_other_in_order() {
    let recorder = Recorder::new();
    let metadata_layer = MetadataLayer::builder()
        .sources(TagSources::all())
        .scope(Scope::Workspace, tags! { "a" => "static", "b" => "static", "c" => "static", "d" => "static" })
        .resolver(|head| {
            assert_eq!(head.uri.path(), "/");
            Scopes::new().with(Scope::Workspace, tags! { "b" => "resolved", "c" => "resolved", "d" => "resolved" })
        });
    let layer = TaggingLayer::builder().metadata(metadata_layer).sink(recorder.clone()).build().unwrap();
    let counts = layer.metadata_layer().unwrap().clone();
    let app = Router::new()
        .route(
            "/",
            get(async |tags: Tags| {
                let before = tags.metadata();
                tags.extend_scope(Scope::Workspace, tags! { "d" => "set" });
                tags.insert("d", "a handler does not override a trusted scope");
                (before["d"].to_owned(), tags.get("d").unwrap()).0
            }),
        )
        .layer(layer);
    let mut request = Request::get("/")
        .header("x-portkey-metadata", r#"{"a": "spoofed", "own": "mine"}"#)
        .body(Body::empty())
        .unwrap();
    let inserted = Scopes::new().with(Scope::Workspace, tags! { "c" => "inserted", "d" => "inserted" });
    request.extensions_mut().insert(inserted);
    assert_eq!(text(app.oneshot(request).await.unwrap()).await, "inserted");
    let event = recorder.single();
    let expected = tags! { "a" => "static", "b" => "resolved", "c" => "inserted", "d" => "set", "own" => "mine" };
    assert_eq!(event.metadata(), &expected);
    assert_eq!(event.source("own"), Some(Scope::Request));
    assert_eq!(event.source("d"), Some(Scope::Workspace));
    let shadowed: Vec<_> = event.diagnostics().iter().map(|note| note.key().unwrap().to_owned()).collect();
    assert_eq!(shadowed, ["a", "d"]);
    assert_eq!(counts.shadowed_total(), 2);
}

/// Removing a tag in the handler removes the client's value from the event. A trusted value of the same key stays.
#[tokio::test]
async fn removed_tags_are_not_on_the_event() {
    let recorder = Recorder::new();
    let metadata_layer =
        MetadataLayer::builder().sources(TagSources::all()).scope(Scope::Workspace, tags! { "tenant" => "acme" });
    let layer = TaggingLayer::builder().metadata(metadata_layer).sink(recorder.clone()).build().unwrap();
    let handler = async |tags: Tags| {
        tags.insert("feature", "search");
        ["_user", "tenant", "feature", "unknown"].map(|key| tags.remove(key).unwrap_or_default()).join(",")
    };
    let request =
        Request::get("/").header("x-portkey-metadata", r#"{"_user": "ada", "tenant": "spoofed", "own": "mine"}"#);
    let app = Router::new().route("/", get(handler)).layer(layer);
    assert_eq!(text(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await, "ada,spoofed,search,");
    let event = recorder.single();
    assert_eq!(event.metadata(), &tags! { "own" => "mine", "tenant" => "acme" });
    assert!(event.diagnostics().is_empty());
}

/// Tags are parsed on first access: by a handler, by several threads at once, or never. The counters agree in all
/// cases.
#[tokio::test]
async fn tags_and_counters_do_not_depend_on_the_first_reader() {
    /// Drops events without reading them.
    struct Discard;

    impl BatchWriter for Discard {
        fn write(&mut self, _: &[Arc<Event>]) -> Result<(), WriteError> {
            Ok(())
        }
    }

    const HEADER: &str = r#"{"team": "spoofed", "long": "0123456789", "feature": "search"}"#;
    let limits = Limits::default().value_chars(6);
    let expected = tags! { "feature" => "search", "long" => "012345", "team" => "acme" };
    for handler_reads in [false, true] {
        let layer = || {
            let metadata = MetadataLayer::builder().sources(TagSources::portkey()).limits(limits);
            metadata.scope(Scope::Workspace, tags! { "team" => "acme" }).build().unwrap()
        };
        let handler = service_fn(move |request: Request<()>| {
            let tags = request.extensions().get::<Tags>().unwrap();
            if handler_reads {
                assert_eq!(tags.get("team").unwrap(), "acme");
                tags.insert("feature", "rewritten");
                assert_eq!(tags.get("feature").unwrap(), "rewrit");
                tags.insert("feature", "search");
            }
            std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
        });
        let request = || Request::get("/").header("x-portkey-metadata", HEADER).body(()).unwrap();

        // Several threads read the tags of one event.
        let recorder = MockSink::new();
        let metadata = layer();
        let events = EventLayer::new(recorder.clone());
        ServiceBuilder::new().layer(events).layer(metadata.clone()).service(handler).oneshot(request()).await.unwrap();
        let event = recorder.single();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(*event.metadata(), expected));
            }
        });
        assert_eq!(metadata.shadowed_total(), 1);
        let notes: Vec<_> = event.diagnostics().iter().map(Diagnostic::code).collect();
        assert!(
            notes.contains(&DiagnosticCode::Shadowed) && notes.contains(&DiagnosticCode::ValueTruncated),
            "{notes:?}"
        );

        // The sink does not read the tags: it either discards the event or is shut down.
        for is_shut_down in [false, true] {
            let metadata = layer();
            let events = EventLayer::new(Queued::new("discard", Discard));
            let delivery = events.delivery();
            if is_shut_down {
                let _ = delivery.shutdown(Duration::from_secs(5)).await;
            }
            let service = ServiceBuilder::new().layer(events).layer(metadata.clone()).service(handler);
            service.oneshot(request()).await.unwrap();
            assert!(delivery.shutdown(Duration::from_secs(5)).await.sinks[0].in_flight() == 0);
            assert_eq!(metadata.shadowed_total(), 1, "handler reads: {handler_reads}, shut down: {is_shut_down}");
        }
    }
}

/// The response does not show that the client hung up during the upload, so the event has the error of the request
/// body.
#[tokio::test]
async fn a_request_body_error_is_on_the_event() {
    let recorder = Recorder::new();
    let app = Router::new()
        .route("/", post(async |body: Bytes| body))
        .route(
            "/reported",
            post(async |tags: Tags, _: Result<Bytes, axum::extract::rejection::BytesRejection>| {
                tags.set_error("the upload broke off");
            }),
        )
        .layer(tagging(&recorder));
    for (path, status, error) in
        [("/", 400, "request body error: connection reset"), ("/reported", 200, "the upload broke off")]
    {
        let chunks = [Ok("{\"mod"), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        text(app.clone().oneshot(Request::post(path).body(body).unwrap()).await.unwrap()).await;
        let event = recorder.single();
        assert_eq!((event.outcome(), event.status().unwrap().as_u16()), (Outcome::Completed, status));
        assert_eq!((event.error(), event.request_body_bytes()), (Some(error), Some(5)));
        recorder.0.clear();
    }
}

/// Headers that a prefix turns into tags are stripped. A credential is not a tag, so it is passed on to the service.
#[tokio::test]
async fn stripping_keeps_credentials_that_are_not_tags() {
    let recorder = Recorder::new();
    let sources = TagSources::all().prefix("x-");
    let metadata = MetadataLayer::builder().sources(sources).strip_headers(StripHeaders::Dialects);
    let layer = TaggingLayer::builder().metadata(metadata).sink(recorder.clone()).build().unwrap();
    let app = Router::new().fallback(async |headers: HeaderMap| {
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-")).collect();
        names.join(" ")
    });
    let request = Request::get("/")
        .header("x-api-key", "secret")
        .header("x-tenant", "acme")
        .header("x-portkey-api-key", "secret")
        .body(Body::empty())
        .unwrap();
    assert_eq!(text(app.layer(layer).oneshot(request).await.unwrap()).await, "x-api-key");
    assert_eq!(recorder.single().metadata(), &tags! { "tenant" => "acme" });
}

/// A credential that was allowed to become a tag is stripped like any other header of its source, and no other credential is.
#[tokio::test]
async fn stripping_removes_credentials_that_are_tags() {
    const CREDENTIALS: [&str; 4] = ["x-api-key", "x-goog-api-key", "x-acme-api-key", "x-acme-subscription-key"];
    let cases: [(&[&str], &str, StripHeaders, &str); 6] = [
        (&[], "", StripHeaders::Dialects, "x-api-key x-goog-api-key x-acme-api-key x-acme-subscription-key"),
        (&["x-api-key"], "", StripHeaders::Dialects, "x-goog-api-key x-acme-api-key x-acme-subscription-key"),
        (&["x-acme-api-key", "x-goog-api-key"], "", StripHeaders::Dialects, "x-api-key x-acme-subscription-key"),
        (&CREDENTIALS, "", StripHeaders::Dialects, ""),
        (&CREDENTIALS, "", StripHeaders::Nothing, "x-api-key x-goog-api-key x-acme-api-key x-acme-subscription-key"),
        (
            &["authorization"],
            "authorization",
            StripHeaders::DialectsAndAllowList,
            "x-api-key x-goog-api-key x-acme-api-key x-acme-subscription-key",
        ),
    ];
    for (allowed, list, strip, expected) in cases {
        let recorder = Recorder::new();
        let mut sources = TagSources::new().prefix("x-").allow_list(list);
        for name in allowed {
            sources = sources.allow_secret(HeaderName::from_static(name));
        }
        let metadata = MetadataLayer::builder().sources(sources).strip_headers(strip);
        let layer = TaggingLayer::builder().metadata(metadata).sink(recorder.clone()).build().unwrap();
        let app = Router::new().fallback(async |headers: HeaderMap| {
            let found = ["authorization"].into_iter().chain(CREDENTIALS).filter(|name| headers.contains_key(*name));
            found.collect::<Vec<_>>().join(" ")
        });
        let mut request = Request::get("/");
        for name in CREDENTIALS {
            request = request.header(name, "secret");
        }
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(text(app.layer(layer).oneshot(request).await.unwrap()).await, expected, "{allowed:?}, {strip:?}");
        let tags = recorder.single().metadata().len();
        assert_eq!(tags, allowed.iter().filter(|name| name.starts_with("x-")).count(), "{allowed:?}");
    }
}

/// `user` is read from a chunked body, and the service receives the body unchanged.
#[tokio::test]
async fn reads_the_user_of_the_request_body() {
    let recorder = Recorder::new();
    let app = Router::new()
        .route(
            "/json",
            post(async |tags: Tags, Json(body): Json<Value>| {
                // The tag is set as soon as the body is read.
                format!("{} {}", tags.get("_user").unwrap_or_default(), body["model"].as_str().unwrap())
            }),
        )
        .layer(tagging(&recorder));
    let cases = [
        (r#"{"model":"gpt-4o","user":"ada"}"#, None, "application/json", "ada gpt-4o"),
        (
            r#"{"model":"gpt-4o","user":"ada"}"#,
            Some(r#"{"_user":""}"#),
            "application/json; charset=utf-8",
            "ada gpt-4o",
        ),
        (r#"{"model":"gpt-4o","user":"ada"}"#, Some(r#"{"_user":"bob"}"#), "application/json", "bob gpt-4o"),
        (r#"{"model":"gpt-4o","messages":[{"user":"x"}]}"#, None, "application/json", " gpt-4o"),
    ];
    for (body, header, content_type, expected) in cases {
        let chunks: Vec<_> = body.as_bytes().chunks(3).map(|chunk| Ok::<_, Infallible>(chunk.to_vec())).collect();
        let mut request = Request::post("/json")
            .header("content-type", content_type)
            .body(Body::from_stream(futures_util::stream::iter(chunks)))
            .unwrap();
        if let Some(header) = header {
            request.headers_mut().insert("x-portkey-metadata", header.parse().unwrap());
        }
        assert_eq!(text(app.clone().oneshot(request).await.unwrap()).await, expected);
        let event = recorder.single();
        assert_eq!(event.request_body_bytes(), Some(body.len() as u64));
        recorder.0.clear();
    }
}

/// A `user` that is too long or not UTF-8 is reported in a diagnostic, for both JSON and forms.
#[tokio::test]
async fn an_invalid_user_is_reported() {
    let recorder = Recorder::new();
    let app = Router::new().route("/", post(async |_: Bytes| ())).layer(tagging(&recorder));
    let long = "x".repeat(20_000);
    let form =
        |value: &[u8]| [b"--x\r\ncontent-disposition: form-data; name=\"user\"\r\n\r\n", value, b"\r\n--x--"].concat();
    for (content_type, body, user, code) in [
        ("application/json", format!(r#"{{"user":"{long}"}}"#).into_bytes(), None, "too_large"),
        ("application/json", b"{\"user\":\"Zo\xeb\"}".to_vec(), Some("Zo\u{eb}"), "not_utf8"),
        ("multipart/form-data; boundary=x", form(long.as_bytes()), None, "too_large"),
        ("multipart/form-data; boundary=x", form(b"Zo\xeb"), Some("Zo\u{eb}"), "not_utf8"),
    ] {
        let request = Request::post("/").header("content-type", content_type).body(Body::from(body)).unwrap();
        app.clone().oneshot(request).await.unwrap();
        let event = recorder.single();
        let notes: Vec<_> =
            event.diagnostics().iter().map(|note| (note.code().as_str(), note.key().map(str::to_owned))).collect();
        assert_eq!(
            (event.metadata().get("_user"), notes),
            (user, vec![(code, Some("user".to_owned()))]),
            "{content_type}"
        );
        recorder.0.clear();
    }
}

/// A layer inside a nested router reports the full path of the request.
#[tokio::test]
async fn reports_the_full_path_in_a_nested_router() {
    let recorder = Recorder::new();
    let inner = Router::new().route("/", get(async || ())).route("/a/{id}", get(async || ())).layer(tagging(&recorder));
    let app = Router::new().nest("/api", inner);
    for (path, route) in [("/api/a/1", "/api/a/{id}"), ("/api", "/api")] {
        app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let event = recorder.single();
        assert_eq!((event.path(), event.route()), (path, Some(route)));
        recorder.0.clear();
    }
}

/// See RFC 9112, section 3.2.2, and RFC 9113, section 8.3.1.
#[tokio::test]
async fn the_host_of_the_target_overrides_the_header() {
    let recorder = Recorder::new();
    let app = Router::new().fallback(async || ()).layer(tagging(&recorder));
    for (target, host) in [("http://real.example:8080/p", "real.example:8080"), ("/p", "header.example")] {
        let request = Request::get(target).header("host", "header.example").body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap();
        assert_eq!(recorder.single().host(), Some(host), "{target}");
        recorder.0.clear();
    }
}

#[tokio::test]
async fn strict_json_rejects_invalid_metadata() {
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::portkey().strict_json()))
        .sink(recorder.clone())
        .build()
        .unwrap();
    let app = router().layer(layer);
    let request = Request::get("/users/7").header("x-portkey-metadata", "[1]").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["x-tagging-rejection"], "not_an_object; x-portkey-metadata");
    assert!(response.headers().contains_key("x-portkey-trace-id"));
    assert_eq!(text(response).await, "");
    let event = recorder.single();
    assert_eq!((event.outcome(), event.status()), (Outcome::Rejected, Some(StatusCode::BAD_REQUEST)));
}

/// An outer event layer recognizes a rejection by an inner layer. A resolver that panics still leaves an event.
#[tokio::test]
async fn rejections_and_panics_of_inner_layers_are_on_the_event() {
    let recorder = Recorder::new();
    let strict = MetadataLayer::builder().sources(TagSources::portkey().strict_json()).build().unwrap();
    let layers = ServiceBuilder::new().layer(EventLayer::new(recorder.clone())).layer(strict);
    let service = layers.service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()))));
    let request = Request::get("/").header("x-portkey-metadata", "[1]").body(()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(recorder.single().outcome(), Outcome::Rejected);

    common::expect_panics("the resolver");
    let recorder = Recorder::new();
    let metadata = MetadataLayer::builder().resolver(|_| panic!("the resolver panics"));
    let layer = TaggingLayer::builder().metadata(metadata).sink(recorder.clone()).build().unwrap();
    let app = router().layer(layer).layer(CatchPanicLayer::new());
    assert_eq!(app.oneshot(request_of("/users/7", "")).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(recorder.single().outcome(), Outcome::Panicked);
}

fn request_of(path: &str, body: &'static str) -> Request<Body> {
    Request::post(path).body(Body::from(body)).unwrap()
}

/// Shadowed tags are counted even without an event layer.
#[tokio::test]
async fn counts_shadowed_tags_without_events() {
    let metadata =
        MetadataLayer::builder().sources(TagSources::portkey()).scope(Scope::Forced, tags! { "env" => "prod" });
    let layer = metadata.build().unwrap();
    let service = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()))));
    for _ in 0..3 {
        let request = Request::get("/").header("x-portkey-metadata", r#"{"env":"dev"}"#).body(()).unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(layer.shadowed_total(), 3);
}

/// Credentials in a URI are not reported. Extensions copied from an earlier request do not suppress a later event.
#[tokio::test]
async fn a_client_call_hides_credentials_and_ignores_the_tags_of_an_earlier_call() {
    let recorder = Recorder::new();
    let layer = tagging(&recorder).without_request_body();
    let service = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()))));
    let request = || Request::get("https://user:s3cret@api.example:8443/v1").body(()).unwrap();
    let kept: Arc<std::sync::Mutex<Option<Tags>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let first = layer.layer(service_fn(move |request: Request<()>| {
        *keep.lock().unwrap() = request.extensions().get::<Tags>().cloned();
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    }));
    first.oneshot(request()).await.unwrap();
    let mut again = request();
    again.extensions_mut().insert(kept.lock().unwrap().take().unwrap());
    service.oneshot(again).await.unwrap();
    let events = recorder.wait_for(2).await;
    assert_eq!(events[0].host(), Some("api.example:8443"));
    assert_ne!(events[0].id(), events[1].id());
}

/// Bodies are `Default` if the inner body is, and errors need no bounds. Outer layers rely on both.
#[test]
fn bodies_are_default_and_errors_need_no_bounds() {
    struct NoTraits;

    fn is_default<B: Default>(body: B) -> B {
        body
    }

    let body = is_default(tower_tagging::tagging::ResponseBody::<Full<Bytes>>::default());
    assert!(hyper::body::Body::is_end_stream(&body));
    is_default(RequestBody::<Full<Bytes>>::default());
    let recorder = Recorder::new();
    let service =
        tagging(&recorder).layer(service_fn(async |_: Request<_>| Err::<Response<String>, NoTraits>(NoTraits)));
    let result = futures_util::FutureExt::now_or_never(service.oneshot(Request::new(String::new())));
    assert!(result.unwrap().is_err());
    let event = recorder.single();
    assert_eq!(event.outcome(), Outcome::Failed);
    assert!(event.error().unwrap().contains("NoTraits"), "{:?}", event.error());
}

/// The layer calls the same service that it polled for readiness, not a clone, as the contract of [`Service`] requires.
#[tokio::test]
async fn calls_the_service_that_was_polled_ready() {
    let recorder = Recorder::new();
    let layer = tagging(&recorder);
    type Watched = Request<RequestBody<String>>;
    let (mock, mut handle) = tower_test::mock::pair::<Watched, Response<String>>();
    let mut service = layer.layer(mock);
    handle.allow(1);
    std::future::poll_fn(|context| service.poll_ready(context)).await.unwrap();
    let response = tokio::spawn(service.call(Request::new(String::from("hello"))));
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(Response::new("hi".to_owned()));
    assert_eq!(text(response.await.unwrap().unwrap()).await, "hi");
    assert_eq!(recorder.single().outcome(), Outcome::Completed);
}

/// A handle that outlives the request is finished, and tags set after that are ignored.
#[tokio::test]
async fn ignores_tags_that_are_set_after_the_event() {
    let recorder = Recorder::new();
    let kept: Arc<std::sync::Mutex<Option<Tags>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let service = tagging(&recorder).layer(service_fn(move |request: Request<_>| {
        let _: &RequestBody<String> = request.body();
        *keep.lock().unwrap() = request.extensions().get::<Tags>().cloned();
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    }));
    service.oneshot(Request::new(String::new())).await.unwrap();
    let tags = kept.lock().unwrap().take().unwrap();
    assert!(tags.is_finished());
    tags.insert("late", "1");
    assert_eq!(tags.remove("late"), None);
    tags.extend_scope(Scope::Forced, tags! { "late" => "2" });
    tags.set_error("late");
    assert_eq!(tags.metadata(), tags! {});
    let event: Arc<Event> = recorder.single();
    assert_eq!((event.metadata().len(), event.error()), (0, None));
    assert_eq!(tags.trace().span_id(), event.trace().span_id());
}

#[cfg(feature = "llm")]
#[tokio::test]
async fn receipts_report_tags_usage_and_cost() {
    use tower_tagging::usage::UsageTap;

    const STREAM: &str = "data: {\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":100,\"total_tokens\":1100}}\n\n\
        data: [DONE]\n\n";
    let recorder = Recorder::new();
    let tagging = TaggingLayer::builder()
        .metadata(
            MetadataLayer::builder()
                .sources(TagSources::all())
                .scope(Scope::Workspace, tags! { "team" => "trusted", "env" => "prod" }),
        )
        .usage(UsageTap::new())
        .events(EventLayer::new(recorder.clone()).receipts())
        .build()
        .unwrap();
    let stream = async || {
        let frames = STREAM.split_inclusive("\n\n").map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk)));
        let body = Body::from_stream(futures_util::stream::iter(frames.collect::<Vec<_>>()));
        Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
    };
    let app =
        Router::new().route("/v1/chat/completions", post(stream)).route("/plain", get(async || "plain")).layer(tagging);
    let address = serve(app).await;
    for http2 in [false, true] {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
        let request = Request::post(format!("http://{address}/v1/chat/completions"))
            .header("te", "trailers")
            .header("x-majordomo-team", "mine")
            .header("x-majordomo-feature", "search");
        let response = client.request(request.body(Full::default()).unwrap()).await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (id, tags) = (header("x-tagging-event-id"), header("x-tagging-tags"));
        assert_eq!((tags.as_deref(), header("x-tagging-dropped").as_deref()), (Some("3"), Some("shadowed;team")));
        let body = response.into_body().collect().await.unwrap();
        let trailers = body.trailers().expect("trailers").clone();
        assert_eq!(body.to_bytes(), STREAM);
        for (name, value) in [
            ("x-tagging-usage-status", "reported"),
            ("x-tagging-input-tokens", "1000"),
            ("x-tagging-output-tokens", "100"),
            ("x-tagging-cost-usd", "0.0035"),
        ] {
            assert_eq!(trailers[name], value, "HTTP/2 {http2}");
        }
        let event = recorder.wait_for(1 + usize::from(http2) * 2).await.pop().unwrap();
        assert_eq!(id, Some(event.id().to_string()));
        // Other requests have the header fields of the receipt, but no trailers.
        let request = Request::get(format!("http://{address}/plain")).body(Full::default()).unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.headers()["x-tagging-tags"], "2");
        assert_eq!(response.headers()["content-length"], "5");
        let body = response.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none());
        recorder.wait_for(2 + usize::from(http2) * 2).await;
    }
    assert!(recorder.events().iter().all(|event| event.outcome() == Outcome::Completed));
}
