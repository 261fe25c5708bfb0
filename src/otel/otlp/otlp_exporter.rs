use crate::otel::{environment, exporters::Exporters, otel::Otel, otel_builder::OtelBuilder, otel_error::OtelError};

use super::{
    export_runtime::ExportRuntime,
    otlp_protocol::OtlpProtocol,
    signal::Signal,
    signal_exporter::{Overrides, set_log_exporter, set_metric_exporter, set_span_exporter},
};

/// Export over OTLP to an OpenTelemetry collector, configured by the environment.
///
/// Pass it to [`OtelBuilder::otlp`]. It runs on its own threads and works with or without a Tokio runtime.
///
/// # Environment
///
/// Reads the [variables of the OTLP exporter](https://opentelemetry.io/docs/specs/otel/protocol/exporter/) when the
/// [`Otel`] is built. Each one applies to all signals, or to one signal if its name contains `TRACES_`, `METRICS_`, or
/// `LOGS_` (`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`).
///
/// | variable | value | default |
/// |---|---|---|
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | URL | port 4318 (HTTP) or 4317 (gRPC) of `localhost` |
/// | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` or `grpc` | `http/protobuf` |
/// | `OTEL_EXPORTER_OTLP_HEADERS` | `name=value`, separated by commas | |
/// | `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds | 10000 |
/// | `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip` or `none` | `none` |
/// | `OTEL_EXPORTER_OTLP_CERTIFICATE` | PEM file of trusted authorities | public authorities |
/// | `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CLIENT_KEY` | PEM files | |
///
/// `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`, and `OTEL_LOGS_EXPORTER` are `otlp` or `none`. Traces and metrics are
/// exported by default, and logs are not.
///
/// # Partial success
///
/// A collector can accept a batch and [reject](https://opentelemetry.io/docs/specs/otlp/#partial-success) some of its
/// spans or log records. These count as dropped ([`Rejected`](crate::sink::DropReason::Rejected)), none is sent again, and
/// the collector's message is the [`last_error`](crate::sink::SinkReport::last_error) of the sink. A warning without
/// rejections is also a `last_error`. Exporters that you supply report only success or failure.
#[derive(Clone, Debug)]
#[must_use = "pass it to `OtelBuilder::otlp`"]
pub struct OtlpExporter {
    overrides: Overrides,
    traces: Option<bool>,
    metrics: Option<bool>,
    logs: Option<bool>,
}

impl OtlpExporter {
    /// Creates an exporter that is configured by the environment.
    pub fn from_env() -> Self {
        Self { overrides: Overrides::default(), traces: None, metrics: None, logs: None }
    }

    /// Sets the endpoint, such as `http://collector:4318`.
    ///
    /// Overrides the environment.
    ///
    /// Over HTTP, the path of the signal is appended (`/v1/traces`).
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.overrides.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the protocol of all signals, and overrides the environment.
    pub fn protocol(mut self, protocol: OtlpProtocol) -> Self {
        self.overrides.protocol = Some(protocol);
        self
    }

    /// Enables or disables the export of spans, and overrides `OTEL_TRACES_EXPORTER`.
    pub fn traces(mut self, is_enabled: bool) -> Self {
        self.traces = Some(is_enabled);
        self
    }

    /// Enables or disables the export of metrics.
    ///
    /// Overrides `OTEL_METRICS_EXPORTER`.
    pub fn metrics(mut self, is_enabled: bool) -> Self {
        self.metrics = Some(is_enabled);
        self
    }

    /// Enables or disables the export of each event as a log record.
    ///
    /// Overrides `OTEL_LOGS_EXPORTER`.
    pub fn logs(mut self, is_enabled: bool) -> Self {
        self.logs = Some(is_enabled);
        self
    }

    /// Sets the exporters of the enabled signals that have none.
    fn set(self, exporters: &mut Exporters) -> Result<(), OtelError> {
        if environment::is_disabled() {
            return Ok(());
        }
        let Self { overrides, traces, metrics, logs } = self;
        let runtime = ExportRuntime::start()?;
        let results = [
            is_missing(exporters.spans.is_none(), Signal::Traces, traces)
                .and_then(|is_missing| set_if(is_missing, || set_span_exporter(&runtime, &overrides, exporters))),
            is_missing(exporters.metrics.is_none(), Signal::Metrics, metrics)
                .and_then(|is_missing| set_if(is_missing, || set_metric_exporter(&runtime, &overrides, exporters))),
            is_missing(exporters.logs.is_none(), Signal::Logs, logs)
                .and_then(|is_missing| set_if(is_missing, || set_log_exporter(&runtime, &overrides, exporters))),
        ];
        OtelError::join(results.into_iter().filter_map(Result::err))
    }
}

/// Returns `true` if a signal has no exporter yet and is enabled.
fn is_missing(has_none: bool, signal: Signal, choice: Option<bool>) -> Result<bool, OtelError> {
    match choice {
        _ if !has_none => Ok(false),
        Some(choice) => Ok(choice),
        None => signal.is_enabled(),
    }
}

fn set_if(is_missing: bool, set: impl FnOnce() -> Result<(), OtelError>) -> Result<(), OtelError> {
    if is_missing { set() } else { Ok(()) }
}

impl OtelBuilder {
    /// Exports over OTLP every signal that has no other exporter.
    ///
    /// The order of the calls does not matter.
    pub fn otlp(mut self, exporter: OtlpExporter) -> Self {
        self.set_defaults = Some(Box::new(|exporters| exporter.set(exporters)));
        self
    }
}

impl Otel {
    /// Creates an `Otel` that exports over OTLP, configured by the environment.
    ///
    /// It is short for
    /// `OtelBuilder::from_env().otlp(OtlpExporter::from_env()).build()`. See [`OtelBuilder::from_env`] and
    /// [`OtlpExporter`] for the variables.
    ///
    /// # Errors
    /// Returns an [`OtelError`] with every problem that was found, such as an invalid environment variable.
    pub fn from_env() -> Result<Self, OtelError> {
        OtelBuilder::from_env().otlp(OtlpExporter::from_env()).build()
    }
}
