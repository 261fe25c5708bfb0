//! The rules for ids and names that clients send.

use crate::text::truncated;

/// Maximum length of an id, a span name, and a span path, in characters.
pub(super) const MAX_CHARS: usize = 128;

/// Returns an id without surrounding white space if it has 1 to 128 visible ASCII characters.
pub(super) fn visible_ascii(text: &[u8]) -> Option<&str> {
    let text = text.trim_ascii();
    let is_visible = (1..=MAX_CHARS).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
    if is_visible { std::str::from_utf8(text).ok() } else { None }
}

/// Returns a name without control characters and surrounding white space, truncated to 128 characters. Returns `None` if
/// nothing remains.
pub(super) fn readable(text: &str) -> Option<String> {
    let clean = text.replace(char::is_control, "");
    let text = truncated(clean.trim(), MAX_CHARS);
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns a path without empty segments, or `None` if no segment remains.
pub(super) fn joined_segments(path: &str) -> Option<String> {
    let segments: Vec<_> = path.split('/').map(str::trim).filter(|segment| !segment.is_empty()).collect();
    (!segments.is_empty()).then(|| segments.join("/"))
}
