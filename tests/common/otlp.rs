//! A mock OTLP collector over HTTP and gRPC that decodes or refuses requests.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
    serve::Listener,
};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::Span,
};
use prost::Message;

/// The telemetry received so far. Spans include the attributes of their resource.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) spans: Vec<(Span, BTreeMap<String, String>)>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) logs: Vec<LogRecord>,
    /// Number of compressed requests.
    pub(crate) compressed: usize,
    /// The response to all requests with spans or logs, if they are refused.
    pub(crate) refusal: Option<Refusal>,
    /// The part of each request with spans or logs that is rejected.
    pub(crate) partial: Option<Partial>,
    /// The headers of the latest request with spans over gRPC.
    pub(crate) headers: HeaderMap,
}

/// A partial success.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partial {
    pub(crate) rejected: i64,
    pub(crate) message: String,
    /// Responds in JSON over HTTP.
    pub(crate) is_json: bool,
}

impl Partial {
    /// Returns the response over HTTP. `json_name` is the name of the count in JSON.
    fn response(&self, json_name: &str, message: &impl Message) -> Response {
        if self.is_json {
            let partial = serde_json::json!({json_name: self.rejected.to_string(), "errorMessage": self.message});
            let body = serde_json::json!({"partialSuccess": partial}).to_string();
            return ([(CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response();
        }
        ([(CONTENT_TYPE, "application/x-protobuf")], message.encode_to_vec()).into_response()
    }
}

/// An error response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    Http(u16),
    /// The numeric gRPC status code.
    Grpc(u16),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Http(status) => StatusCode::from_u16(status).unwrap().into_response(),
            Self::Grpc(code) => {
                let headers = [("content-type", "application/grpc".to_owned()), ("grpc-status", code.to_string())];
                (headers, Body::empty()).into_response()
            }
        }
    }
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl Receiver {
    /// Starts on a dedicated thread, so that it responds even if the test blocks its runtime.
    pub(crate) fn start() -> Self {
        Self::start_on(|listener| listener)
    }

    /// Starts with TLS.
    pub(crate) fn start_tls(config: rustls::ServerConfig) -> Self {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        Self::start_on(|listener| TlsListener { listener, acceptor })
    }

    fn start_on<L>(listen: impl FnOnce(tokio::net::TcpListener) -> L + Send + 'static) -> Self
    where
        L: Listener<Addr = SocketAddr>,
    {
        let received: Arc<Mutex<Received>> = Arc::default();
        let app = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
            .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(grpc_traces))
            .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", post(grpc_metrics))
            .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", post(grpc_logs))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&received));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listen(listener), app).await.unwrap();
            });
        });
        Self { address, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses all requests with spans or logs, or accepts them again.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        self.received.lock().unwrap().refusal = refusal;
    }

    /// Rejects part of each request with spans or logs.
    pub(crate) fn reject(&self, partial: Option<Partial>) {
        self.received.lock().unwrap().partial = partial;
    }

    pub(crate) fn with<T>(&self, read: impl FnOnce(&Received) -> T) -> T {
        read(&self.received.lock().unwrap())
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, is_complete: impl Fn(&Received) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.with(&is_complete) {
            assert!(Instant::now() < deadline, "the expected telemetry did not arrive");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the values of a metric by labels, or the counts of a histogram.
    pub(crate) fn points(&self, name: &str) -> BTreeMap<String, f64> {
        self.last(name).map_or_else(BTreeMap::new, |metric| points_of(&metric))
    }

    /// Returns the sums of a histogram by labels.
    pub(crate) fn sums(&self, name: &str) -> BTreeMap<String, f64> {
        let Some(Data::Histogram(histogram)) = self.last(name).and_then(|metric| metric.data) else {
            panic!("no histogram {name} was received")
        };
        histogram.data_points.iter().map(|point| (labels(&point.attributes), point.sum.unwrap())).collect()
    }

    /// Returns the newest value. Metrics are cumulative.
    fn last(&self, name: &str) -> Option<Metric> {
        self.with(|received| received.metrics.iter().rfind(|metric| metric.name == name).cloned())
    }
}

struct TlsListener {
    listener: tokio::net::TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // Skips clients that fail the handshake.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

fn points_of(metric: &Metric) -> BTreeMap<String, f64> {
    let number = |value: &Option<number_data_point::Value>| match value {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        Some(number_data_point::Value::AsInt(value)) => *value as f64,
        Some(number_data_point::Value::AsDouble(value)) => *value,
        None => f64::NAN,
    };
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => {
            sum.data_points.iter().map(|point| (labels(&point.attributes), number(&point.value))).collect()
        }
        Data::Gauge(gauge) => {
            gauge.data_points.iter().map(|point| (labels(&point.attributes), number(&point.value))).collect()
        }
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        Data::Histogram(histogram) => {
            histogram.data_points.iter().map(|point| (labels(&point.attributes), point.count as f64)).collect()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn labels(attributes: &[KeyValue]) -> String {
    let mut labels: Vec<_> = self::attributes(attributes).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
    labels.sort();
    labels.join(",")
}

/// Returns attributes as text. Names must be unique.
pub(crate) fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let map: BTreeMap<_, _> = list.iter().map(|entry| (entry.key.clone(), text(&entry.value))).collect();
    assert_eq!(map.len(), list.len(), "duplicate attribute: {list:?}");
    map
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// Returns the body, decompressed if necessary.
fn plain(State(received): &Shared, body: &[u8]) -> Bytes {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Bytes::copy_from_slice(body);
    }
    received.lock().unwrap().compressed += 1;
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut plain).unwrap();
    plain.into()
}

type Shared = State<Arc<Mutex<Received>>>;

async fn traces(received: Shared, body: Bytes) -> Response {
    if let Some(refusal) = refusal(&received) {
        return refusal.into_response();
    }
    let request = ExportTraceServiceRequest::decode(plain(&received, &body)).unwrap();
    let mut received = received.lock().unwrap();
    for group in request.resource_spans {
        let resource = attributes(&group.resource.unwrap_or_default().attributes);
        let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.spans.extend(spans.map(|span| (span, resource.clone())));
    }
    let Some(partial) = received.partial.clone() else { return StatusCode::OK.into_response() };
    let success =
        ExportTracePartialSuccess { rejected_spans: partial.rejected, error_message: partial.message.clone() };
    partial.response("rejectedSpans", &ExportTraceServiceResponse { partial_success: Some(success) })
}

async fn metrics(received: Shared, body: Bytes) -> Response {
    let request = ExportMetricsServiceRequest::decode(plain(&received, &body)).unwrap();
    let groups = request.resource_metrics.into_iter().flat_map(|group| group.scope_metrics);
    received.lock().unwrap().metrics.extend(groups.flat_map(|scope| scope.metrics));
    StatusCode::OK.into_response()
}

async fn logs(received: Shared, body: Bytes) -> Response {
    if let Some(refusal) = refusal(&received) {
        return refusal.into_response();
    }
    let request = ExportLogsServiceRequest::decode(plain(&received, &body)).unwrap();
    let groups = request.resource_logs.into_iter().flat_map(|group| group.scope_logs);
    let mut received = received.lock().unwrap();
    received.logs.extend(groups.flat_map(|scope| scope.log_records));
    let Some(partial) = received.partial.clone() else { return StatusCode::OK.into_response() };
    let success =
        ExportLogsPartialSuccess { rejected_log_records: partial.rejected, error_message: partial.message.clone() };
    partial.response("rejectedLogRecords", &ExportLogsServiceResponse { partial_success: Some(success) })
}

fn refusal(State(received): &Shared) -> Option<Refusal> {
    received.lock().unwrap().refusal
}

/// The length of the prefix of a gRPC message, which is the compression flag and the message length.
const GRPC_PREFIX: usize = 5;

async fn grpc_traces(received: Shared, headers: HeaderMap, body: Bytes) -> Response {
    received.lock().unwrap().headers = headers;
    grpc_response(traces(received, body.slice(GRPC_PREFIX..)).await).await
}

async fn grpc_metrics(received: Shared, body: Bytes) -> Response {
    grpc_response(metrics(received, body.slice(GRPC_PREFIX..)).await).await
}

async fn grpc_logs(received: Shared, body: Bytes) -> Response {
    grpc_response(logs(received, body.slice(GRPC_PREFIX..)).await).await
}

/// Returns the message with the status OK, unless the response already is a gRPC error.
async fn grpc_response(response: Response) -> Response {
    if response.headers().contains_key("grpc-status") {
        return response;
    }
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let message = response.into_body().collect().await.unwrap().to_bytes();
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&message);
    let body = Body::new(Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers)))));
    ([(CONTENT_TYPE, "application/grpc")], body).into_response()
}
