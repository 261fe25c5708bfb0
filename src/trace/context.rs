use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// A W3C trace id: 16 bytes, not all zero, written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 32]);

/// A W3C span (parent) id: 8 bytes, not all zero, written as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 16]);

/// The two lower-case hex digits of every byte.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "the compiler does it")]
const HEX_DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

macro_rules! hex_id {
    ($name:ident, $bytes:literal, $digits:literal) => {
        impl $name {
            /// The id of these bytes; `None` when all are zero, which W3C Trace Context forbids.
            pub fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                if bytes == [0; $bytes] {
                    return None;
                }
                let mut hex = [0; $digits];
                for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
                    if let Some(digits) = HEX_DIGITS.get(usize::from(byte)) {
                        pair.copy_from_slice(digits);
                    }
                }
                Some(Self(hex))
            }

            /// Reads exactly the lower-case hex digits that [`as_str`](Self::as_str) gives.
            pub fn from_hex(text: &str) -> Option<Self> {
                Self::from_hex_digits(text.as_bytes().try_into().ok()?)
            }

            pub(super) fn from_hex_digits(hex: [u8; $digits]) -> Option<Self> {
                // Without an early end the digits are checked many at a time.
                let is_hex = hex.iter().fold(true, |is_hex, digit| {
                    is_hex & ((digit.wrapping_sub(b'0') < 10) | (digit.wrapping_sub(b'a') < 6))
                });
                (is_hex && hex != [b'0'; $digits]).then_some(Self(hex))
            }

            /// The lower-case hex digits.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(&self.0).unwrap_or_default()
            }

            /// The bytes that the hex digits stand for.
            pub fn to_bytes(self) -> [u8; $bytes] {
                // Only `0` to `9` and `a` to `f` stand here: without a branch for each, many are read at a time.
                let nibbles = self.0.map(|digit| (digit & 15) + 9 * (digit >> 6));
                let mut bytes = [0; $bytes];
                for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks_exact(2)) {
                    *byte = pair.iter().fold(0, |byte, nibble| byte << 4 | nibble);
                }
                bytes
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

hex_id!(TraceId, 16, 32);
hex_id!(SpanId, 8, 16);

/// Where [`TraceContext::trace_id`] came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceSource {
    /// An explicit trace id header.
    Header,
    /// `traceparent`.
    Traceparent,
    /// Made here.
    Generated,
}

impl TraceSource {
    /// The name as it stands in a serialized event: `header`, `traceparent` or `generated`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Traceparent => "traceparent",
            Self::Generated => "generated",
        }
    }
}

/// The trace ids of one request; see the [module](super) for where each comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Empty when there is none, so that the buffer stays for the next request.
    pub(super) explicit: String,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<Parent>,
    /// The caller's span by its `traceparent`, whatever an explicit header says.
    pub(super) remote_parent: Option<SpanId>,
    pub(super) span_name: Option<Arc<str>>,
    pub(super) span_path: Option<Arc<str>>,
    pub(super) linked_trace_id: Option<Arc<str>>,
    /// What vendors handed on beside the `traceparent`; not part of the serialized trace.
    pub(super) tracestate: Option<Arc<str>>,
    /// The W3C flags that go on: bit 0 sampled, bit 1 random trace id.
    pub(super) flags: u8,
    pub(super) source: TraceSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    W3c(SpanId),
    Explicit(Arc<str>),
}

impl Parent {
    /// A W3C id wherever it came from, such as the explicit header that goes out beside `traceparent` in a dialect.
    pub(super) fn of_text(id: &str) -> Self {
        SpanId::from_hex(id).map_or_else(|| Self::Explicit(id.into()), Self::W3c)
    }
}

pub(super) const SAMPLED: u8 = 1;

