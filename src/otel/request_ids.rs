use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    /// The ids of the span that this thread is about to start for a request. Each one is used once, because a processor may
    /// start other spans meanwhile.
    static TRACE_ID: Cell<Option<TraceId>> = const { Cell::new(None) };
    static SPAN_ID: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// An id generator for the app's provider, with which a request's span has the ids that the layer has read or generated.
///
/// It is for [`OtelBuilder::tracer_provider`](super::OtelBuilder::tracer_provider). With another generator, a trace id that
/// the client sent in a header other than `traceparent` is not the trace id of the span. All other spans get random ids.
///
/// ```
/// use tower_tagging::otel::{RequestIds, opentelemetry_sdk::trace::SdkTracerProvider};
///
/// let provider = SdkTracerProvider::builder().with_id_generator(RequestIds::new()).build();
/// ```
#[derive(Clone, Debug, Default)]
pub struct RequestIds {
    random: RandomIdGenerator,
}

impl RequestIds {
    /// Creates a generator.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs code that starts one span with these ids, if its provider has this generator. The SDK asks for a trace id only if
    /// the span has no parent.
    pub(super) fn with<T>(trace_id: Option<TraceId>, span_id: SpanId, start: impl FnOnce() -> T) -> T {
        /// Removes the ids, even if a sampler or a processor panics.
        struct Remove;

        impl Drop for Remove {
            fn drop(&mut self) {
                TRACE_ID.set(None);
                SPAN_ID.set(None);
            }
        }

        TRACE_ID.set(trace_id);
        SPAN_ID.set(Some(span_id));
        let _remove = Remove;
        start()
    }
}

impl IdGenerator for RequestIds {
    fn new_trace_id(&self) -> TraceId {
        TRACE_ID.take().unwrap_or_else(|| self.random.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        SPAN_ID.take().unwrap_or_else(|| self.random.new_span_id())
    }
}
