use std::sync::Arc;

use crate::{
    Event,
    sink::{BatchWriter, Queued, Sink, WriteError, yielding_chunks},
};

use super::{instruments::Instruments, span_starter::SpanStarter};

/// Records metrics of each event and passes it to the queues of spans and logs.
pub(super) struct Distribute {
    pub(super) instruments: Option<Instruments>,
    pub(super) spans: Option<Queued>,
    pub(super) starter: Arc<SpanStarter>,
    pub(super) logs: Option<Queued>,
}

impl BatchWriter for Distribute {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        for event in yielding_chunks(events) {
            if let Some(spans) = self.spans.as_ref().filter(|_| self.starter.is_recorded(event)) {
                spans.emit(Arc::clone(event));
            }
            if let Some(logs) = &self.logs {
                logs.emit(Arc::clone(event));
            }
            if let Some(instruments) = &self.instruments {
                instruments.record(event);
            }
        }
        Ok(())
    }
}
