//! Every way that a request can end, over real connections. Each emits one event with the correct outcome, bytes, and
//! times. The test compares the outcomes with tower-http's `OnEarlyDropLayer` and prints the table that the docs
//! include.

mod common;

use std::{
    convert::Infallible,
    fmt::Write,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{BoxError, body::Body};
use common::Recorder;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tower::{Layer, Service, ServiceBuilder, service_fn, util::BoxCloneSyncService};
use tower_http::{
    on_early_drop::{OnBodyDropFn, OnEarlyDropLayer},
    timeout::TimeoutLayer,
};
use tower_tagging::{EventLayer, event::Outcome, tagging::ResponseBody};

type BoxedService = BoxCloneSyncService<Request<Incoming>, Response<Body>, BoxError>;

/// One way for a request to end.
struct Case {
    name: &'static str,
    method: Method,
    path: &'static str,
    client: Client,
    outcome: Outcome,
    status: Option<u16>,
    bytes: u64,
    /// `true` if `OnEarlyDropLayer` should report an early drop.
    is_early_drop: bool,
}

/// The behavior of the client.
#[derive(Clone, Copy)]
enum Client {
    /// Reads the response to its end.
    Reads,
    /// Sends the request and hangs up after this time.
    HangsUpAfter(Duration),
    /// Hangs up after it has read this text.
    HangsUpAt(&'static str),
    /// Sends the request over HTTP/2 and resets the stream at the first body frame.
    ResetsHttp2,
    /// Reads while the server shuts down.
    OutlastsShutdown,
}

fn cases() -> Vec<Case> {
    use Client::{HangsUpAfter, HangsUpAt, OutlastsShutdown, ResetsHttp2};
    use Outcome::{Cancelled, Completed, Failed, Panicked, Upgraded};
    let case = |name, path, outcome, status: u16, bytes| Case {
        name,
        method: Method::GET,
        path,
        client: Client::Reads,
        outcome,
        status: (status > 0).then_some(status),
        bytes,
        is_early_drop: matches!(outcome, Cancelled | Panicked),
    };
    vec![
        case("empty body", "/empty", Completed, 200, 0),
        case("sized body", "/sized", Completed, 200, 5),
        case("chunked stream", "/chunked", Completed, 200, 15),
        case("stream with trailers", "/trailers", Completed, 200, 5),
        Case { method: Method::HEAD, ..case("HEAD, sized body", "/sized", Completed, 200, 0) },
        Case { method: Method::HEAD, ..case("HEAD, body that streams", "/endless", Completed, 200, 0) },
        case("204, body that streams", "/no-content", Completed, 204, 0),
        case("304, body that streams", "/not-modified", Completed, 304, 0),
        case("Content-Length met, body not ended", "/length-met", Completed, 200, 10),
        case("exact size, no Content-Length of its own, body not ended", "/exact", Completed, 200, 10),
        Case {
            client: HangsUpAt("wide"),
            ..case("client hangs up at the last byte of Content-Length", "/length-met", Completed, 200, 10)
        },
        Case {
            client: HangsUpAfter(Duration::from_millis(50)),
            ..case("client hangs up before the head", "/never", Cancelled, 0, 0)
        },
        Case { client: HangsUpAt("first"), ..case("client hangs up between frames", "/endless", Cancelled, 200, 5) },
        Case {
            client: HangsUpAt("third"),
            ..case("client hangs up after the last frame, before the end", "/late-end", Cancelled, 200, 15)
        },
        case("body dropped unpolled by an outer layer", "/replaced", Cancelled, 200, 0),
        case("service error", "/service-error", Failed, 0, 0),
        case("body error", "/body-error", Failed, 200, 5),
        case("handler panic", "/panic", Panicked, 0, 0),
        case("panic in the body", "/body-panic", Panicked, 200, 5),
        case("TimeoutLayer fires outside", "/timeout", Cancelled, 0, 0),
        case("upgrade", "/upgrade", Upgraded, 101, 0),
        Case { client: ResetsHttp2, ..case("HTTP/2 stream reset", "/endless", Cancelled, 200, 5) },
        Case { client: OutlastsShutdown, ..case("graceful shutdown in mid-stream", "/slow-end", Completed, 200, 15) },
    ]
}

fn chunks(words: &'static [&'static str]) -> impl stream::Stream<Item = Result<Bytes, BoxError>> + Send {
    stream::iter(words).map(|word| Ok(Bytes::from_static(word.as_bytes())))
}

/// A body with an exact size hint that does not end after its last byte.
struct Exact(stream::BoxStream<'static, Result<Bytes, BoxError>>);

impl hyper::body::Body for Exact {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_next_unpin(context).map(|item| item.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(10)
    }
}

async fn handle(request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
    let three = || chunks(&["first", "secnd", "third"]);
    let endless = || Body::from_stream(chunks(&["first"]).chain(stream::pending()));
    let body = match request.uri().path() {
        "/empty" => Body::empty(),
        "/sized" => Body::from("hello"),
        "/chunked" => Body::from_stream(three()),
        "/trailers" => {
            let trailers = HeaderMap::from_iter([("x-checksum".parse().unwrap(), "1".parse().unwrap())]);
            let frames = [Frame::data(Bytes::from("hello")), Frame::trailers(trailers)];
            Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>))))
        }
        "/endless" | "/replaced" => endless(),
        "/no-content" | "/not-modified" => {
            let status = if request.uri().path() == "/no-content" { 204 } else { 304 };
            return Ok(Response::builder().status(status).body(endless())?);
        }
        "/length-met" => {
            let body = Body::from_stream(chunks(&["world-", "wide"]).chain(stream::pending()));
            return Ok(Response::builder().header("content-length", 10).body(body)?);
        }
        "/exact" => Body::new(Exact(chunks(&["world-", "wide"]).chain(stream::pending()).boxed())),
        "/never" | "/timeout" => std::future::pending().await,
        "/late-end" => Body::from_stream(three().chain(stream::pending())),
        "/slow-end" => {
            let pause = stream::once(tokio::time::sleep(Duration::from_millis(100))).filter_map(async |()| None);
            Body::from_stream(chunks(&["first"]).chain(pause).chain(chunks(&["secnd", "third"])))
        }
        "/service-error" => return Err("broken".into()),
        "/body-error" => Body::from_stream(chunks(&["first"]).chain(stream::once(async { Err("broken".into()) }))),
        "/panic" => panic!("the handler panics"),
        "/body-panic" => Body::from_stream(chunks(&["first"]).chain(stream::once(async { panic!("the body panics") }))),
        "/upgrade" => {
            tokio::spawn(hyper::upgrade::on(request));
            let builder = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "test");
            return Ok(builder.body(Body::empty())?);
        }
        path => panic!("no such case: {path}"),
    };
    Ok(Response::new(body))
}

