use http::{HeaderMap, HeaderValue};

use crate::{
    metadata::diagnostic::{Diagnostic, DiagnosticCode, Diagnostics},
    text::{header_text, truncated},
};

/// Longest explicit trace id, span id, span name or span path, in characters.
pub(super) const MAX_CHARS: usize = 128;

/// The headers of a request that concern its trace, found in one pass; of a repeated one the first.
#[derive(Default)]
pub(super) struct TraceHeaders<'h> {
    pub(super) traceparent: Option<&'h HeaderValue>,
    pub(super) repeats_traceparent: bool,
    pub(super) has_tracestate: bool,
    /// Whether any header begins with `x-portkey-`.
    pub(super) speaks_portkey: bool,
    pub(super) portkey_trace_id: Option<&'h HeaderValue>,
    pub(super) portkey_span_id: Option<&'h HeaderValue>,
    pub(super) portkey_parent_span_id: Option<&'h HeaderValue>,
    pub(super) portkey_span_name: Option<&'h HeaderValue>,
    pub(super) majordomo_trace_id: Option<&'h HeaderValue>,
    pub(super) majordomo_span_name: Option<&'h HeaderValue>,
    pub(super) majordomo_span_path: Option<&'h HeaderValue>,
}

impl<'h> TraceHeaders<'h> {
    #[inline]
    pub(super) fn find(headers: &'h HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            let name = name.as_str();
            // Few begin as those that are looked for do.
            if !matches!(name.as_bytes(), [b't', b'r', b'a', ..] | [b'x', b'-', b'p' | b'm', ..]) {
                continue;
            }
            let place = if let Some(rest) = name.strip_prefix("x-portkey-") {
                found.speaks_portkey = true;
                match rest {
                    "trace-id" => &mut found.portkey_trace_id,
                    "span-id" => &mut found.portkey_span_id,
                    "parent-span-id" => &mut found.portkey_parent_span_id,
                    "span-name" => &mut found.portkey_span_name,
                    _ => continue,
                }
            } else if let Some(rest) = name.strip_prefix("x-majordomo-") {
                match rest {
                    "trace-id" => &mut found.majordomo_trace_id,
                    "span-name" => &mut found.majordomo_span_name,
                    "span-path" => &mut found.majordomo_span_path,
                    _ => continue,
                }
            } else {
                match name {
                    "traceparent" => {
                        found.repeats_traceparent |= found.traceparent.is_some();
                        &mut found.traceparent
                    }
                    "tracestate" => {
                        found.has_tracestate = true;
                        continue;
                    }
                    _ => continue,
                }
            };
            place.get_or_insert(value);
        }
        found
    }
}

/// The text of a header that holds 1 to 128 visible ASCII characters; noted when it does not.
pub(super) fn explicit_text<'h>(name: &str, value: &'h HeaderValue, diagnostics: &mut Diagnostics) -> Option<&'h str> {
    let bytes = value.as_bytes().trim_ascii();
    let is_visible = !bytes.is_empty() && bytes.len() <= MAX_CHARS && bytes.iter().all(u8::is_ascii_graphic);
    let text = if is_visible { std::str::from_utf8(bytes).ok() } else { None };
    if text.is_none() {
        let note = Diagnostic::new(DiagnosticCode::InvalidTraceId).with_key(name);
        diagnostics.push(note.with_detail("not 1 to 128 visible ASCII characters"));
    }
    text
}

/// The text of a header for people: anything but control characters, cut to 128 characters.
pub(super) fn readable_text(value: &HeaderValue) -> Option<String> {
    let (text, _) = header_text(value.as_bytes());
    let clean = text.replace(char::is_control, "");
    let text = truncated(clean.trim(), MAX_CHARS);
    (!text.is_empty()).then(|| text.to_owned())
}
