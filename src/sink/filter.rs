use std::{fmt, sync::Arc};

use crate::event::Event;

use super::{Delivery, Sink, guarded::Guarded};

/// Hands on only the events that a predicate lets through.
///
/// ```
/// use tower_tagging::{EventLayer, event::Outcome, sink::Filter};
/// # use std::sync::Arc;
/// # use tower_tagging::event::Event;
///
/// let failures = Filter::new(
///     |event: &Event| event.outcome() != Outcome::Completed,
///     |event: Arc<Event>| println!("{event:?}"),
/// );
/// let layer = EventLayer::new(failures);
/// ```
///
/// Events that are filtered out were never accepted by the inner sink, so they are in none of its counts.
pub struct Filter<P> {
    predicate: P,
    sink: Guarded,
}

impl<P: Fn(&Event) -> bool + Send + Sync + 'static> Filter<P> {
    /// Lets through to `sink` what `predicate` is true for. The predicate obeys the [contract of sinks](Sink#contract).
    pub fn new(predicate: P, sink: impl Sink) -> Self {
        Self { predicate, sink: Guarded::new(sink) }
    }
}

impl<P> fmt::Debug for Filter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("sink", &self.sink).finish_non_exhaustive()
    }
}

impl<P: Fn(&Event) -> bool + Send + Sync + 'static> Sink for Filter<P> {
    fn emit(&self, event: Arc<Event>) {
        if (self.predicate)(&event) {
            self.sink.emit(event);
        }
    }

    fn delivery(&self) -> Delivery {
        self.sink.delivery()
    }

    fn name(&self) -> &str {
        self.sink.name()
    }

    fn is_listening(&self) -> bool {
        self.sink.is_listening()
    }
}