/// Wraps the handler in `layer`, and in the outer layer that the case needs.
fn wrap<L, B>(path: &str, layer: L) -> BoxedService
where
    L: Layer<tower::util::ServiceFn<fn(Request<Incoming>) -> HandlerFuture>>,
    L::Service: Service<Request<Incoming>, Response = Response<B>, Error = BoxError> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<Incoming>>>::Future: Send,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let inner: fn(Request<Incoming>) -> HandlerFuture = |request| Box::pin(handle(request));
    let service = layer.layer(service_fn(inner));
    let boxed = |response: Response<B>| response.map(Body::new);
    match path {
        "/timeout" => {
            let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_millis(50));
            BoxCloneSyncService::new(ServiceBuilder::new().layer(timeout).map_response(boxed).service(service))
        }
        "/replaced" => {
            let replace = |_: Response<B>| Response::new(Body::from("replaced"));
            BoxCloneSyncService::new(ServiceBuilder::new().map_response(replace).service(service))
        }
        _ => BoxCloneSyncService::new(ServiceBuilder::new().map_response(boxed).service(service)),
    }
}

type HandlerFuture = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// Serves until a shutdown is signaled, then waits for open connections.
async fn serve(service: BoxedService) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, signal) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let graceful = GracefulShutdown::new();
        let mut signal = pin!(signal);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let io = TokioIo::new(accepted.unwrap().0);
                    let server = auto::Builder::new(TokioExecutor::new());
                    let service = TowerToHyperService::new(service.clone());
                    let connection = server.serve_connection_with_upgrades(io, service).into_owned();
                    // Cases that break the connection make this an error.
                    tokio::spawn(graceful.watch(connection).map(drop));
                }
                _ = &mut signal => break,
            }
        }
        graceful.shutdown().await;
    });
    (address, shutdown)
}

