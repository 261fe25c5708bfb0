use std::sync::Arc;

use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};

use crate::otel::{exporters::Exporters, otel_error::OtelError, rejections::Rejections};

use super::{
    certificates::Certificates, destination::Destination, export_runtime::ExportRuntime, grpc_exporter::GrpcExporter,
    grpc_settings::GrpcSettings, http_client::HttpClient, on_runtime::OnRuntime, otlp_protocol::OtlpProtocol,
    setting::Setting, signal::Signal,
};

/// The overrides of the environment that all signals share.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Option<OtlpProtocol>,
}

impl Overrides {
    /// Checks the settings that the exporters ignore if they are invalid, and returns the protocol of a signal.
    fn protocol(&self, signal: Signal) -> Result<OtlpProtocol, OtelError> {
        signal.check_compression()?;
        self.protocol.map_or_else(|| signal.protocol(), Ok)
    }

    /// Returns the endpoint of a signal: the one that was set, that of the environment, or the default of the protocol.
    fn endpoint(&self, signal: Signal, protocol: OtlpProtocol) -> Setting {
        let unnamed = |value: String| Setting { variable: "endpoint".to_owned(), value };
        let chosen = self.endpoint.clone().map(unnamed).or_else(|| signal.setting("ENDPOINT"));
        chosen.unwrap_or_else(|| unnamed(format!("http://localhost:{}", protocol.default_port())))
    }

    /// Returns the URL for a signal over HTTP.
    fn http_endpoint(&self, signal: Signal) -> Option<String> {
        let endpoint = self.endpoint.as_ref()?.trim_end_matches('/');
        Some(format!("{endpoint}{}", signal.path()))
    }
}

macro_rules! set_exporter {
    ($name:ident, $exporter:ident, $signal:expr, $grpc:ident, $set:ident) => {
        /// Builds and sets the exporter of the signal.
        pub(super) fn $name(
            runtime: &Arc<ExportRuntime>,
            overrides: &Overrides,
            exporters: &mut Exporters,
        ) -> Result<(), OtelError> {
            let rejections = Rejections::default();
            let protocol = overrides.protocol($signal)?;
            let endpoint = overrides.endpoint($signal, protocol);
            let destination = Destination::new(protocol, &endpoint.value);
            destination.check_port();
            match protocol {
                OtlpProtocol::Grpc => {
                    let settings = runtime.within(|| GrpcSettings::from_env($signal, &endpoint))?;
                    let exporter = GrpcExporter::$grpc(settings, rejections.clone());
                    exporters.$set(OnRuntime::new(exporter, runtime, destination), rejections);
                }
                OtlpProtocol::HttpProtobuf => {
                    let client = HttpClient::from_env($signal)?.record_rejections(rejections.clone());
                    let mut builder = $exporter::builder().with_http().with_protocol(Protocol::HttpBinary);
                    if let Some(endpoint) = overrides.http_endpoint($signal) {
                        builder = builder.with_endpoint(endpoint);
                    }
                    let exporter = builder.with_http_client(client).build().map_err(|error| invalid(&error))?;
                    exporters.$set(OnRuntime::new(exporter, runtime, destination), rejections);
                }
            }
            Ok(())
        }
    };
}

set_exporter!(set_span_exporter, SpanExporter, Signal::Traces, spans, set_recorded_spans);
set_exporter!(set_log_exporter, LogExporter, Signal::Logs, logs, set_recorded_logs);

/// Builds and sets the exporter of metrics.
pub(super) fn set_metric_exporter(
    runtime: &Arc<ExportRuntime>,
    overrides: &Overrides,
    exporters: &mut Exporters,
) -> Result<(), OtelError> {
    let protocol = overrides.protocol(Signal::Metrics)?;
    let destination = Destination::new(protocol, &overrides.endpoint(Signal::Metrics, protocol).value);
    destination.check_port();
    let exporter = match protocol {
        OtlpProtocol::Grpc => {
            let tls = Certificates::from_env(Signal::Metrics)?.for_grpc();
            let mut builder = MetricExporter::builder().with_tonic().with_tls_config(tls);
            if let Some(endpoint) = &overrides.endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            runtime.within(|| builder.build())
        }
        OtlpProtocol::HttpProtobuf => {
            let mut builder = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
            if let Some(endpoint) = overrides.http_endpoint(Signal::Metrics) {
                builder = builder.with_endpoint(endpoint);
            }
            builder.with_http_client(HttpClient::from_env(Signal::Metrics)?).build()
        }
    };
    exporters.set_metrics(OnRuntime::new(exporter.map_err(|error| invalid(&error))?, runtime, destination));
    Ok(())
}

fn invalid(error: &opentelemetry_otlp::ExporterBuildError) -> OtelError {
    OtelError::new(error.to_string())
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
    use opentelemetry_sdk::trace::SpanExporter as _;

    use super::{HttpClient, Signal};
    use crate::{otel::export_error::kind, sink::WriteErrorKind};

    #[test]
    fn splits_batches_that_are_too_large_for_the_exporter() {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(HttpClient::from_env(Signal::Traces).unwrap())
            .with_max_request_body_size(0);
        let exporter = exporter.build().unwrap();
        let span = opentelemetry_sdk::testing::trace::new_test_export_span_data();
        let error = block_on(exporter.export(vec![span])).unwrap_err();
        assert_eq!(kind(&error), WriteErrorKind::Rejected, "{error}");
    }
}
