use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_executor::block_on;
use opentelemetry::{
    InstrumentationScope, Value,
    logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity},
    trace::{SpanId, TraceFlags, TraceId},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider},
};

use crate::{
    Event,
    event::Outcome,
    sink::{BatchWriter, WriteError, yielding_chunks},
    sync::lock,
};

use super::{export_error::export_result, rejections::Rejections, span_rules::SpanRules};

type Records = Arc<Mutex<Vec<(SdkLogRecord, InstrumentationScope)>>>;

/// Collects the records of a batch. The SDK passes records only to processors.
#[derive(Debug)]
struct CollectRecords(Records);

impl LogProcessor for CollectRecords {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        lock(&self.0).push((record.clone(), scope.clone()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Writes events to an exporter as log records.
pub(super) struct LogWriter<E> {
    exporter: E,
    rules: Arc<SpanRules>,
    rejections: Rejections,
    logger: SdkLogger,
    records: Records,
    /// Loggers are disabled when their provider is dropped.
    _provider: SdkLoggerProvider,
}

impl<E: LogExporter + 'static> LogWriter<E> {
    pub(super) fn new(exporter: E, rules: Arc<SpanRules>, rejections: Rejections) -> Self {
        let records = Records::default();
        let provider = SdkLoggerProvider::builder().with_log_processor(CollectRecords(Arc::clone(&records))).build();
        let logger = provider.logger_with_scope(rules.scope.clone());
        Self { exporter, rules, rejections, logger, records, _provider: provider }
    }

    fn emit(&self, event: &Event) {
        let mut record = self.logger.create_log_record();
        record.set_event_name("tower_tagging.request");
        let end = event.time().checked_add(event.duration()).unwrap_or(event.time());
        record.set_timestamp(end);
        record.set_observed_timestamp(end);
        let (severity, text) = severity(event);
        record.set_severity_number(severity);
        record.set_severity_text(text);
        let status = event.status().map(|status| format!(" {}", status.as_u16())).unwrap_or_default();
        let target = event.route().unwrap_or(event.path());
        record.set_body(AnyValue::from(format!("{} {target}{status} {}", event.method(), event.outcome())));
        let (attributes, _) = self.rules.attributes(event);
        record.add_attributes(attributes.into_iter().map(|attribute| (attribute.key, any_value(attribute.value))));
        record.set_trace_context(
            TraceId::from_bytes(event.trace().trace_id().to_bytes()),
            SpanId::from_bytes(event.trace().span_id().to_bytes()),
            Some(TraceFlags::new(event.trace().flags())),
        );
        self.logger.emit(record);
    }
}

impl<E: LogExporter + 'static> BatchWriter for LogWriter<E> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        lock(&self.records).clear();
        for event in yielding_chunks(events) {
            self.emit(event);
        }
        let records = mem::take(&mut *lock(&self.records));
        let batch: Vec<_> = records.iter().map(|(record, scope)| (record, scope)).collect();
        export_result(block_on(self.exporter.export(LogBatch::new(&batch))), &self.rejections)
    }
}

fn severity(event: &Event) -> (Severity, &'static str) {
    match event.outcome() {
        Outcome::Failed | Outcome::Panicked => (Severity::Error, "ERROR"),
        _ if event.status().is_some_and(|status| status.is_server_error()) => (Severity::Error, "ERROR"),
        Outcome::Cancelled | Outcome::Rejected => (Severity::Warn, "WARN"),
        _ => (Severity::Info, "INFO"),
    }
}

fn any_value(value: Value) -> AnyValue {
    match value {
        Value::Bool(value) => value.into(),
        Value::I64(value) => value.into(),
        Value::F64(value) => value.into(),
        other => AnyValue::from(other.as_str().into_owned()),
    }
}
