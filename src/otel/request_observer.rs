use std::sync::Arc;

use opentelemetry::{Context, ContextGuard};

use crate::{
    Event,
    trace::{TraceContext, TraceSampler},
};

use super::{
    active_requests::{ActiveRequests, ActiveSlot},
    sampler::Sampler,
    span_context::context_of,
};

/// The part of [`Otel`](super::Otel) that runs on the request path.
///
/// It samples traces, makes the request's span the active one while the service runs, and counts active requests.
#[derive(Clone, Debug)]
pub(crate) struct RequestObserver {
    active: Arc<ActiveRequests>,
    sampler: Option<Sampler>,
}

impl RequestObserver {
    pub(super) fn new(active: Arc<ActiveRequests>, sampler: Option<Sampler>) -> Self {
        Self { active, sampler }
    }

    pub(super) fn sampler(&self) -> Option<Sampler> {
        self.sampler.clone()
    }

    /// Sets the sampled flag of a trace that starts here.
    pub(crate) fn sample(&self, trace: &mut TraceContext) {
        if let Some(sampler) = &self.sampler {
            let is_sampled = sampler.is_sampled(trace, None);
            trace.set_sampled(is_sampled);
        }
    }

    /// Starts to observe a request whose trace ids are known.
    pub(crate) fn begin(&self, event: &Event) -> ObservedRequest {
        ObservedRequest {
            context: context_of(event.trace()),
            slot: self.active.enter(event),
            active: Arc::clone(&self.active),
        }
    }
}

/// A request in progress. Dropping it counts the request as finished.
pub(crate) struct ObservedRequest {
    context: Context,
    slot: ActiveSlot,
    active: Arc<ActiveRequests>,
}

impl ObservedRequest {
    /// Makes the request's context the current one until the guard is dropped.
    pub(crate) fn attach(&self) -> ContextGuard {
        self.context.clone().attach()
    }
}

impl Drop for ObservedRequest {
    fn drop(&mut self) {
        self.active.leave(self.slot);
    }
}
