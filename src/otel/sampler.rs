use std::sync::Arc;

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId},
};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};

use crate::trace::{TraceContext, TraceSampler};

use super::span_context::trace_state;

/// A sampler of the OpenTelemetry SDK, used as a [`TraceSampler`].
#[derive(Clone, Debug)]
pub(super) struct Sampler(pub(super) Arc<dyn ShouldSample>);

impl TraceSampler for Sampler {
    fn is_sampled(&self, trace: &TraceContext, parent: Option<bool>) -> bool {
        let trace_id = TraceId::from_bytes(trace.trace_id().to_bytes());
        let parent = parent.map(|is_sampled| {
            let flags = if is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
            let parent_id = trace.w3c_parent().unwrap_or_else(|| trace.span_id());
            let parent_id = SpanId::from_bytes(parent_id.to_bytes());
            let context = SpanContext::new(trace_id, parent_id, flags, true, trace_state(trace));
            Context::new().with_remote_span_context(context)
        });
        let result = self.0.should_sample(parent.as_ref(), trace_id, "", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }
}
