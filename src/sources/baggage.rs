use percent_encoding::percent_decode_str;

use crate::metadata::limits::TagWriter;

/// Reads one `baggage` header by [W3C Baggage](https://www.w3.org/TR/baggage/): properties behind `;` are dropped, a
/// member is split at its first `=`, values are percent-decoded, and kept raw when a percent sign is no part of an
/// encoding or the result is no UTF-8.
pub(super) fn read(header: &str, tags: &mut TagWriter<'_>) {
    for member in header.split(',') {
        let member = member.split(';').next().unwrap_or_default();
        if let Some((key, value)) = member.split_once('=') {
            let value = value.trim();
            let decoded = if is_percent_encoded(value) { percent_decode_str(value).decode_utf8().ok() } else { None };
            tags.fill(key.trim(), decoded.as_deref().unwrap_or(value));
        }
    }
}

/// Whether two hex digits stand behind every percent sign.
fn is_percent_encoded(value: &str) -> bool {
    value.split('%').skip(1).all(|behind| {
        behind.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
