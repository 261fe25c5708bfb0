use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use super::{
    client_text::{joined_segments, readable, visible_ascii},
    span_id::SpanId,
    trace_id::TraceId,
    trace_source::TraceSource,
    traceparent::{SAMPLED, Traceparent},
    tracestate,
};
#[cfg(feature = "otel")]
use super::{id_generator::IdGenerator, random_ids::RandomIds};

/// The trace ids of one request.
///
/// The [module](super#origin-of-the-ids) documentation describes the origin of each id.
///
/// ```
/// use tower_tagging::trace::{SpanId, TraceContext, TraceId, TraceSource};
///
/// let trace_id = TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap();
/// let trace = TraceContext::new(trace_id, SpanId::from_hex("b7ad6b7169203331").unwrap())
///     .with_client_trace_id("req-7f3a")
///     .with_source(TraceSource::Header);
/// assert_eq!(trace.client_trace_id(), Some("req-7f3a"));
/// assert_eq!(trace.traceparent(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Empty if the client sent no id, so that the buffer can be reused for the next request.
    pub(super) client_trace_id: String,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<Parent>,
    /// The span of the client's `traceparent`, if an explicit header names another parent.
    pub(super) remote_parent: Option<SpanId>,
    pub(super) span_name: Option<Arc<str>>,
    pub(super) span_path: Option<Arc<str>>,
    pub(super) linked_trace_id: Option<Arc<str>>,
    pub(super) tracestate: Option<Arc<str>>,
    /// The W3C flags.
    pub(super) flags: u8,
    pub(super) source: TraceSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    W3c(SpanId),
    Explicit(Arc<str>),
}

impl Parent {
    /// Recognizes a W3C id wherever it comes from. Clients send it in explicit headers as well as in `traceparent`.
    pub(super) fn from_text(id: &str) -> Self {
        SpanId::from_hex(id).map_or_else(|| Self::Explicit(id.into()), Self::W3c)
    }
}