impl TraceContext {
    /// A trace that begins here.
    pub(crate) fn started(trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            explicit: String::new(),
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

    /// Writes the ids of a trace that begins here over [`unset`](Self::unset) ones.
    pub(super) fn start(&mut self, trace_id: TraceId, span_id: SpanId) {
        self.trace_id = trace_id;
        self.span_id = span_id;
    }

    /// What stands in an event until ids are made.
    pub(crate) fn unset() -> Self {
        Self::started(TraceId([b'0'; 32]), SpanId([b'0'; 16]))
    }

    /// Makes this what [`unset`](Self::unset) gives.
    pub(crate) fn unset_ids(&mut self) {
        let mut explicit = std::mem::take(&mut self.explicit);
        explicit.clear();
        *self = Self { explicit, ..Self::unset() };
    }

    pub(crate) fn is_unset(&self) -> bool {
        self.trace_id == TraceId([b'0'; 32])
    }

    /// Returns the W3C trace id. Logs and traces are joined on it.
    pub fn trace_id(&self) -> &TraceId {
        &self.trace_id
    }

    /// Returns the trace id exactly as the client sent it: at most 128 visible ASCII characters.
    pub fn client_trace_id(&self) -> Option<&str> {
        (!self.explicit.is_empty()).then_some(self.explicit.as_str())
    }

    /// Returns the id that the response header carries: the client's own id, or else the W3C trace id.
    pub(crate) fn display_trace_id(&self) -> &str {
        self.client_trace_id().unwrap_or(self.trace_id.as_str())
    }

    /// The id of this request's own span.
    pub fn span_id(&self) -> &SpanId {
        &self.span_id
    }

    /// The id of the caller's span: any text from an explicit header, or 16 hex digits from `traceparent`.
    pub fn parent_span_id(&self) -> Option<&str> {
        match self.parent.as_ref()? {
            Parent::W3c(id) => Some(id.as_str()),
            Parent::Explicit(id) => Some(id),
        }
    }

    /// What the client calls this step.
    pub fn span_name(&self) -> Option<&str> {
        self.span_name.as_deref()
    }

    /// The steps of an agent that led here, joined by `/`.
    pub fn span_path(&self) -> Option<&str> {
        self.span_path.as_deref()
    }

    /// The inbound trace id that [`TracePolicy::Restart`](super::TracePolicy::Restart) did not take over.
    pub fn linked_trace_id(&self) -> Option<&str> {
        self.linked_trace_id.as_deref()
    }

    /// The `tracestate` for calls made on behalf of this request: what came beside a valid `traceparent`, at most 32 members
    /// of at most 513 characters each. It is not serialized, so an event that is read back has none.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The parent's span id by W3C: that of `traceparent`, else the explicit one where it can be one.
    #[cfg(feature = "otel")]
    pub(crate) fn w3c_parent(&self) -> Option<&SpanId> {
        self.remote_parent.as_ref().or(match &self.parent {
            Some(Parent::W3c(id)) => Some(id),
            Some(Parent::Explicit(_)) | None => None,
        })
    }

    pub(crate) fn set_sampled(&mut self, is_sampled: bool) {
        self.flags = if is_sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
    }

    /// The W3C flags that go on.
    #[cfg(feature = "otel")]
    pub(crate) fn flags(&self) -> u8 {
        self.flags & 0b11
    }

    /// The W3C sampled flag; set on traces that begin here, unless a [sampler](super::TraceSampler) decides otherwise.
    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Where [`trace_id`](Self::trace_id) came from.
    pub fn source(&self) -> TraceSource {
        self.source
    }

    /// The `traceparent` for calls made on behalf of this request: version 00, our span as the parent.
    pub fn traceparent(&self) -> String {
        String::from_utf8_lossy(&self.traceparent_bytes()).into_owned()
    }

    pub(super) fn traceparent_bytes(&self) -> [u8; TRACEPARENT_LEN] {
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-00";
        if let Some(place) = header.get_mut(TRACE_ID_AT..TRACE_ID_AT + 32) {
            place.copy_from_slice(&self.trace_id.0);
        }
        if let Some(place) = header.get_mut(36..52) {
            place.copy_from_slice(&self.span_id.0);
        }
        if let Some(place) = header.last_mut() {
            *place += self.flags & 0b11;
        }
        header
    }
}

/// Length of a `traceparent` of version 00, and where the trace id stands in it, in bytes.
pub(super) const TRACEPARENT_LEN: usize = 55;
pub(super) const TRACE_ID_AT: usize = 3;

impl TraceContext {
    /// Reads what `Serialize` writes.
    pub(crate) fn from_json(value: &serde_json::Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
        let owned = |name: &str| text(name).map(Arc::from);
        let names = [TraceSource::Header, TraceSource::Traceparent, TraceSource::Generated];
        let source = names.into_iter().find(|source| Some(source.as_str()) == text("source"))?;
        Some(Self {
            explicit: text("client_trace_id").unwrap_or_default().to_owned(),
            trace_id: TraceId::from_hex(text("trace_id")?)?,
            span_id: SpanId::from_hex(text("span_id")?)?,
            parent: text("parent_span_id").map(Parent::of_text),
            remote_parent: None,
            span_name: owned("span_name"),
            span_path: owned("span_path"),
            linked_trace_id: owned("linked_trace_id"),
            tracestate: None,
            flags: if value.get("sampled")?.as_bool()? { SAMPLED } else { 0 },
            source,
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
