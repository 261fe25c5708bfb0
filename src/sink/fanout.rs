use std::{fmt, sync::Arc};

use crate::event::Event;

use super::{Delivery, Sink, guarded::Guarded};

/// Hands every event to several sinks.
///
/// Each sink is on its own: one that panics or is full takes nothing from the others. Events are shared, not copied.
#[derive(Clone, Default)]
pub struct Fanout {
    sinks: Vec<Guarded>,
}

impl Fanout {
    /// No sinks yet; while there are none, a layer builds no events.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(sinks: impl Into<Vec<Guarded>>) -> Self {
        Self { sinks: sinks.into() }
    }

    /// Adds a sink.
    #[must_use]
    pub fn with(mut self, sink: impl Sink) -> Self {
        self.sinks.push(Guarded::new(sink));
        self
    }
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sinks.iter().map(Guarded::name)).finish()
    }
}

impl Sink for Fanout {
    fn emit(&self, event: Arc<Event>) {
        if let Some((last, others)) = self.sinks.split_last() {
            for sink in others {
                sink.emit(Arc::clone(&event));
            }
            last.emit(event);
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery::join(self.sinks.iter().map(Guarded::delivery))
    }

    fn name(&self) -> &'static str {
        "fanout"
    }

    fn is_listening(&self) -> bool {
        self.sinks.iter().any(Guarded::is_listening)
    }
}
