use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// The headers of a request that concern its trace, found in one pass. Of a repeated header, the first value is used.
#[derive(Default)]
pub(super) struct TraceHeaders<'h> {
    pub(super) traceparent: Option<&'h HeaderValue>,
    pub(super) repeats_traceparent: bool,
    pub(super) has_tracestate: bool,
    /// The name of any header starts with `x-portkey-`.
    pub(super) has_portkey: bool,
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
            // Few other headers start like those that are searched for.
            if matches!(name.as_bytes(), [b't', b'r', b'a', ..] | [b'x', b'-', b'p' | b'm', ..])
                && let Some(place) = found.place_of(name)
            {
                place.get_or_insert(value);
            }
        }
        found
    }

    /// Returns the field for a header, and updates the flags.
    fn place_of(&mut self, name: &str) -> Option<&mut Option<&'h HeaderValue>> {
        if let Some(rest) = name.strip_prefix("x-portkey-") {
            self.has_portkey = true;
            return match rest {
                "trace-id" => Some(&mut self.portkey_trace_id),
                "span-id" => Some(&mut self.portkey_span_id),
                "parent-span-id" => Some(&mut self.portkey_parent_span_id),
                "span-name" => Some(&mut self.portkey_span_name),
                _ => None,
            };
        }
        match name {
            "x-majordomo-trace-id" => Some(&mut self.majordomo_trace_id),
            "x-majordomo-span-name" => Some(&mut self.majordomo_span_name),
            "x-majordomo-span-path" => Some(&mut self.majordomo_span_path),
            "traceparent" => {
                self.repeats_traceparent |= self.traceparent.is_some();
                Some(&mut self.traceparent)
            }
            "tracestate" => {
                self.has_tracestate = true;
                None
            }
            _ => None,
        }
    }
}
