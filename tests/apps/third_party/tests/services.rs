//! Services of published crates: each response is the same with and without the layer, and each request has one event.

use std::{fmt, sync::Arc};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::json;
use tower::{Layer, Service, ServiceExt};
use tower_tagging::{Event, TagSources, TaggingLayer, event::Outcome, sink::MockSink};
use utoipa::OpenApi;

/// A response in full.
#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// The data frames and the trailers.
    frames: Vec<Result<Bytes, HeaderMap>>,
}

async fn answer<S, B>(service: S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = Response<B>, Error: fmt::Debug>,
    B: http_body::Body<Data = Bytes, Error: fmt::Debug> + Unpin,
{
    let (head, mut body) = service.oneshot(request).await.unwrap().into_parts();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame.unwrap().into_data().map_err(|frame| frame.into_trailers().unwrap_or_default()));
    }
    Answer { status: head.status, headers: head.headers, frames }
}

/// Sends each request to a service with and without the layer, and returns the events.
async fn events_of(app: Router, requests: Vec<Request<Body>>) -> Vec<Arc<Event>> {
    let sink = MockSink::new();
    let sources = TagSources::new().allow_list("x-user-id=_user");
    let tagging = TaggingLayer::builder().sources(sources).sink(sink.clone()).build().unwrap();
    let wrapped = tagging.layer(app.clone());
    let count = requests.len();
    for request in requests {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let request = || Request::from_parts(head.clone(), Body::from(body.clone()));
        let expected = answer(app.clone(), request()).await;
        let mut found = answer(wrapped.clone(), request()).await;
        assert!(found.headers.remove("x-trace-id").is_some());
        assert_eq!(found, expected, "{} {}", head.method, head.uri);
    }
    let events = sink.events();
    assert_eq!(events.len(), count, "one event per request");
    events
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header("x-user-id", "ada").body(Body::empty()).unwrap()
}

#[derive(OpenApi)]
#[openapi()]
struct Api;

#[tokio::test]
async fn utoipa_swagger_ui() {
    let ui = utoipa_swagger_ui::SwaggerUi::new("/docs").url("/openapi.json", Api::openapi());
    let files =
        ["/docs", "/docs/", "/docs/index.html", "/docs/swagger-ui.css", "/docs/missing.js", "/openapi.json", "/no"];
    let events = events_of(Router::new().merge(ui), files.into_iter().map(get).collect()).await;
    for (event, path) in events.iter().zip(files) {
        assert_eq!((event.path(), event.outcome()), (path, Outcome::Completed));
        assert_eq!(event.metadata().get("_user"), Some("ada"));
    }
    assert!(events.iter().any(|event| event.response_body_bytes() > 100_000), "the style sheet is large");
}

#[tokio::test]
async fn utoipa_scalar() {
    use utoipa_scalar::Servable;

    let ui = utoipa_scalar::Scalar::with_url("/scalar", Api::openapi());
    let events = events_of(Router::new().merge(ui), vec![get("/scalar"), get("/other")]).await;
    let statuses: Vec<_> = events.iter().map(|event| event.status().unwrap().as_u16()).collect();
    assert_eq!(statuses, [200, 404]);
}

#[derive(Clone)]
struct Tools;

impl ServerHandler for Tools {}

/// The server for the Model Context Protocol answers in JSON and in event streams.
#[tokio::test]
async fn rmcp_streamable_http() {
    for json_response in [true, false] {
        let mut config = StreamableHttpServerConfig::default();
        config.legacy_session_mode = false;
        config.json_response = json_response;
        let sessions = Arc::new(LocalSessionManager::default());
        let service = StreamableHttpService::new(|| Ok(Tools), sessions, config);
        let app = Router::new().fallback_service(service);
        let post = |body: serde_json::Value| {
            let request = Request::post("/").header("host", "localhost").header("content-type", "application/json");
            let request = request.header("accept", "application/json, text/event-stream");
            request.body(Body::from(body.to_string())).unwrap()
        };
        let client = json!({"name": "test", "version": "0"});
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let requests = vec![
            post(initialize),
            post(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})),
            post(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})),
            post(json!({"not": "json-rpc"})),
            get("/"),
        ];
        let events = events_of(app, requests).await;
        assert!(events.iter().all(|event| event.outcome() == Outcome::Completed));
        assert_eq!(events[0].status(), Some(StatusCode::OK));
        assert!(events[0].response_body_bytes() > 0);
    }
}

/// gRPC messages and trailers pass unchanged.
#[tokio::test]
async fn tonic_health() {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", tonic_health::ServingStatus::Serving).await;
    let app = tonic::service::Routes::new(health).prepare().into_axum_router();
    let call = |method: &str, service: &str| {
        let length = service.len() as u8;
        // A message with one field, in a frame without compression.
        let mut frame = vec![0, 0, 0, 0, if length == 0 { 0 } else { length + 2 }];
        if length > 0 {
            frame.extend([0x0a, length]);
            frame.extend(service.bytes());
        }
        let request = Request::post(format!("/grpc.health.v1.Health/{method}")).version(http::Version::HTTP_2);
        request.header("content-type", "application/grpc").header("te", "trailers").body(Body::from(frame)).unwrap()
    };
    let requests = vec![call("Check", ""), call("Check", "shop"), call("Check", "missing"), call("Nothing", "")];
    let events = events_of(app, requests).await;
    let results: Vec<_> = events.iter().map(|event| (event.grpc_status().unwrap(), event.outcome())).collect();
    let expected = [(0, Outcome::Completed), (0, Outcome::Completed), (5, Outcome::Completed), (12, Outcome::Failed)];
    assert_eq!(results, expected);
    // A method that the service does not have is not a route.
    let routes: Vec<_> = events.iter().map(|event| event.route().map(str::to_owned)).collect();
    let check = Some("/grpc.health.v1.Health/Check".to_owned());
    assert_eq!(routes, [check.clone(), check.clone(), check, None]);
}
