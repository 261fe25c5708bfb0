use std::{
    env,
    error::Error,
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::LogBatch,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::SpanData,
};
use pin_project_lite::pin_project;
use tokio::runtime::{Handle, Runtime};

use super::tls::Certificates;

/// A Tokio runtime of our own, so that export works from any thread and depends on no runtime of the app's.
#[derive(Debug)]
pub(super) struct ExportRuntime {
    runtime: Option<Runtime>,
}

impl ExportRuntime {
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start() -> io::Result<Arc<Self>> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("tagging otlp").enable_all().build()?;
        Ok(Arc::new(Self { runtime: Some(runtime) }))
    }

    fn handle(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(Runtime::handle)
    }

    /// Runs what expects to find a runtime.
    pub(super) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        let _entered = self.handle().map(Handle::enter);
        run()
    }
}

impl Drop for ExportRuntime {
    fn drop(&mut self) {
        // Elsewhere than in its `Drop`, which must not run within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An exporter whose futures find our runtime, whoever polls them.
#[derive(Debug)]
pub(super) struct OnRuntime<E> {
    pub(super) exporter: E,
    pub(super) runtime: Arc<ExportRuntime>,
}

pin_project! {
    struct Within<F> {
        #[pin]
        future: F,
        runtime: Arc<ExportRuntime>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.runtime.within(|| this.future.poll(context))
    }
}

impl<E> OnRuntime<E> {
    fn run<F: Future>(&self, future: F) -> Within<F> {
        Within { future, runtime: Arc::clone(&self.runtime) }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for OnRuntime<SpanExporter> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.run(self.exporter.export(batch))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.runtime.within(|| self.exporter.shutdown_with_timeout(timeout))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl opentelemetry_sdk::logs::LogExporter for OnRuntime<LogExporter> {
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        self.run(self.exporter.export(batch))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.runtime.within(|| self.exporter.shutdown_with_timeout(timeout))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl PushMetricExporter for OnRuntime<MetricExporter> {
    fn export(&self, metrics: &ResourceMetrics) -> impl Future<Output = OTelSdkResult> + Send {
        self.run(self.exporter.export(metrics))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.runtime.within(|| self.exporter.shutdown_with_timeout(timeout))
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// The HTTP client of the OTLP exporters: our own, so that no feature of `opentelemetry-otlp` changes which one others get.
#[derive(Clone)]
struct OtlpClient {
    client: Client<Connector, Full<Bytes>>,
    timeout: Duration,
}

impl fmt::Debug for OtlpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpClient").finish_non_exhaustive()
    }
}

/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

impl OtlpClient {
    fn new(signal: Signal) -> Result<Self, OtelError> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(Certificates::of(signal)?.for_http()?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let timeout = match signal.setting("TIMEOUT") {
            Some(millis) => millis.value.parse().map_err(|_| millis.refused("no number of milliseconds"))?,
            None => 10_000,
        };
        Ok(Self { client, timeout: Duration::from_millis(timeout) })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| HttpError::from("the collector did not answer in time"))?
    }
}

impl HttpClient for OtlpClient {
    // What `async_trait` makes of `async fn send_bytes`.
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        Box::pin(self.clone().send(request))
    }
}

/// Why telemetry can't be exported as it was asked for.
#[derive(Debug)]
pub struct OtelError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl OtelError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(super) fn of(message: &str, source: impl Error + Send + Sync + 'static) -> Self {
        Self { message: format!("{message}: {source}"), source: Some(Box::new(source)) }
    }
}

impl fmt::Display for OtelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for OtelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// How telemetry is sent to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// OTLP over gRPC, on port 4317 where nothing else is said.
    Grpc,
    /// OTLP over HTTP with protobuf, on port 4318 where nothing else is said.
    HttpProtobuf,
}

/// Where OTLP goes; what is not said here, the environment says.
#[derive(Clone, Debug, Default)]
pub(super) struct Destination {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Option<OtlpProtocol>,
}

/// A signal, by the word in the names of its variables.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// Whether `OTEL_<SIGNAL>_EXPORTER` wants it exported over OTLP; `None` when it says nothing.
    ///
    /// # Errors
    /// For an exporter that is not here.
    pub(super) fn is_wanted(self) -> Result<Option<bool>, OtelError> {
        let name = format!("OTEL_{}_EXPORTER", self.word());
        match env::var(&name).as_deref() {
            Err(_) | Ok("") => Ok(None),
            Ok("otlp") => Ok(Some(true)),
            Ok("none") => Ok(Some(false)),
            Ok(other) => Err(OtelError::new(format!("{name}: {other:?}: neither \"otlp\" nor \"none\""))),
        }
    }

