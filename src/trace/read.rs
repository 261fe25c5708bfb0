//! The conversion of request headers to trace ids.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::{
    headers::{MAJORDOMO_TRACE_ID, PORTKEY_PARENT_SPAN_ID, PORTKEY_SPAN_ID, PORTKEY_TRACE_ID, TRACESTATE},
    metadata::{Diagnostic, DiagnosticCode, Diagnostics},
    text::header_text,
};

use super::{
    client_text::{joined_segments, readable, visible_ascii},
    headers::{TraceHeaders, X_TRACE_ID},
    onward_headers::OnwardHeaders,
    span_id::SpanId,
    trace_context::{Parent, TraceContext},
    trace_id::TraceId,
    trace_id_layer::{Reply, TraceIdLayer},
    trace_policy::TracePolicy,
    trace_source::TraceSource,
    traceparent::{SAMPLED, Traceparent},
    tracestate::Tracestate,
};

impl TraceIdLayer {
    /// Sets the ids of a request according to its headers. Returns the changes to the headers of request and response.
    pub(crate) fn read(
        &self,
        headers: &HeaderMap,
        now: SystemTime,
        trace: &mut TraceContext,
        diagnostics: &mut Diagnostics,
    ) -> OnwardHeaders {
        let found = TraceHeaders::find(headers);
        let inbound = valid_traceparent(&found, diagnostics);
        let client_id = self.client_trace_id(headers, &found, diagnostics);
        let tracestate = self.tracestate(headers, &found, inbound.as_ref(), diagnostics);
        match self.policy {
            TracePolicy::Restart => {
                trace.start(self.ids.trace_id(now), self.ids.span_id());
                let linked = client_id.or(inbound.as_ref().map(|inbound| inbound.trace_id.as_str()));
                trace.linked_trace_id = linked.map(Arc::from);
            }
            TracePolicy::Accept => self.accept(&found, inbound.as_ref(), client_id, now, trace, diagnostics),
        }
        if found.has_tracestate {
            trace.tracestate = tracestate.kept(headers.get(TRACESTATE));
        }
        if let Some(sampler) = &self.sampler {
            let parent = inbound.filter(|_| self.policy == TracePolicy::Accept);
            let is_sampled = sampler.is_sampled(trace, parent.map(|parent| parent.flags & SAMPLED != 0));
            trace.set_sampled(is_sampled);
        }
        OnwardHeaders {
            reply: self.reply_header(&found),
            tracestate,
            replaces_traceparent: found.traceparent.is_some() && !found.repeats_traceparent,
            replaces_parent_span_id: found.portkey_parent_span_id.is_some(),
        }
    }

    pub(super) fn reply_header(&self, found: &TraceHeaders<'_>) -> Option<HeaderName> {
        match &self.reply {
            Reply::Never => None,
            Reply::Header(name) => Some(name.clone()),
            Reply::ByDialect if found.has_portkey => Some(PORTKEY_TRACE_ID),
            Reply::ByDialect => Some(X_TRACE_ID),
        }
    }

    fn client_trace_id<'h>(
        &self,
        headers: &'h HeaderMap,
        found: &TraceHeaders<'h>,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'h str> {
        if let Some(names) = &self.trace_headers {
            return names.iter().find_map(|name| explicit_id(name, headers.get(name)?, diagnostics));
        }
        let portkey = found.portkey_trace_id.and_then(|value| explicit_id(&PORTKEY_TRACE_ID, value, diagnostics));
        portkey.or_else(|| explicit_id(&MAJORDOMO_TRACE_ID, found.majordomo_trace_id?, diagnostics))
    }

    fn tracestate(
        &self,
        headers: &HeaderMap,
        found: &TraceHeaders<'_>,
        inbound: Option<&Traceparent>,
        diagnostics: &mut Diagnostics,
    ) -> Tracestate {
        if !found.has_tracestate {
            return Tracestate::Unchanged;
        }
        if inbound.is_none() || self.policy == TracePolicy::Restart {
            return Tracestate::Dropped(None);
        }
        let tracestate = Tracestate::read(headers, &TRACESTATE);
        if let Tracestate::Dropped(Some(reason)) = tracestate {
            diagnostics.push(Diagnostic::new(DiagnosticCode::InvalidTracestate).with_detail(reason));
        }
        tracestate
    }

