use std::{
    array,
    sync::{Arc, OnceLock},
};

use tracing_core::{Dispatch, Level, dispatcher};

use crate::event::Event;

use super::{
    sink::Sink,
    tracing_callsite::TracingCallsite,
    tracing_fields::{FIELDS, with_values},
};

/// Emits one `tracing` event for each request.
///
/// The fields are the columns of [`store::SCHEMA`](crate::store::SCHEMA), with the same names: `request_path`, `status_code`,
/// `model`, `total_cost`, `raw_metadata`, … They are plain values, so any subscriber can process them, including
/// `tracing_subscriber::fmt().json()`. JSON columns are recorded as text.
///
/// Fields with an unknown value, and empty JSON objects and arrays, are omitted.
///
/// ```
/// use tower_tagging::{EventLayer, sink::TracingSink};
///
/// let layer = EventLayer::new(TracingSink::new());
/// let quiet = EventLayer::new(TracingSink::new().target("billing").level(tracing::Level::DEBUG));
/// ```
///
/// The subscriber runs on the request's task. If it writes to a slow destination, let it use a dedicated thread, as
/// `tracing-appender` does, or use a [`Queued`](super::Queued) sink instead.
///
/// Each combination of target and level registers one call site with `tracing`, which is never freed. Create these
/// sinks when the service starts, not for each request.
#[derive(Clone, Debug)]
#[must_use]
pub struct TracingSink {
    target: String,
    level: Level,
    callsite: OnceLock<&'static TracingCallsite>,
}

impl Default for TracingSink {
    fn default() -> Self {
        Self::new()
    }
}

impl TracingSink {
    /// Creates a sink with the level `INFO` and the target `tower_tagging::event`.
    pub fn new() -> Self {
        Self { target: "tower_tagging::event".to_owned(), level: Level::INFO, callsite: OnceLock::new() }
    }

    /// Sets the target, which filters such as `RUST_LOG` match.
    pub fn target(self, target: impl Into<String>) -> Self {
        Self { target: target.into(), callsite: OnceLock::new(), ..self }
    }

    /// Sets the level.
    pub fn level(self, level: Level) -> Self {
        Self { level, callsite: OnceLock::new(), ..self }
    }

    fn callsite(&self) -> &'static TracingCallsite {
        self.callsite.get_or_init(|| TracingCallsite::register(&self.target, self.level, &FIELDS))
    }
}

impl Sink for TracingSink {
    fn emit(&self, event: Arc<Event>) {
        let callsite = self.callsite();
        dispatcher::get_default(|dispatch| {
            if dispatch.enabled(&callsite.metadata) {
                record(dispatch, callsite, &event);
            }
        });
    }

    fn name(&self) -> &'static str {
        "tracing"
    }
}

fn record(dispatch: &Dispatch, callsite: &'static TracingCallsite, event: &Event) {
    with_values(event, |values| {
        let mut pairs = callsite.fields.iter().zip(values);
        let Some(first) = pairs.next() else { return };
        // A `FieldSet` accepts only arrays of its exact length.
        let pairs: [_; FIELDS.len()] =
            array::from_fn(|index| if index == 0 { first } else { pairs.next().unwrap_or(first) });
        let metadata = &callsite.metadata;
        dispatch.event(&tracing_core::Event::new(metadata, &metadata.fields().value_set(&pairs)));
    });
}
