use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::{
    headers::{MAJORDOMO_TRACE_ID, PORTKEY_PARENT_SPAN_ID, PORTKEY_SPAN_ID, PORTKEY_TRACE_ID, TRACEPARENT, TRACESTATE},
    metadata::diagnostic::{Diagnostic, DiagnosticCode, Diagnostics},
};

use super::{
    TraceSampler,
    context::{Parent, SAMPLED, SpanId, TRACE_ID_AT, TraceContext, TraceId, TraceSource},
    headers::{TraceHeaders, explicit_text, readable_text},
    ids::{IdGenerator, RandomIds},
    traceparent::{self, Traceparent},
    tracestate::{self, Tracestate},
};

const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Whose trace ids count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TracePolicy {
    /// Inbound ids are taken over: the request is part of the caller's trace.
    #[default]
    Accept,
    /// Every request begins a trace of its own; the inbound trace id is kept as
    /// [`linked_trace_id`](TraceContext::linked_trace_id). For callers that are not to be trusted.
    Restart,
}

/// Layer that gives every request trace ids; see the [module](super).
#[derive(Clone, Debug)]
pub struct TraceIdLayer {
    policy: TracePolicy,
    /// The headers of the dialects, unless others are chosen.
    trace_headers: Option<Arc<[HeaderName]>>,
    reply: Reply,
    ids: Arc<dyn IdGenerator>,
    sampler: Option<Arc<dyn TraceSampler>>,
}

#[derive(Clone, Debug)]
enum Reply {
    Never,
    /// `x-portkey-trace-id` to a client that speaks that dialect, else `x-trace-id`.
    ByDialect,
    Header(HeaderName),
}

impl Default for TraceIdLayer {
    fn default() -> Self {
        Self {
            policy: TracePolicy::default(),
            trace_headers: None,
            reply: Reply::ByDialect,
            ids: Arc::new(RandomIds),
            sampler: None,
        }
    }
}

impl TraceIdLayer {
    /// Takes inbound ids over and answers with `x-portkey-trace-id` or `x-trace-id`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whose trace ids count.
    #[must_use]
    pub fn policy(mut self, policy: TracePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The headers that may hold an explicit trace id, the strongest first; by default `x-portkey-trace-id` and
    /// `x-majordomo-trace-id`.
    #[must_use]
    pub fn trace_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.trace_headers = Some(names.into_iter().collect());
        self
    }

    /// The response header that carries the trace id. By default it is `x-portkey-trace-id` when any header of the
    /// request begins with `x-portkey-`, else `x-trace-id`. A header of that name in the service's response is replaced.
    #[must_use]
    pub fn response_header(mut self, name: HeaderName) -> Self {
        self.reply = Reply::Header(name);
        self
    }

    /// Leaves the response without a trace id.
    #[must_use]
    pub fn without_response_header(mut self) -> Self {
        self.reply = Reply::Never;
        self
    }

