use std::{fmt, sync::Arc};

use crate::event::Event;

use super::{delivery::Delivery, isolated::Isolated, sink::Sink};

/// Passes on only the events that match a predicate.
///
/// ```
/// use tower_tagging::{EventLayer, event::{Event, Outcome}, sink::{self, Filter}};
///
/// let failures = Filter::new(
///     |event: &Event| event.outcome() != Outcome::Completed,
///     sink::from_fn(|event| println!("{event:?}")),
/// );
/// let layer = EventLayer::new(failures);
/// ```
///
/// Events that do not match are not accepted by the inner sink, and do not appear in its counts.
pub struct Filter<P> {
    predicate: P,
    sink: Isolated,
}

impl<P: Fn(&Event) -> bool + Send + Sync + 'static> Filter<P> {
    /// Creates a filter that passes an event to `sink` if `predicate` returns `true`.
    ///
    /// The predicate must obey the [contract of sinks](Sink#contract).
    pub fn new(predicate: P, sink: impl Sink) -> Self {
        Self { predicate, sink: Isolated::new(sink) }
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
