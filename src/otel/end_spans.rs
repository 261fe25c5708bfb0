use std::sync::Arc;

use crate::{
    Event,
    sink::{BatchWriter, WriteError, yielding_chunks},
};

use super::span_rules::SpanRules;

/// Ends the spans that the app's provider started, with what the events contain.
pub(super) struct EndSpans(pub(super) Arc<SpanRules>);

impl BatchWriter for EndSpans {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        yielding_chunks(events).for_each(|event| self.0.end(event));
        Ok(())
    }
}