    /// Where fresh ids come from.
    #[must_use]
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Arc::new(ids);
        self
    }

    /// Which traces are recorded.
    #[must_use]
    pub fn sampler(mut self, sampler: impl TraceSampler) -> Self {
        self.sampler = Some(Arc::new(sampler));
        self
    }

    #[cfg(feature = "otel")]
    pub(crate) fn has_sampler(&self) -> bool {
        self.sampler.is_some()
    }

    pub(crate) fn shared_ids(mut self, ids: Arc<dyn IdGenerator>) -> Self {
        self.ids = ids;
        self
    }

    /// Sets the ids of a request by its headers, and gives what they mean for the headers that go on.
    pub(crate) fn read(
        &self,
        headers: &HeaderMap,
        now: SystemTime,
        trace: &mut TraceContext,
        diagnostics: &mut Diagnostics,
    ) -> OnwardHeaders {
        let found = TraceHeaders::find(headers);
        let inbound = match found.traceparent {
            None => None,
            Some(_) if found.repeats_traceparent => Some(Err("more than one header")),
            Some(value) => Some(traceparent::parse(value.as_bytes())),
        };
        let inbound = inbound.and_then(|parsed| {
            if let Err(reason) = parsed {
                diagnostics.push(Diagnostic::new(DiagnosticCode::InvalidTraceparent).with_detail(reason));
            }
            parsed.ok()
        });
        let explicit = self.explicit_trace_id(headers, &found, diagnostics);
        let reply = match &self.reply {
            Reply::Never => None,
            Reply::Header(name) => Some(name.clone()),
            Reply::ByDialect if found.speaks_portkey => Some(PORTKEY_TRACE_ID),
            Reply::ByDialect => Some(X_TRACE_ID),
        };
        let tracestate = if !found.has_tracestate {
            Tracestate::Unchanged
        } else if inbound.is_none() || self.policy == TracePolicy::Restart {
            Tracestate::Dropped(None)
        } else {
            tracestate::read(headers, &TRACESTATE)
        };
        if let Tracestate::Dropped(Some(reason)) = tracestate {
            diagnostics.push(Diagnostic::new(DiagnosticCode::InvalidTracestate).with_detail(reason));
        }
        let replaces_traceparent = found.traceparent.is_some() && !found.repeats_traceparent;
        match self.policy {
            TracePolicy::Restart => {
                trace.start(self.ids.trace_id(now), self.ids.span_id());
                let linked = explicit.or(inbound.as_ref().map(|inbound| inbound.trace_id.as_str()));
                trace.linked_trace_id = linked.map(Arc::from);
            }
            TracePolicy::Accept => self.accept(&found, inbound.as_ref(), explicit, now, trace, diagnostics),
        }
        if found.has_tracestate {
            trace.tracestate = tracestate.kept(headers.get(TRACESTATE));
        }
        if let Some(sampler) = &self.sampler {
            let parent = inbound.filter(|_| self.policy == TracePolicy::Accept);
            let is_sampled = sampler.is_sampled(trace, parent.map(|parent| parent.flags & SAMPLED != 0));
            trace.set_sampled(is_sampled);
        }
        OnwardHeaders { reply, tracestate, replaces_traceparent }
    }

    fn explicit_trace_id<'h>(
        &self,
        headers: &'h HeaderMap,
        found: &TraceHeaders<'h>,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'h str> {
        if let Some(names) = &self.trace_headers {
            return names.iter().find_map(|name| explicit_text(name.as_str(), headers.get(name)?, diagnostics));
        }
        let mut text = |name: &HeaderName, value| explicit_text(name.as_str(), value, diagnostics);
        let portkey = found.portkey_trace_id.and_then(|value| text(&PORTKEY_TRACE_ID, value));
        portkey.or_else(|| text(&MAJORDOMO_TRACE_ID, found.majordomo_trace_id?))
    }

    fn accept(
        &self,
        found: &TraceHeaders<'_>,
        inbound: Option<&Traceparent>,
        explicit: Option<&str>,
        now: SystemTime,
        trace: &mut TraceContext,
        diagnostics: &mut Diagnostics,
    ) {
        let span_id = found.portkey_span_id.and_then(|value| {
            let text = explicit_text(PORTKEY_SPAN_ID.as_str(), value, diagnostics)?;
            let id = SpanId::from_hex(&text.to_ascii_lowercase());
            if id.is_none() {
                let note = Diagnostic::new(DiagnosticCode::InvalidTraceId).with_detail("not 16 hex digits");
                diagnostics.push(note.with_key("x-portkey-span-id"));
            }
            id
        });
        let (trace_id, source) = match (inbound, explicit) {
            (Some(inbound), Some(_)) => (inbound.trace_id, TraceSource::Header),
            (Some(inbound), None) => (inbound.trace_id, TraceSource::Traceparent),
            (None, Some(id)) => (id_of_text(id).unwrap_or_else(|| self.ids.trace_id(now)), TraceSource::Header),
            (None, None) => (self.ids.trace_id(now), TraceSource::Generated),
        };
        let parent = found
            .portkey_parent_span_id
            .and_then(|value| explicit_text(PORTKEY_PARENT_SPAN_ID.as_str(), value, diagnostics))
            .map(Parent::of_text)
            .or(inbound.map(|inbound| Parent::W3c(inbound.parent_id)));
        // A header that a proxy passed on beside its own `traceparent` names the proxy's span, not ours; and no span is its
        // own parent.
        let is_ours =
            |id: &SpanId| inbound.is_none_or(|inbound| inbound.parent_id != *id) && parent != Some(Parent::W3c(*id));
        let span_id = span_id.filter(is_ours);
        trace.start(trace_id, span_id.unwrap_or_else(|| self.ids.span_id()));
        trace.source = source;
        trace.flags = inbound.map_or(SAMPLED, |inbound| inbound.flags);
        trace.parent = parent;
        // Where an explicit header says something else.
        let remote_parent = inbound.map(|inbound| inbound.parent_id);
        trace.remote_parent = remote_parent.filter(|id| trace.parent != Some(Parent::W3c(*id)));
        let names = [found.portkey_span_name, found.majordomo_span_name];
        trace.span_name = names.into_iter().flatten().find_map(readable_text).map(Arc::from);
        if let Some(id) = explicit {
            trace.explicit.push_str(id);
            trace.span_path = found.majordomo_span_path.and_then(readable_text).and_then(|path| joined_segments(&path));
        }
    }
}

