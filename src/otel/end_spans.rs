use std::sync::Arc;

use crate::{
    Event,
    sink::{BatchWriter, WriteError, yielding_chunks},
};

use super::span_rules::SpanRules;

/// The reason why events count as dropped.
const NO_SPAN: &str = "the tracer provider creates no spans, because it was shut down or is a no-op";

/// Ends the spans that the app's provider started, with what the events contain.
pub(super) struct EndSpans(pub(super) Arc<SpanRules>);

impl BatchWriter for EndSpans {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let lost = yielding_chunks(events).filter(|event| !self.0.end(event)).count();
        if lost == 0 { Ok(()) } else { Err(WriteError::partly_rejected(lost, NO_SPAN)) }
    }
}
