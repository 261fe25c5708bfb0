use percent_encoding::percent_decode_str;

use crate::metadata::TagWriter;

/// Reads a header in the format of [W3C Baggage](https://www.w3.org/TR/baggage/).
///
/// Drops the properties of members. Keeps a value as it is if it is not valid percent-encoding of UTF-8.
pub(super) fn read(header: &str, tags: &mut TagWriter<'_>) {
    for member in header.split(',') {
        let member = member.split_once(';').map_or(member, |(member, _properties)| member);
        if let Some((key, value)) = member.split_once('=') {
            let value = value.trim();
            let decoded = if is_percent_encoded(value) { percent_decode_str(value).decode_utf8().ok() } else { None };
            tags.fill(key.trim(), decoded.as_deref().unwrap_or(value));
        }
    }
}

/// Returns `true` if every percent sign is followed by two hex digits.
fn is_percent_encoded(value: &str) -> bool {
    value
        .split('%')
        .skip(1)
        .all(|rest| rest.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}
