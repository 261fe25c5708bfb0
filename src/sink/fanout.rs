use std::{fmt, sync::Arc};

use crate::event::Event;

use super::{delivery::Delivery, isolated::Isolated, sink::Sink};

/// Passes every event to several sinks.
///
/// The sinks are independent: one that panics or is full does not affect the others. Events are shared, not copied.
///
/// ```
/// use tower_tagging::{EventLayer, sink::{self, Fanout, JsonLinesSink}};
///
/// let sinks = Fanout::new()
///     .with(JsonLinesSink::stdout())
///     .with(sink::from_fn(|event| eprintln!("{}", event.outcome())));
/// let layer = EventLayer::new(sinks);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Fanout {
    sinks: Vec<Isolated>,
}

impl Fanout {
    /// Creates a fanout without sinks. As long as it has none, layers build no events.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(sinks: impl Into<Vec<Isolated>>) -> Self {
        Self { sinks: sinks.into() }
    }

    /// Adds a sink.
    pub fn with(mut self, sink: impl Sink) -> Self {
        self.sinks.push(Isolated::new(sink));
        self
    }
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sinks.iter().map(Isolated::name)).finish()
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
        Delivery::join(self.sinks.iter().map(Isolated::delivery))
    }

    fn name(&self) -> &'static str {
        "fanout"
    }

    fn is_listening(&self) -> bool {
        self.sinks.iter().any(Isolated::is_listening)
    }
}
