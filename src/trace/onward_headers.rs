use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::headers::{PORTKEY_PARENT_SPAN_ID, TRACEPARENT, TRACESTATE};

use super::{trace_context::TraceContext, traceparent::TRACE_ID, tracestate::Tracestate};

/// The changes that a trace makes to the headers of a request, and the header that it adds to the response.
#[derive(Debug)]
pub(crate) struct OnwardHeaders {
    /// The response header for the trace id.
    pub(super) reply: Option<HeaderName>,
    pub(super) tracestate: Tracestate,
    /// The request has exactly one `traceparent`, which can be overwritten.
    pub(super) replaces_traceparent: bool,
    /// The request names another parent explicitly. Services that read it give it precedence over `traceparent`.
    pub(super) replaces_parent_span_id: bool,
}

impl OnwardHeaders {
    /// Returns the change for a request that an outer layer has written a `traceparent` into. Returns `None` if there is
    /// none.
    pub(crate) fn again(headers: &HeaderMap) -> Option<Self> {
        let this = Self {
            reply: None,
            tracestate: Tracestate::Unchanged,
            replaces_traceparent: true,
            replaces_parent_span_id: headers.contains_key(PORTKEY_PARENT_SPAN_ID),
        };
        headers.contains_key(TRACEPARENT).then_some(this)
    }

    /// Replaces the `tracestate` of the request by that of the trace.
    pub(crate) fn with_tracestate_of(self, trace: &TraceContext) -> Self {
        let list = trace.tracestate().and_then(|list| HeaderValue::from_str(list).ok());
        Self { tracestate: list.map_or(Tracestate::Dropped(None), Tracestate::Joined), ..self }
    }

    /// Writes our `traceparent` into the request for the service. Returns the header for the response.
    pub(crate) fn write(self, trace: &TraceContext, headers: &mut HeaderMap) -> Option<(HeaderName, HeaderValue)> {
        match self.tracestate {
            Tracestate::Unchanged => {}
            Tracestate::Joined(list) => _ = headers.insert(TRACESTATE, list),
            Tracestate::Dropped(_) => _ = headers.remove(TRACESTATE),
        }
        // The header may have been stripped since.
        if self.replaces_parent_span_id
            && let Some(place) = headers.get_mut(PORTKEY_PARENT_SPAN_ID)
            && let Ok(value) = HeaderValue::from_str(trace.span_id().as_str())
        {
            *place = value;
        }
        // Both headers share one buffer: the `traceparent` contains the trace id.
        let bytes = Bytes::from_owner(trace.w3c().to_header());
        let reply = self.reply.and_then(|name| {
            let value = match trace.client_trace_id() {
                None => HeaderValue::from_maybe_shared(bytes.slice(TRACE_ID)),
                Some(id) => HeaderValue::from_str(id),
            };
            Some((name, value.ok()?))
        });
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes) {
            match headers.get_mut(TRACEPARENT) {
                // An insertion would make a full map grow, although the header already exists.
                Some(place) if self.replaces_traceparent => *place = value,
                _ => _ = headers.insert(TRACEPARENT, value),
            }
        }
        reply
    }
}
