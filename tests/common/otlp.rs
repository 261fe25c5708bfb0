//! An OTLP receiver over HTTP, which decodes what it gets.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::Span,
};
use prost::Message;

/// What was received, with the attributes of the resource of each.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) spans: Vec<(Span, BTreeMap<String, String>)>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) logs: Vec<LogRecord>,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl Receiver {
    /// On a thread of its own, so that it answers whatever the test's runtime does.
    pub(crate) fn start() -> Self {
        let received: Arc<Mutex<Received>> = Arc::default();
        let app = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&received));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        Self { address, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn with<T>(&self, read: impl FnOnce(&Received) -> T) -> T {
        read(&self.received.lock().unwrap())
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, what: impl Fn(&Received) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.with(&what) {
            assert!(Instant::now() < deadline, "waited in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The sums of a metric's points, by their attributes; of a histogram the counts.
    pub(crate) fn points(&self, name: &str) -> BTreeMap<String, f64> {
        self.last(name).map_or_else(BTreeMap::new, |metric| points_of(&metric))
    }

    /// The sum of all values of a histogram, by labels.
    pub(crate) fn sums(&self, name: &str) -> BTreeMap<String, f64> {
        let Some(Data::Histogram(histogram)) = self.last(name).and_then(|metric| metric.data) else {
            panic!("{name} is no histogram that was received")
        };
        histogram.data_points.iter().map(|point| (labels(&point.attributes), point.sum.unwrap())).collect()
    }

    /// Cumulative: the last one counts.
    fn last(&self, name: &str) -> Option<Metric> {
        self.with(|received| received.metrics.iter().rfind(|metric| metric.name == name).cloned())
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

/// Attributes as text.
pub(crate) fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let map: BTreeMap<_, _> = list.iter().map(|entry| (entry.key.clone(), text(&entry.value))).collect();
    assert_eq!(map.len(), list.len(), "an attribute stands there twice: {list:?}");
    map
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// The body, decompressed where a collector compressed it.
fn plain(body: &[u8]) -> Bytes {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Bytes::copy_from_slice(body);
    }
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut plain).unwrap();
    plain.into()
}

type Shared = State<Arc<Mutex<Received>>>;

async fn traces(State(received): Shared, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(plain(&body)).unwrap();
    let mut received = received.lock().unwrap();
    for group in request.resource_spans {
        let resource = attributes(&group.resource.unwrap_or_default().attributes);
        let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.spans.extend(spans.map(|span| (span, resource.clone())));
    }
    StatusCode::OK
}

async fn metrics(State(received): Shared, body: Bytes) -> StatusCode {
    let request = ExportMetricsServiceRequest::decode(plain(&body)).unwrap();
    let groups = request.resource_metrics.into_iter().flat_map(|group| group.scope_metrics);
    received.lock().unwrap().metrics.extend(groups.flat_map(|scope| scope.metrics));
    StatusCode::OK
}

async fn logs(State(received): Shared, body: Bytes) -> StatusCode {
    let request = ExportLogsServiceRequest::decode(plain(&body)).unwrap();
    let groups = request.resource_logs.into_iter().flat_map(|group| group.scope_logs);
    received.lock().unwrap().logs.extend(groups.flat_map(|scope| scope.log_records));
    StatusCode::OK
}
