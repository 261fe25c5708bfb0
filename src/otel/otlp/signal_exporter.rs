use std::sync::Arc;

use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};

use crate::otel::otel_error::OtelError;

use super::{
    certificates::Certificates, destination::Destination, export_runtime::ExportRuntime, http_client::HttpClient,
    on_runtime::OnRuntime, otlp_protocol::OtlpProtocol, signal::Signal,
};

/// The overrides of the environment that all signals share.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Option<OtlpProtocol>,
}

macro_rules! signal_exporter {
    ($name:ident, $exporter:ident, $signal:expr) => {
        /// Builds the exporter of the signal.
        pub(super) fn $name(
            runtime: &Arc<ExportRuntime>,
            overrides: &Overrides,
        ) -> Result<OnRuntime<$exporter>, OtelError> {
            $signal.check_compression()?;
            let protocol = overrides.protocol.map_or_else(|| $signal.protocol(), Ok)?;
            let exporter = match protocol {
                OtlpProtocol::Grpc => {
                    let tls = Certificates::from_env($signal)?.for_grpc();
                    let mut builder = $exporter::builder().with_tonic().with_tls_config(tls);
                    if let Some(endpoint) = &overrides.endpoint {
                        builder = builder.with_endpoint(endpoint);
                    }
                    runtime.within(|| builder.build())
                }
                OtlpProtocol::HttpProtobuf => {
                    let mut builder = $exporter::builder().with_http().with_protocol(Protocol::HttpBinary);
                    if let Some(endpoint) = &overrides.endpoint {
                        let endpoint = endpoint.trim_end_matches('/');
                        builder = builder.with_endpoint(format!("{endpoint}{}", $signal.path()));
                    }
                    builder.with_http_client(HttpClient::from_env($signal)?).build()
                }
            };
            let exporter = exporter.map_err(|error| OtelError::new(error.to_string()))?;
            let destination = Destination::of($signal, protocol, overrides.endpoint.as_deref());
            destination.check_port();
            Ok(OnRuntime::new(exporter, runtime, destination))
        }
    };
}

signal_exporter!(span_exporter, SpanExporter, Signal::Traces);
signal_exporter!(metric_exporter, MetricExporter, Signal::Metrics);
signal_exporter!(log_exporter, LogExporter, Signal::Logs);

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