/// What the trace of a request means for the headers that go on.
#[derive(Debug)]
pub(crate) struct OnwardHeaders {
    /// The response header that will carry the trace id.
    reply: Option<HeaderName>,
    tracestate: Tracestate,
    /// Whether there is exactly one `traceparent` to write over.
    replaces_traceparent: bool,
}

impl OnwardHeaders {
    /// Writes our `traceparent` into the request that goes on, and gives the header for the response.
    pub(crate) fn write(self, trace: &TraceContext, headers: &mut HeaderMap) -> Option<(HeaderName, HeaderValue)> {
        match self.tracestate {
            Tracestate::Unchanged => {}
            Tracestate::Joined(list) => _ = headers.insert(TRACESTATE, list),
            Tracestate::Dropped(_) => _ = headers.remove(TRACESTATE),
        }
        // One buffer for both headers: a generated trace id stands within the `traceparent`.
        let bytes = Bytes::from_owner(trace.traceparent_bytes());
        let reply = self.reply.and_then(|name| {
            let value = match trace.explicit.as_str() {
                "" => HeaderValue::from_maybe_shared(bytes.slice(TRACE_ID_AT..TRACE_ID_AT + 32)),
                id => HeaderValue::from_str(id),
            };
            Some((name, value.ok()?))
        });
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes) {
            match headers.get_mut(TRACEPARENT) {
                // Inserting would make a full map grow, although the header is there.
                Some(place) if self.replaces_traceparent => *place = value,
                _ => _ = headers.insert(TRACEPARENT, value),
            }
        }
        reply
    }
}

fn joined_segments(path: &str) -> Option<Arc<str>> {
    let segments: Vec<_> = path.split('/').map(str::trim).filter(|segment| !segment.is_empty()).collect();
    (!segments.is_empty()).then(|| segments.join("/").into())
}

/// The W3C id of an explicit one: its own 32 hex digits once dashes are removed, else out of its SHA-256.
fn id_of_text(text: &str) -> Option<TraceId> {
    hex_digits_of(text).and_then(TraceId::from_hex_digits).or_else(|| {
        let digest = Sha256::digest(text);
        TraceId::from_bytes(digest.first_chunk().copied()?)
    })
}

/// The 32 letters that a text consists of but for its dashes, in lower case.
fn hex_digits_of(text: &str) -> Option<[u8; 32]> {
    let mut letters = text.bytes().filter(|byte| *byte != b'-');
    let mut digits = [0; 32];
    for digit in &mut digits {
        *digit = letters.next()?.to_ascii_lowercase();
    }
    letters.next().is_none().then_some(digits)
}
