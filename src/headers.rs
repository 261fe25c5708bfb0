//! Names of the headers that more than one module reads or writes.
//!
//! | names | source |
//! |---|---|
//! | `traceparent`, `tracestate` | [W3C Trace Context](https://www.w3.org/TR/trace-context/) |
//! | `baggage` | [W3C Baggage](https://www.w3.org/TR/baggage/) |
//! | `x-portkey-…` | [Portkey: headers](https://portkey.ai/docs/api-reference/inference-api/headers) |
//! | `x-majordomo-…` | the Majordomo gateway |

use http::HeaderName;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Request tags as a JSON object.
pub(crate) const PORTKEY_METADATA: HeaderName = HeaderName::from_static("x-portkey-metadata");
pub(crate) const PORTKEY_TRACE_ID: HeaderName = HeaderName::from_static("x-portkey-trace-id");
pub(crate) const PORTKEY_SPAN_ID: HeaderName = HeaderName::from_static("x-portkey-span-id");
pub(crate) const PORTKEY_PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-portkey-parent-span-id");

/// Prefix of headers that are one request tag each, except for those that are [reserved](is_reserved).
pub(crate) const MAJORDOMO_PREFIX: &str = "x-majordomo-";
pub(crate) const MAJORDOMO_TRACE_ID: HeaderName = HeaderName::from_static("x-majordomo-trace-id");

/// Names after a tag prefix that control the gateway and are never tags.
const RESERVED: [&str; 7] = ["key", "provider", "provider-alias", "client", "trace-id", "span-path", "span-name"];

/// Returns `true` if the rest of a prefixed header name, in lowercase, is reserved for the gateway.
pub(crate) fn is_reserved(rest: &str) -> bool {
    RESERVED.contains(&rest)
}
