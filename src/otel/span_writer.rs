use std::sync::Arc;

use futures_executor::block_on;
use opentelemetry_sdk::trace::SpanExporter;

use crate::{
    Event,
    sink::{BatchWriter, WriteError, yielding_chunks},
};

use super::{export_error::export_result, rejections::Rejections, span_rules::SpanRules};

/// Writes events to an exporter as spans.
pub(super) struct SpanWriter<E: SpanExporter> {
    exporter: E,
    rules: Arc<SpanRules>,
    rejections: Rejections,
}

impl<E: SpanExporter> SpanWriter<E> {
    pub(super) fn new(exporter: E, rules: Arc<SpanRules>, rejections: Rejections) -> Self {
        Self { exporter, rules, rejections }
    }
}

impl<E: SpanExporter + 'static> BatchWriter for SpanWriter<E> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let mut spans = Vec::with_capacity(events.len());
        spans.extend(yielding_chunks(events).map(|event| self.rules.span(event)));
        export_result(block_on(self.exporter.export(spans)), &self.rejections)
    }
}

impl<E: SpanExporter> Drop for SpanWriter<E> {
    /// Flushes spans that the exporter buffers.
    fn drop(&mut self) {
        if let Err(error) = self.exporter.force_flush() {
            tracing::warn!(target: "tower_tagging::delivery", sink = "otel spans", %error, "final flush failed");
        }
    }
}