async fn drive(case: &Case, address: SocketAddr, shutdown: oneshot::Sender<()>) {
    if matches!(case.client, Client::ResetsHttp2) {
        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let uri = format!("http://{address}{}", case.path);
        let request = Request::builder().uri(uri).body(Empty::<Bytes>::new()).unwrap();
        let mut response = sender.send_request(request).await.unwrap();
        response.frame().await.unwrap().unwrap();
        drop(response);
        // Only the stream is reset. The connection stays open.
        tokio::time::sleep(Duration::from_millis(100)).await;
        return;
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let connection = if case.path == "/upgrade" { "upgrade\r\nupgrade: test" } else { "close" };
    let request = format!("{} {} HTTP/1.1\r\nhost: test\r\nconnection: {connection}\r\n\r\n", case.method, case.path);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 1024];
    let mut shutdown = Some(shutdown);
    if let Client::HangsUpAfter(pause) = case.client {
        tokio::time::sleep(pause).await;
        return;
    }
    loop {
        // Treat a broken connection as the end.
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        match case.client {
            Client::HangsUpAt(text) if seen.contains(text) => return,
            Client::OutlastsShutdown if seen.contains("first") => {
                if let Some(shutdown) = shutdown.take() {
                    shutdown.send(()).unwrap();
                }
            }
            _ => {}
        }
        if read == 0 || (case.path == "/upgrade" && seen.contains("\r\n\r\n")) {
            return;
        }
    }
}

/// Returns the outcome that the event layer reports.
async fn reported_outcome(case: &Case) -> Outcome {
    let recorder = Recorder::new();
    let layer = EventLayer::new(recorder.clone());
    let delivery = layer.delivery();
    let (address, shutdown) = serve(wrap(case.path, layer)).await;
    drive(case, address, shutdown).await;
    let event = recorder.wait_for(1).await.remove(0);
    // A second event would be emitted immediately.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(recorder.events().len(), 1, "{}", case.name);

    let status = event.status().map(|status| status.as_u16());
    assert_eq!((status, event.response_body_bytes()), (case.status, case.bytes), "{}", case.name);
    assert_eq!(event.method(), case.method, "{}", case.name);
    assert_eq!(event.time_to_head().is_some(), status.is_some(), "{}", case.name);
    assert_eq!(event.time_to_first_byte().is_some(), case.bytes > 0, "{}", case.name);
    let times = [event.time_to_head(), event.time_to_first_byte(), Some(event.duration())];
    assert!(times.iter().flatten().is_sorted(), "{}: {times:?}", case.name);
    let at_least = match (case.path, case.client) {
        ("/slow-end", _) => Duration::from_millis(100),
        ("/timeout", _) | (_, Client::HangsUpAfter(_)) => Duration::from_millis(50),
        _ => Duration::ZERO,
    };
    // Allows for timers that fire slightly early.
    assert!(event.duration() + Duration::from_millis(10) >= at_least, "{}: {:?}", case.name, event.duration());
    let has_error = matches!(case.outcome, Outcome::Failed | Outcome::Panicked);
    assert_eq!(event.error().is_some(), has_error, "{}", case.name);
    let report = delivery.report();
    assert_eq!((report.sinks[0].accepted, report.sinks[0].delivered), (1, 1), "{}", case.name);
    event.outcome()
}

