//! Media types of request and response headers.

use http::{HeaderMap, HeaderValue, header};

/// Returns the media type without parameters, or an empty slice if the headers have no `Content-Type`.
///
/// Some proxies join several types with commas. The first one counts.
pub(crate) fn media_type(headers: &HeaderMap) -> &[u8] {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    content_type.split(|byte| matches!(byte, b';' | b',')).next().unwrap_or(content_type).trim_ascii()
}

/// Returns `true` for `application/json` and for media types with the suffix `+json`.
pub(crate) fn is_json(media_type: &[u8]) -> bool {
    let has_suffix =
        || media_type.split_last_chunk::<5>().is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case(b"+json"));
    media_type.eq_ignore_ascii_case(b"application/json") || has_suffix()
}
