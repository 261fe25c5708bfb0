use std::{error::Error, fmt, fmt::Write};

use opentelemetry_proto::{
    tonic::collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema, logs::tonic::group_logs_by_resource_and_scope,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{LogBatch, LogExporter},
    trace::{SpanData, SpanExporter},
};
use tonic::{Status, transport::Channel};

use crate::otel::rejections::Rejections;

use super::grpc_settings::GrpcSettings;

/// Exports spans or log records over gRPC.
///
/// The exporters of `opentelemetry-otlp` hide what the collector rejects of a batch.
pub(super) struct GrpcExporter<C> {
    client: C,
    settings: GrpcSettings,
    resource: ResourceAttributesWithSchema,
    rejections: Rejections,
}

impl GrpcExporter<TraceServiceClient<Channel>> {
    pub(super) fn spans(settings: GrpcSettings, rejections: Rejections) -> Self {
        let mut client = TraceServiceClient::new(settings.channel.clone());
        if let Some(coding) = settings.compression {
            client = client.send_compressed(coding).accept_compressed(coding);
        }
        Self { client, settings, resource: ResourceAttributesWithSchema::default(), rejections }
    }
}

impl GrpcExporter<LogsServiceClient<Channel>> {
    pub(super) fn logs(settings: GrpcSettings, rejections: Rejections) -> Self {
        let mut client = LogsServiceClient::new(settings.channel.clone());
        if let Some(coding) = settings.compression {
            client = client.send_compressed(coding).accept_compressed(coding);
        }
        Self { client, settings, resource: ResourceAttributesWithSchema::default(), rejections }
    }
}

impl SpanExporter for GrpcExporter<TraceServiceClient<Channel>> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = self.settings.request(ExportTraceServiceRequest { resource_spans });
        let response = self.client.clone().export(request).await.map_err(|status| sdk_error(&status))?;
        if let Some(partial) = response.into_inner().partial_success {
            self.rejections.record(partial.rejected_spans, &partial.error_message);
        }
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl LogExporter for GrpcExporter<LogsServiceClient<Channel>> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        let request = self.settings.request(ExportLogsServiceRequest { resource_logs });
        let response = self.client.clone().export(request).await.map_err(|status| sdk_error(&status))?;
        if let Some(partial) = response.into_inner().partial_success {
            self.rejections.record(partial.rejected_log_records, &partial.error_message);
        }
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl<C> fmt::Debug for GrpcExporter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcExporter").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Converts a status to the text that the exporters of `opentelemetry-otlp` return, with the cause or the message.
fn sdk_error(status: &Status) -> OTelSdkError {
    let mut text = format!("export failed with gRPC code: {:?}", status.code());
    let mut cause = status.source();
    if cause.is_none() && !status.message().is_empty() {
        let _ = write!(text, ": {}", status.message());
    }
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    OTelSdkError::InternalFailure(text)
}