/// Returns `true` if tower-http's layer reports that the request was dropped early.
async fn reports_early_drop(case: &Case) -> bool {
    let drops = Arc::new(AtomicUsize::new(0));
    let hook = |drops: &Arc<AtomicUsize>| {
        let drops = Arc::clone(drops);
        move || _ = drops.fetch_add(1, Ordering::Relaxed)
    };
    let (for_future, for_body) = (Arc::clone(&drops), Arc::clone(&drops));
    let layer = OnEarlyDropLayer::builder()
        .on_future_drop(move |_: &Request<Incoming>| hook(&for_future))
        .on_body_drop(OnBodyDropFn::new(move |_: &Request<Incoming>| {
            let callback = hook(&for_body);
            move |_: &http::response::Parts| callback
        }));
    let (address, shutdown) = serve(wrap(case.path, layer)).await;
    drive(case, address, shutdown).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drops.load(Ordering::Relaxed) > 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emits_one_correct_event_however_a_request_ends() {
    common::expect_panics("the ");
    let mut table = String::from(
        "| how the request ends | outcome | status | body bytes | `OnEarlyDropLayer` says |\n|---|---|---|--:|---|\n",
    );
    let mut wrong = Vec::new();
    for case in cases() {
        let outcome = reported_outcome(&case).await;
        let is_drop_reported = reports_early_drop(&case).await;
        if outcome != case.outcome {
            wrong.push(format!("{}: {outcome}, expected {}", case.name, case.outcome));
        }
        let status = case.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let report = match (is_drop_reported, is_drop_reported == case.is_early_drop) {
            (true, true) => "dropped",
            (false, true) => "ended",
            (true, false) => "dropped (wrong)",
            (false, false) => "ended (wrong)",
        };
        writeln!(table, "| {} | `{outcome}` | {status} | {} | {report} |", case.name, case.bytes).unwrap();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{table}");
    let documented = include_str!("../src/tagging/outcomes.md");
    assert_eq!(table, documented, "src/tagging/outcomes.md is out of date, expected\n{table}");
}

/// A service that panics before it returns a future still leaves an event.
#[test]
fn a_panic_in_call_is_on_the_event() {
    let recorder = Recorder::new();
    let mut service = EventLayer::new(recorder.clone()).layer(service_fn(
        |_: Request<()>| -> std::future::Ready<Result<Response<Body>, Infallible>> { panic!("the call panics") },
    ));
    catch_unwind(AssertUnwindSafe(|| drop(service.call(Request::new(()))))).unwrap_err();
    let event = recorder.single();
    assert_eq!((event.outcome(), event.status()), (Outcome::Panicked, None));
}

/// A body whose methods panic.
struct PanickingBody {
    panics_in: Arc<Mutex<Option<BodyMethod>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum BodyMethod {
    SizeHint,
    IsEndStream,
    /// Panics in `is_end_stream` only after a frame was polled.
    IsEndStreamAfterFrame,
}

impl http_body::Body for PanickingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        *self.panics_in.lock().unwrap() = Some(BodyMethod::IsEndStream);
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"some")))))
    }

    fn is_end_stream(&self) -> bool {
        let panics_in = *self.panics_in.lock().unwrap();
        assert_ne!(panics_in, Some(BodyMethod::IsEndStream), "the end is unknown");
        false
    }

    fn size_hint(&self) -> http_body::SizeHint {
        let panics_in = *self.panics_in.lock().unwrap();
        assert_ne!(panics_in, Some(BodyMethod::SizeHint), "the size is unknown");
        http_body::SizeHint::default()
    }
}

/// The future or body is dropped only after the panic is caught, so the drop must not count as a cancellation.
#[test]
fn a_panic_while_the_layer_inspects_the_body_is_on_the_event() {
    for method in [BodyMethod::SizeHint, BodyMethod::IsEndStream, BodyMethod::IsEndStreamAfterFrame] {
        let panics_at_head = method != BodyMethod::IsEndStreamAfterFrame;
        let recorder = Recorder::new();
        let mut service = EventLayer::new(recorder.clone()).layer(service_fn(move |_: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(PanickingBody {
                panics_in: Arc::new(Mutex::new(Some(method))),
            })))
        }));
        let mut future = Box::pin(service.call(Request::new(())));
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().now_or_never()));
        assert_eq!(polled.is_err(), panics_at_head);
        if let Ok(response) = polled {
            let mut body = response.unwrap().unwrap().into_body();
            catch_unwind(AssertUnwindSafe(|| drop(body.frame().now_or_never()))).unwrap_err();
            drop(body);
        }
        drop(future);
        assert_eq!(recorder.single().outcome(), Outcome::Panicked);
    }
}

/// Servers inspect a body between frames. A panic during that is not a cancellation by the client.
#[test]
fn a_panic_while_the_server_inspects_the_body_is_not_a_cancellation() {
    for (method, call) in [
        (
            BodyMethod::IsEndStream,
            (|body| _ = http_body::Body::is_end_stream(body)) as fn(&ResponseBody<PanickingBody>),
        ),
        (BodyMethod::SizeHint, |body| _ = http_body::Body::size_hint(body)),
    ] {
        let recorder = Recorder::new();
        let panics_in = Arc::new(Mutex::new(None));
        let in_body = Arc::clone(&panics_in);
        let mut service = EventLayer::new(recorder.clone()).layer(service_fn(move |_: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(PanickingBody { panics_in: Arc::clone(&in_body) })))
        }));
        let body = service.call(Request::new(())).now_or_never().unwrap().unwrap().into_body();
        *panics_in.lock().unwrap() = Some(method);
        catch_unwind(AssertUnwindSafe(|| call(&body))).unwrap_err();
        drop(body);
        assert_eq!(recorder.single().outcome(), Outcome::Panicked, "{method:?}");
    }
}