    fn accept(
        &self,
        found: &TraceHeaders<'_>,
        inbound: Option<&Traceparent>,
        client_id: Option<&str>,
        now: SystemTime,
        trace: &mut TraceContext,
        diagnostics: &mut Diagnostics,
    ) {
        let span_id = found.portkey_span_id.and_then(|value| explicit_span_id(value, diagnostics));
        let (trace_id, source) = match (inbound, client_id) {
            (Some(inbound), Some(_)) => (inbound.trace_id, TraceSource::Header),
            (Some(inbound), None) => (inbound.trace_id, TraceSource::Traceparent),
            (None, Some(id)) => (w3c_id_of(id).unwrap_or_else(|| self.ids.trace_id(now)), TraceSource::Header),
            (None, None) => (self.ids.trace_id(now), TraceSource::Generated),
        };
        let remote_parent = inbound.map(|inbound| inbound.parent_id);
        let parent = found
            .portkey_parent_span_id
            .and_then(|value| explicit_id(&PORTKEY_PARENT_SPAN_ID, value, diagnostics))
            .map(Parent::from_text)
            .or(remote_parent.map(Parent::W3c));
        // No span is its own parent. If a proxy forwards the header next to its own `traceparent`, it names the proxy's
        // span.
        let is_ours = |id: &SpanId| remote_parent != Some(*id) && parent != Some(Parent::W3c(*id));
        trace.start(trace_id, span_id.filter(is_ours).unwrap_or_else(|| self.ids.span_id()));
        trace.source = source;
        trace.flags = inbound.map_or(SAMPLED, |inbound| inbound.flags);
        trace.remote_parent = remote_parent.filter(|id| parent != Some(Parent::W3c(*id)));
        trace.parent = parent;
        let names = [found.portkey_span_name, found.majordomo_span_name];
        trace.span_name = names.into_iter().flatten().find_map(readable_value).map(Arc::from);
        if let Some(id) = client_id {
            trace.client_trace_id.push_str(id);
            let path = found.majordomo_span_path.and_then(readable_value);
            trace.span_path = path.and_then(|path| joined_segments(&path)).map(Arc::from);
        }
    }
}

fn valid_traceparent(found: &TraceHeaders<'_>, diagnostics: &mut Diagnostics) -> Option<Traceparent> {
    let value = found.traceparent?;
    let parsed =
        if found.repeats_traceparent { Err("more than one header") } else { Traceparent::parse(value.as_bytes()) };
    parsed
        .map_err(|reason| diagnostics.push(Diagnostic::new(DiagnosticCode::InvalidTraceparent).with_detail(reason)))
        .ok()
}

/// Returns the id in a header, and records if it is not 1 to 128 visible ASCII characters.
fn explicit_id<'h>(name: &HeaderName, value: &'h HeaderValue, diagnostics: &mut Diagnostics) -> Option<&'h str> {
    let id = visible_ascii(value.as_bytes());
    if id.is_none() {
        let note = Diagnostic::new(DiagnosticCode::InvalidTraceId).with_key(name.as_str());
        diagnostics.push(note.with_detail("not 1 to 128 visible ASCII characters"));
    }
    id
}

fn explicit_span_id(value: &HeaderValue, diagnostics: &mut Diagnostics) -> Option<SpanId> {
    let text = explicit_id(&PORTKEY_SPAN_ID, value, diagnostics)?;
    let id = SpanId::from_hex(&text.to_ascii_lowercase());
    if id.is_none() {
        let note = Diagnostic::new(DiagnosticCode::InvalidTraceId).with_detail("not 16 hex digits");
        diagnostics.push(note.with_key(PORTKEY_SPAN_ID.as_str()));
    }
    id
}

fn readable_value(value: &HeaderValue) -> Option<String> {
    readable(&header_text(value.as_bytes()).0)
}

/// Converts a client's id: its own 32 hex digits, ignoring dashes, or else the first 16 bytes of its SHA-256 digest.
fn w3c_id_of(text: &str) -> Option<TraceId> {
    hex_digits_of(text).and_then(TraceId::from_hex_digits).or_else(|| {
        let digest = Sha256::digest(text);
        TraceId::from_bytes(digest.first_chunk().copied()?)
    })
}

/// Returns the text in lowercase without dashes if it has 32 bytes.
fn hex_digits_of(text: &str) -> Option<[u8; 32]> {
    let mut letters = text.bytes().filter(|byte| *byte != b'-');
    let mut digits = [0; 32];
    for digit in &mut digits {
        *digit = letters.next()?.to_ascii_lowercase();
    }
    letters.next().is_none().then_some(digits)
}
