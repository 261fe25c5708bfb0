use http::{HeaderMap, HeaderValue};

use crate::headers::TRACEPARENT;

use super::{
    headers::TraceHeaders,
    onward_headers::OnwardHeaders,
    trace_context::{Parent, TraceContext},
    trace_id_layer::TraceIdLayer,
    tracestate::Tracestate,
};

impl TraceIdLayer {
    /// Sets the ids of a call that this service makes: a new span under the span of the caller.
    ///
    /// The caller's ids are trusted, whatever the policy. Returns the changes to the headers of request and response.
    pub(crate) fn continue_trace(
        &self,
        caller: &TraceContext,
        headers: &HeaderMap,
        trace: &mut TraceContext,
    ) -> OnwardHeaders {
        let found = TraceHeaders::find(headers);
        *trace = TraceContext {
            span_id: self.ids.span_id(),
            parent: Some(Parent::W3c(caller.span_id)),
            remote_parent: None,
            ..caller.clone()
        };
        if let Some(sampler) = &self.sampler {
            let is_sampled = sampler.is_sampled(trace, Some(caller.sampled()));
            trace.set_sampled(is_sampled);
        }
        let tracestate = caller.tracestate().and_then(|list| HeaderValue::from_str(list).ok());
        OnwardHeaders {
            reply: self.reply_header(&found),
            tracestate: tracestate.map_or(Tracestate::Dropped(None), Tracestate::Joined),
            replaces_traceparent: found.traceparent.is_some() && !found.repeats_traceparent,
            replaces_parent_span_id: found.portkey_parent_span_id.is_some(),
        }
    }
}

impl TraceContext {
    /// Returns `true` if a call with these headers, made on behalf of this request, continues its trace.
    ///
    /// That is a call without a `traceparent`, or with the one that the service saw, which a proxy forwards.
    pub(crate) fn continues_into(&self, headers: &HeaderMap) -> bool {
        let own = self.w3c().to_header();
        headers.get_all(TRACEPARENT).iter().all(|value| *value == own[..])
    }

    /// Returns `true` if the value names our own span as the parent.
    #[cfg(feature = "propagate")]
    pub(crate) fn is_parent_span(&self, value: &HeaderValue) -> bool {
        value.as_bytes() == self.span_id.as_str().as_bytes()
    }
}
