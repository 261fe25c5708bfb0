use std::{sync::Arc, time::Duration};

use opentelemetry::{global::BoxedTracer, metrics::Meter};
use opentelemetry_sdk::{
    Resource,
    logs::LogExporter,
    metrics::{PeriodicReader, SdkMeterProvider, exporter::PushMetricExporter},
    trace::SpanExporter,
};

use crate::sink::{BatchWriter, Queued};

use super::{
    end_spans::EndSpans, log_writer::LogWriter, rejections::Rejections, span_rules::SpanRules, span_writer::SpanWriter,
};

/// Longest time that a span or a log record waits for its batch to fill.
const MAX_DELAY: Duration = Duration::from_secs(1);

type StartQueue = Box<dyn FnOnce(&Arc<SpanRules>, &Resource) -> Queued + Send>;
type StartProvider = Box<dyn FnOnce(&Resource, Option<Duration>) -> SdkMeterProvider + Send>;

/// The configured destination of each signal. Threads start when the [`Otel`](super::Otel) is built.
#[derive(Default)]
pub(super) struct Exporters {
    pub(super) spans: Option<Spans>,
    pub(super) logs: Option<StartQueue>,
    pub(super) metrics: Option<Metrics>,
}

/// The destination of spans.
pub(super) enum Spans {
    Exporter(StartQueue),
    /// A tracer whose provider the user flushes.
    Tracer(BoxedTracer),
}

impl Spans {
    /// Starts the queue of the spans.
    pub(super) fn start(self, rules: &Arc<SpanRules>, resource: &Resource) -> Queued {
        match self {
            Self::Exporter(start) => start(rules, resource),
            Self::Tracer(_) => queued_spans(EndSpans(Arc::clone(rules))),
        }
    }
}

fn queued_spans(writer: impl BatchWriter) -> Queued {
    Queued::builder("otel spans", writer).max_delay(MAX_DELAY).build()
}

/// The destination of metrics.
pub(super) enum Metrics {
    /// A meter whose provider the user flushes.
    Meter(Meter),
    /// A provider that is started, flushed, and shut down here.
    Provider(StartProvider),
}

impl Exporters {
    /// Returns `true` if an exporter is started here, so that its telemetry needs a resource.
    pub(super) fn need_resource(&self) -> bool {
        matches!(self.spans, Some(Spans::Exporter(_)))
            || self.logs.is_some()
            || matches!(self.metrics, Some(Metrics::Provider(_)))
    }

    pub(super) fn set_spans(&mut self, exporter: impl SpanExporter + 'static) {
        self.set_recorded_spans(exporter, Rejections::default());
    }

    /// Sets an exporter of spans that records what the collector rejects.
    pub(super) fn set_recorded_spans(&mut self, exporter: impl SpanExporter + 'static, rejections: Rejections) {
        self.spans = Some(Spans::Exporter(Box::new(move |rules, resource| {
            let mut exporter = exporter;
            exporter.set_resource(resource);
            let writer = SpanWriter::new(exporter, Arc::clone(rules), rejections);
            queued_spans(writer)
        })));
    }

    pub(super) fn set_logs(&mut self, exporter: impl LogExporter + 'static) {
        self.set_recorded_logs(exporter, Rejections::default());
    }

    /// Sets an exporter of log records that records what the collector rejects.
    pub(super) fn set_recorded_logs(&mut self, exporter: impl LogExporter + 'static, rejections: Rejections) {
        self.logs = Some(Box::new(move |rules, resource| {
            let mut exporter = exporter;
            exporter.set_resource(resource);
            let writer = LogWriter::new(exporter, Arc::clone(rules), rejections);
            Queued::builder("otel logs", writer).max_delay(MAX_DELAY).build()
        }));
    }

    pub(super) fn set_metrics(&mut self, exporter: impl PushMetricExporter) {
        self.metrics = Some(Metrics::Provider(Box::new(move |resource, interval| {
            let reader = PeriodicReader::builder(exporter);
            let reader = match interval {
                Some(interval) => reader.with_interval(interval),
                // The SDK reads `OTEL_METRIC_EXPORT_INTERVAL`.
                None => reader,
            };
            SdkMeterProvider::builder().with_reader(reader.build()).with_resource(resource.clone()).build()
        })));
    }
}
