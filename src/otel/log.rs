use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_executor::block_on;
use opentelemetry::{
    InstrumentationScope,
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
};

use super::span::{SpanRules, export_result};

type Records = Arc<Mutex<Vec<(SdkLogRecord, InstrumentationScope)>>>;

/// Keeps the records of a batch. Only a logger can make records.
#[derive(Debug)]
struct Collect(Records);

impl LogProcessor for Collect {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((record.clone(), scope.clone()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Hands events to an exporter as log records.
pub(super) struct LogWriter<E> {
    exporter: E,
    rules: Arc<SpanRules>,
    logger: SdkLogger,
    records: Records,
    /// It makes no loggers once it is gone.
    _provider: SdkLoggerProvider,
}

impl<E: LogExporter + 'static> LogWriter<E> {
    pub(super) fn new(exporter: E, rules: Arc<SpanRules>) -> Self {
        let records = Records::default();
        let provider = SdkLoggerProvider::builder().with_log_processor(Collect(Arc::clone(&records))).build();
        let logger = provider.logger_with_scope(rules.scope.clone());
        Self { exporter, rules, logger, records, _provider: provider }
    }

    fn emit(&self, event: &Event) {
        let mut record = self.logger.create_log_record();
        record.set_event_name("tower_tagging.request");
        let end = event.time().checked_add(event.duration()).unwrap_or(event.time());
        record.set_timestamp(end);
        record.set_observed_timestamp(end);
        let (severity, text) = match event.outcome() {
            Outcome::Failed | Outcome::Panicked => (Severity::Error, "ERROR"),
            _ if event.status().is_some_and(|status| status.is_server_error()) => (Severity::Error, "ERROR"),
            Outcome::Cancelled | Outcome::Rejected => (Severity::Warn, "WARN"),
            _ => (Severity::Info, "INFO"),
        };
        record.set_severity_number(severity);
        record.set_severity_text(text);
        let status = event.status().map(|status| format!(" {}", status.as_u16())).unwrap_or_default();
        let what = event.route().unwrap_or(event.path());
        record.set_body(AnyValue::from(format!("{} {what}{status} {}", event.method(), event.outcome())));
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

fn any_value(value: opentelemetry::Value) -> AnyValue {
    match value {
        opentelemetry::Value::Bool(value) => value.into(),
        opentelemetry::Value::I64(value) => value.into(),
        opentelemetry::Value::F64(value) => value.into(),
        other => AnyValue::from(other.as_str().into_owned()),
    }
}

impl<E: LogExporter + 'static> BatchWriter for LogWriter<E> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for event in yielding_chunks(events) {
            self.emit(event);
        }
        let records = std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner));
        let batch: Vec<_> = records.iter().map(|(record, scope)| (record, scope)).collect();
        export_result(block_on(self.exporter.export(LogBatch::new(&batch))))
    }
}
