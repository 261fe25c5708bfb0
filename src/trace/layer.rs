use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::metadata::{
    diagnostic::{Diagnostic, DiagnosticCode, Diagnostics},
    intake::header_text,
    limits::truncated,
};

use super::{
    context::{Parent, SAMPLED, SpanId, TRACE_ID_AT, TraceContext, TraceId, TraceSource},
    ids::{IdGenerator, RandomIds},
    traceparent,
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const PORTKEY_TRACE_ID: HeaderName = HeaderName::from_static("x-portkey-trace-id");
const MAJORDOMO_TRACE_ID: HeaderName = HeaderName::from_static("x-majordomo-trace-id");
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

const PORTKEY_SPAN_ID: &str = "x-portkey-span-id";

/// Longest explicit trace id, span id, span name or span path, in characters.
const MAX_CHARS: usize = 128;

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
    trace_headers: Arc<[HeaderName]>,
    reply: Reply,
    ids: Arc<dyn IdGenerator>,
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
            trace_headers: Arc::new([PORTKEY_TRACE_ID, MAJORDOMO_TRACE_ID]),
            reply: Reply::ByDialect,
            ids: Arc::new(RandomIds),
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
        self.trace_headers = names.into_iter().collect();
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

    pub(crate) fn shared_ids(mut self, ids: Arc<dyn IdGenerator>) -> Self {
        self.ids = ids;
        self
    }

    /// The ids of a request, by its headers.
    pub(crate) fn read(&self, headers: &HeaderMap, now: SystemTime, diagnostics: &mut Diagnostics) -> InboundTrace {
        let inbound = traceparent::read(headers).unwrap_or_else(|reason| {
            diagnostics.push(Diagnostic::new(DiagnosticCode::InvalidTraceparent).detail(reason));
            None
        });
        let explicit = self.trace_headers.iter().find_map(|name| explicit_text(headers, name.as_str(), diagnostics));
        if self.policy == TracePolicy::Restart {
            let mut trace = TraceContext::started(self.ids.trace_id(now), self.ids.span_id());
            trace.linked_trace_id =
                explicit.or(inbound.as_ref().map(|inbound| inbound.trace_id.as_str())).map(Arc::from);
            return InboundTrace { trace, keeps_tracestate: false };
        }
        let span_id = explicit_text(headers, PORTKEY_SPAN_ID, diagnostics).and_then(|text| {
            let id = SpanId::from_hex(&text.to_ascii_lowercase());
            if id.is_none() {
                let note = Diagnostic::new(DiagnosticCode::InvalidTraceId).key(PORTKEY_SPAN_ID);
                diagnostics.push(note.detail("not 16 hex digits"));
            }
            id
        });
        let parent = explicit_text(headers, "x-portkey-parent-span-id", diagnostics)
            .map(|id| Parent::Explicit(id.into()))
            .or(inbound.as_ref().map(|inbound| Parent::W3c(inbound.parent_id)));
        let (w3c_trace_id, source) = match (&inbound, explicit) {
            (Some(inbound), Some(_)) => (inbound.trace_id, TraceSource::Header),
            (Some(inbound), None) => (inbound.trace_id, TraceSource::Traceparent),
            (None, Some(id)) => (id_of_text(id).unwrap_or_else(|| self.ids.trace_id(now)), TraceSource::Header),
            (None, None) => (self.ids.trace_id(now), TraceSource::Generated),
        };
        let trace = TraceContext {
            w3c_trace_id,
            source,
            parent,
            flags: inbound.as_ref().map_or(SAMPLED, |inbound| inbound.flags),
            span_name: readable_text(headers, "x-portkey-span-name")
                .or_else(|| readable_text(headers, "x-majordomo-span-name"))
                .map(Arc::from),
            span_path: explicit
                .and_then(|_| readable_text(headers, "x-majordomo-span-path"))
                .and_then(|path| joined_segments(&path)),
            explicit: explicit.map(Arc::from),
            ..TraceContext::started(w3c_trace_id, span_id.unwrap_or_else(|| self.ids.span_id()))
        };
        InboundTrace { trace, keeps_tracestate: inbound.is_some() }
    }

    /// Writes our `traceparent` into the request that goes on, and gives the header for the response.
    pub(crate) fn propagate(
        &self,
        inbound: &InboundTrace,
        headers: &mut HeaderMap,
    ) -> Option<(HeaderName, HeaderValue)> {
        let trace = &inbound.trace;
        let name = match &self.reply {
            Reply::Never => None,
            Reply::Header(name) => Some(name.clone()),
            Reply::ByDialect if headers.keys().any(|name| name.as_str().starts_with("x-portkey-")) => {
                Some(PORTKEY_TRACE_ID)
            }
            Reply::ByDialect => Some(X_TRACE_ID),
        };
        if !inbound.keeps_tracestate {
            headers.remove(TRACESTATE);
        }
        // One buffer for both headers: a generated trace id stands within the `traceparent`.
        let bytes = Bytes::from_owner(trace.traceparent_bytes());
        let value = match &trace.explicit {
            Some(id) => HeaderValue::from_str(id),
            None => HeaderValue::from_maybe_shared(bytes.slice(TRACE_ID_AT..TRACE_ID_AT + 32)),
        };
        if let Ok(traceparent) = HeaderValue::from_maybe_shared(bytes) {
            headers.insert(TRACEPARENT, traceparent);
        }
        name.zip(value.ok())
    }
}

/// What [`TraceIdLayer::read`] found.
#[derive(Debug)]
pub(crate) struct InboundTrace {
    pub(crate) trace: TraceContext,
    /// Whether the inbound `tracestate` belongs to the trace that goes on.
    keeps_tracestate: bool,
}

/// The value of a header that holds 1 to 128 visible ASCII characters; noted when it is there and does not.
fn explicit_text<'h>(headers: &'h HeaderMap, name: &str, diagnostics: &mut Diagnostics) -> Option<&'h str> {
    let bytes = headers.get(name)?.as_bytes().trim_ascii();
    let is_visible = !bytes.is_empty() && bytes.len() <= MAX_CHARS && bytes.iter().all(u8::is_ascii_graphic);
    let text = if is_visible { std::str::from_utf8(bytes).ok() } else { None };
    if text.is_none() {
        let note = Diagnostic::new(DiagnosticCode::InvalidTraceId).key(name);
        diagnostics.push(note.detail("not 1 to 128 visible ASCII characters"));
    }
    text
}

/// The value of a header for people: any text but control characters, cut to 128 characters.
fn readable_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let (text, _) = header_text(headers.get(name)?);
    let clean = text.replace(char::is_control, "");
    let text = truncated(clean.trim(), MAX_CHARS);
    (!text.is_empty()).then(|| text.to_owned())
}

fn joined_segments(path: &str) -> Option<Arc<str>> {
    let segments: Vec<_> = path.split('/').map(str::trim).filter(|segment| !segment.is_empty()).collect();
    (!segments.is_empty()).then(|| segments.join("/").into())
}

/// The W3C id of an explicit one: its own 32 hex digits once dashes are removed, else out of its SHA-256.
fn id_of_text(text: &str) -> Option<TraceId> {
    let digits: String =
        text.chars().filter(|letter| *letter != '-').map(|letter| letter.to_ascii_lowercase()).collect();
    TraceId::from_hex(&digits).or_else(|| {
        let digest = Sha256::digest(text);
        TraceId::from_bytes(digest.first_chunk().copied()?)
    })
}
