use std::sync::Arc;

use crate::{event::Event, request::Tags, sink::Delivery, trace::TraceContext};

use super::{request_scope::RequestScope, request_start::RequestStart};

/// Observes requests while they run.
///
/// It is for telemetry that cannot wait for the event: the current span of a tracing system, counts of active requests,
/// quotas.
///
/// Register one with [`EventLayer::observer`](crate::EventLayer::observer). The calls happen on the request path, also while
/// a panic unwinds, so they must not block. A panic of an observer is caught; the request continues without it.
pub trait RequestObserver: Send + Sync + 'static {
    /// Decides whether a trace that starts here is recorded. `None` leaves the decision to others; the default is to record.
    ///
    /// It is called only if no [`TraceIdLayer`](crate::TraceIdLayer) has set the trace ids. The tags of the request are locked
    /// during the call: it must not use [`Tags`](crate::Tags).
    fn is_sampled(&self, trace: &TraceContext) -> Option<bool> {
        let _ = trace;
        None
    }

    /// Called once per request, before the service. The returned scope is dropped when the request ends, immediately before
    /// its event is emitted.
    fn begin(&self, request: &mut RequestStart<'_>) -> Box<dyn RequestScope>;

    /// Called when the usage and cost of an LLM call were added to the request that made it; see
    /// `UsageTap::roll_up`. The event is that of the call.
    fn rolled_up(&self, caller: &Tags, event: &Event) {
        let _ = (caller, event);
    }

    /// Called once per request with its event, immediately before the event is emitted to the sinks.
    fn end(&self, event: &Arc<Event>) {
        let _ = event;
    }

    /// Returns the handle to what the observer still has to deliver. The layer's
    /// [`delivery`](crate::EventLayer::delivery) includes it, after the sinks.
    fn delivery(&self) -> Delivery {
        Delivery::none()
    }
}