impl TraceContext {
    /// Creates a trace with new ids. It is sampled and has the source [`Generated`](TraceSource::Generated).
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            client_trace_id: String::new(),
            trace_id,
            span_id,
            parent: None,
            remote_parent: None,
            span_name: None,
            span_path: None,
            linked_trace_id: None,
            tracestate: None,
            flags: SAMPLED,
            source: TraceSource::Generated,
        }
    }

    /// Sets the trace id that the client sent.
    ///
    /// An id that is not 1 to 128 visible ASCII characters is ignored.
    #[must_use]
    pub fn with_client_trace_id(mut self, id: &str) -> Self {
        self.client_trace_id.clear();
        self.client_trace_id.push_str(visible_ascii(id.as_bytes()).unwrap_or_default());
        self
    }

    /// Sets the id of the caller's span.
    ///
    /// An id that is not 1 to 128 visible ASCII characters is ignored.
    #[must_use]
    pub fn with_parent_span_id(mut self, id: &str) -> Self {
        self.parent = visible_ascii(id.as_bytes()).map(Parent::from_text);
        self.remote_parent = None;
        self
    }

    /// Sets the name of the step.
    ///
    /// Control characters are removed, and the name is truncated to 128 characters.
    #[must_use]
    pub fn with_span_name(mut self, name: &str) -> Self {
        self.span_name = readable(name).map(Arc::from);
        self
    }

    /// Sets the path of steps, joined by `/`.
    ///
    /// Empty segments are removed, and the path is truncated to 128 characters.
    #[must_use]
    pub fn with_span_path(mut self, path: &str) -> Self {
        self.span_path = readable(path).and_then(|path| joined_segments(&path)).map(Arc::from);
        self
    }

    /// Sets the client's trace id that the request does not continue.
    ///
    /// An id that is not 1 to 128 visible ASCII characters is ignored.
    #[must_use]
    pub fn with_linked_trace_id(mut self, id: &str) -> Self {
        self.linked_trace_id = visible_ascii(id.as_bytes()).map(Arc::from);
        self
    }

    /// Sets the W3C sampled flag.
    #[must_use]
    pub fn with_sampled(mut self, is_sampled: bool) -> Self {
        self.set_sampled(is_sampled);
        self
    }

    /// Sets the origin of the ids.
    #[must_use]
    pub fn with_source(mut self, source: TraceSource) -> Self {
        self.source = source;
        self
    }

    /// Sets the `tracestate`.
    ///
    /// A list that violates W3C Trace Context is ignored.
    #[must_use]
    pub fn with_tracestate(mut self, list: &str) -> Self {
        self.tracestate = tracestate::normalized(list).map(Arc::from);
        self
    }

    /// Returns the W3C trace id. Logs and traces are joined on it.
    pub fn trace_id(&self) -> &TraceId {
        &self.trace_id
    }

    /// Returns the trace id exactly as the client sent it.
    ///
    /// It has 1 to 128 visible ASCII characters.
    pub fn client_trace_id(&self) -> Option<&str> {
        (!self.client_trace_id.is_empty()).then_some(self.client_trace_id.as_str())
    }

    /// Returns the id of this request's own span.
    pub fn span_id(&self) -> &SpanId {
        &self.span_id
    }

    /// Returns the id of the caller's span.
    ///
    /// It is any text from an explicit header, or 16 hex digits from `traceparent`.
    pub fn parent_span_id(&self) -> Option<&str> {
        match self.parent.as_ref()? {
            Parent::W3c(id) => Some(id.as_str()),
            Parent::Explicit(id) => Some(id),
        }
    }

    /// Returns the client's name for this step.
    pub fn span_name(&self) -> Option<&str> {
        self.span_name.as_deref()
    }

    /// Returns the path of agent steps that led to this request, joined by `/`.
    pub fn span_path(&self) -> Option<&str> {
        self.span_path.as_deref()
    }

    /// Returns the client's trace id if it was replaced: by [`TracePolicy::Restart`](super::TracePolicy::Restart), or by the
    /// trace of a span that was current when the request arrived (feature `otel`).
    pub fn linked_trace_id(&self) -> Option<&str> {
        self.linked_trace_id.as_deref()
    }

    /// Returns the `tracestate` for calls made on behalf of this request.
    ///
    /// It has at most 32 members of at most 513 characters each. It is not serialized, so an event that is deserialized has
    /// none.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// Returns the W3C sampled flag.
    ///
    /// It is set for new traces, unless a [sampler](super::TraceSampler) decides otherwise.
    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Returns the origin of the ids.
    pub fn source(&self) -> TraceSource {
        self.source
    }

    /// Returns the `traceparent` for calls made on behalf of this request.
    ///
    /// It has version 00, with our span as the parent.
    pub fn traceparent(&self) -> String {
        String::from_utf8_lossy(&self.w3c().to_header()).into_owned()
    }

    /// Returns the content of the `traceparent` with our span as the parent.
    pub(super) fn w3c(&self) -> Traceparent {
        Traceparent { trace_id: self.trace_id, parent_id: self.span_id, flags: self.flags }
    }

    /// Returns the id for the response header: the client's own id, or else the W3C trace id.
    #[cfg(feature = "propagate")]
    pub(crate) fn display_trace_id(&self) -> &str {
        self.client_trace_id().unwrap_or(self.trace_id.as_str())
    }

    /// Returns the W3C id of the parent span: that of `traceparent`, or else the explicit one if it is a W3C id.
    #[cfg(feature = "otel")]
    pub(crate) fn w3c_parent(&self) -> Option<&SpanId> {
        self.remote_parent.as_ref().or(match &self.parent {
            Some(Parent::W3c(id)) => Some(id),
            Some(Parent::Explicit(_)) | None => None,
        })
    }

    /// Returns the parent that the client named, unless it is a W3C id.
    #[cfg(feature = "otel")]
    pub(crate) fn explicit_parent_span_id(&self) -> Option<&str> {
        match self.parent.as_ref()? {
            Parent::W3c(id) => self.remote_parent.map(|_| id.as_str()),
            Parent::Explicit(id) => Some(id),
        }
    }

    /// Continues the trace of a span that is the parent of this request's own span.
    ///
    /// A client's trace that differs is kept as the [linked](Self::linked_trace_id) one. `keeps_parent` keeps the parent
    /// that the client named explicitly as the [reported](Self::parent_span_id) one.
    #[cfg(feature = "otel")]
    pub(crate) fn continue_at(&mut self, trace_id: TraceId, parent: SpanId, flags: u8, keeps_parent: bool) {
        if self.trace_id != trace_id {
            if self.source != TraceSource::Generated && self.linked_trace_id.is_none() {
                self.linked_trace_id = Some(self.client_trace_id().unwrap_or(self.trace_id.as_str()).into());
            }
            self.trace_id = trace_id;
            self.tracestate = None;
        }
        if keeps_parent && self.parent.is_some() {
            self.remote_parent = Some(parent);
        } else {
            (self.parent, self.remote_parent) = (Some(Parent::W3c(parent)), None);
        }
        self.flags = flags;
        // No span is its own parent.
        if self.span_id == parent {
            self.span_id = RandomIds.span_id();
        }
    }

    /// Replaces the ids of this request's own span.
    #[cfg(feature = "otel")]
    pub(crate) fn set_span(&mut self, trace_id: TraceId, span_id: SpanId) {
        (self.trace_id, self.span_id) = (trace_id, span_id);
    }

    /// Replaces the `tracestate`, unless the list violates W3C Trace Context.
    #[cfg(feature = "otel")]
    pub(crate) fn set_tracestate(&mut self, list: &str) {
        self.tracestate = tracestate::normalized(list).map(Arc::from);
    }

    /// Returns the W3C flags that version 00 defines.
    #[cfg(feature = "otel")]
    pub(crate) fn flags(&self) -> u8 {
        self.flags & super::traceparent::DEFINED_FLAGS
    }

    pub(crate) fn set_sampled(&mut self, is_sampled: bool) {
        self.flags = if is_sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
    }

    /// Returns a placeholder until the ids of a request are known.
    pub(crate) fn unset() -> Self {
        Self::new(TraceId::UNSET, SpanId::UNSET)
    }

    pub(crate) fn is_unset(&self) -> bool {
        self.trace_id == TraceId::UNSET
    }

    /// Resets to [`unset`](Self::unset) and keeps the buffer of the client's id.
    pub(crate) fn unset_ids(&mut self) {
        let mut client_trace_id = std::mem::take(&mut self.client_trace_id);
        client_trace_id.clear();
        *self = Self { client_trace_id, ..Self::unset() };
    }

    /// Rewrites the texts that the client chose. `screen` returns `None` for a text that stays.
    pub(crate) fn screen(&mut self, screen: impl Fn(&str) -> Option<String>) {
        if let Some(screened) = self.client_trace_id().and_then(&screen) {
            self.client_trace_id = screened;
        }
        for text in [&mut self.span_name, &mut self.span_path, &mut self.linked_trace_id] {
            if let Some(screened) = text.as_deref().and_then(&screen) {
                *text = Some(screened.into());
            }
        }
        if let Some(Parent::Explicit(id)) = &mut self.parent
            && let Some(screened) = screen(id)
        {
            *id = screened.into();
        }
    }

    /// Sets the ids of a trace that was [unset](Self::unset).
    pub(super) fn start(&mut self, trace_id: TraceId, span_id: SpanId) {
        (self.trace_id, self.span_id) = (trace_id, span_id);
    }

    /// Reads a serialized trace.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let owned = |name: &str| text(name).map(Arc::from);
        let source = text("source")?;
        Some(Self {
            client_trace_id: text("client_trace_id").unwrap_or_default().to_owned(),
            parent: text("parent_span_id").map(Parent::from_text),
            span_name: owned("span_name"),
            span_path: owned("span_path"),
            linked_trace_id: owned("linked_trace_id"),
            flags: if value.get("sampled")?.as_bool()? { SAMPLED } else { 0 },
            source: TraceSource::ALL.iter().copied().find(|known| known.as_str() == source)?,
            ..Self::new(TraceId::from_hex(text("trace_id")?)?, SpanId::from_hex(text("span_id")?)?)
        })
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("TraceContext", 9)?;
        object.serialize_field("trace_id", &self.trace_id)?;
        object.serialize_field("client_trace_id", &self.client_trace_id())?;
        object.serialize_field("span_id", &self.span_id)?;
        object.serialize_field("parent_span_id", &self.parent_span_id())?;
        object.serialize_field("span_name", &self.span_name())?;
        object.serialize_field("span_path", &self.span_path())?;
        object.serialize_field("linked_trace_id", &self.linked_trace_id())?;
        object.serialize_field("sampled", &self.sampled())?;
        object.serialize_field("source", self.source.as_str())?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{SpanId, TraceContext, TraceId, TraceSource};

    fn new() -> TraceContext {
        TraceContext::new(TraceId::from_bytes([1; 16]).unwrap(), SpanId::from_bytes([2; 8]).unwrap())
    }

    #[test]
    fn survives_a_round_trip_through_json() {
        let traces = [
            new().with_sampled(false),
            new().with_client_trace_id("req-1").with_source(TraceSource::Header).with_parent_span_id("step 1"),
            new()
                .with_client_trace_id("req-1")
                .with_parent_span_id("00f067aa0ba902b7")
                .with_span_name("plan")
                .with_span_path("agent/plan")
                .with_linked_trace_id("other")
                .with_source(TraceSource::Traceparent),
        ];
        for trace in traces {
            let json = serde_json::to_value(&trace).unwrap();
            assert_eq!(TraceContext::from_json(&json), Some(trace));
        }
    }

    #[test]
    fn setters_follow_the_rules_for_headers() {
        let trace = new()
            .with_client_trace_id("two words")
            .with_parent_span_id("")
            .with_linked_trace_id(&"x".repeat(129))
            .with_span_name(" na\nme ")
            .with_span_path("/agent//plan/")
            .with_tracestate("a=1,,b");
        assert_eq!((trace.client_trace_id(), trace.parent_span_id(), trace.linked_trace_id()), (None, None, None));
        assert_eq!((trace.span_name(), trace.span_path()), (Some("name"), Some("agent/plan")));
        assert_eq!(trace.tracestate(), None);
        assert_eq!(new().with_tracestate("a=1,, b=2").tracestate(), Some("a=1,b=2"));
    }
}
