use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SpanData, SpanExporter},
};
use pin_project_lite::pin_project;

use super::{destination::Destination, export_runtime::ExportRuntime};

/// An exporter whose futures run within the export runtime, on whichever thread they are polled.
#[derive(Debug)]
pub(super) struct OnRuntime<E> {
    exporter: E,
    runtime: Arc<ExportRuntime>,
    destination: Destination,
}

pin_project! {
    struct Within<F> {
        #[pin]
        future: F,
        runtime: Arc<ExportRuntime>,
        destination: Destination,
    }
}

impl<F: Future<Output = OTelSdkResult>> Future for Within<F> {
    type Output = OTelSdkResult;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.runtime.within(|| this.future.poll(context)).map_err(|error| this.destination.describe(error))
    }
}

impl<E> OnRuntime<E> {
    pub(super) fn new(exporter: E, runtime: &Arc<ExportRuntime>, destination: Destination) -> Self {
        Self { exporter, runtime: Arc::clone(runtime), destination }
    }

    fn run<F: Future<Output = OTelSdkResult>>(&self, future: F) -> Within<F> {
        Within { future, runtime: Arc::clone(&self.runtime), destination: self.destination.clone() }
    }
}

impl<E: SpanExporter> SpanExporter for OnRuntime<E> {
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

impl<E: LogExporter> LogExporter for OnRuntime<E> {
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