    /// The protocol of the signal, HTTP with protobuf where nothing is said.
    fn protocol(self, destination: &Destination) -> Result<OtlpProtocol, OtelError> {
        if let Some(protocol) = destination.protocol {
            return Ok(protocol);
        }
        match self.setting("PROTOCOL") {
            None => Ok(OtlpProtocol::HttpProtobuf),
            Some(protocol) => match protocol.value.as_str() {
                "grpc" => Ok(OtlpProtocol::Grpc),
                "http/protobuf" => Ok(OtlpProtocol::HttpProtobuf),
                _ => Err(protocol.refused("neither \"grpc\" nor \"http/protobuf\"")),
            },
        }
    }

    /// Refuses what the exporters would pass over in silence.
    fn check_compression(self) -> Result<(), OtelError> {
        match self.setting("COMPRESSION") {
            Some(name) if !["gzip", "none"].iter().any(|known| name.value.eq_ignore_ascii_case(known)) => {
                Err(name.refused("neither \"gzip\" nor \"none\""))
            }
            _ => Ok(()),
        }
    }

    /// The variable `OTEL_EXPORTER_OTLP_<SIGNAL>_<name>`, or else `OTEL_EXPORTER_OTLP_<name>`; an empty one is not set.
    pub(super) fn setting(self, name: &str) -> Option<Setting> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", self.word());
        [own, format!("OTEL_EXPORTER_OTLP_{name}")].into_iter().find_map(|variable| {
            let value = env::var(&variable).ok().filter(|value| !value.is_empty())?;
            Some(Setting { variable, value })
        })
    }
}

/// A variable that is set.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) variable: String,
    pub(super) value: String,
}

impl Setting {
    /// That the value can't be used, and why.
    pub(super) fn refused(&self, why: impl fmt::Display) -> OtelError {
        OtelError::new(format!("{}: {:?}: {why}", self.variable, self.value))
    }
}

macro_rules! otlp_exporter {
    ($name:ident, $exporter:ident, $signal:ident, $path:literal) => {
        /// The exporter of the signal.
        pub(super) fn $name(
            runtime: &Arc<ExportRuntime>,
            destination: &Destination,
        ) -> Result<OnRuntime<$exporter>, OtelError> {
            Signal::$signal.check_compression()?;
            let exporter = match Signal::$signal.protocol(destination)? {
                OtlpProtocol::Grpc => {
                    let tls = Certificates::of(Signal::$signal)?.for_grpc();
                    let mut builder = $exporter::builder().with_tonic().with_tls_config(tls);
                    if let Some(endpoint) = &destination.endpoint {
                        builder = builder.with_endpoint(endpoint);
                    }
                    runtime.within(|| builder.build())
                }
                OtlpProtocol::HttpProtobuf => {
                    let mut builder = $exporter::builder().with_http().with_protocol(Protocol::HttpBinary);
                    if let Some(endpoint) = &destination.endpoint {
                        builder = builder.with_endpoint(format!("{}{}", endpoint.trim_end_matches('/'), $path));
                    }
                    builder.with_http_client(OtlpClient::new(Signal::$signal)?).build()
                }
            };
            let exporter = exporter.map_err(|problem| OtelError::of("OTLP", problem))?;
            Ok(OnRuntime { exporter, runtime: Arc::clone(runtime) })
        }
    };
}

otlp_exporter!(otlp_spans, SpanExporter, Traces, "/v1/traces");
otlp_exporter!(otlp_metrics, MetricExporter, Metrics, "/v1/metrics");
otlp_exporter!(otlp_logs, LogExporter, Logs, "/v1/logs");
