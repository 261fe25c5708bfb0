//! Text: truncation, header values, HTTP versions, and JSON string literals.

use std::{borrow::Cow, fmt};

use http::Version;
use serde::{Deserialize, Deserializer, de::Visitor};

/// Maximum length of the name of a model, a provider, or a service tier, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 256;

/// Returns the first `max_chars` characters.
pub(crate) fn truncated(text: &str, max_chars: usize) -> &str {
    if text.len() <= max_chars {
        return text;
    }
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// Formats a value without control characters, up to a number of characters.
pub(crate) fn bounded(value: &dyn fmt::Display, max_chars: usize) -> String {
    struct Bounded {
        text: String,
        left: usize,
    }

    impl fmt::Write for Bounded {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            for letter in part.chars().filter(|letter| !letter.is_control()) {
                self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
                self.text.push(letter);
            }
            Ok(())
        }
    }

    let mut bounded = Bounded { text: String::new(), left: max_chars };
    // An error ends the text.
    let _ = fmt::write(&mut bounded, format_args!("{value}"));
    bounded.text
}

/// Truncates a name to [`MAX_NAME_CHARS`] and releases the memory beyond it.
pub(crate) fn cut_name(mut name: String) -> String {
    name.truncate(truncated(&name, MAX_NAME_CHARS).len());
    name.shrink_to_fit();
    name
}

/// Returns the name of an HTTP version, such as `HTTP/1.1`.
pub(crate) fn http_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// Returns a header value as text: UTF-8, or as a last resort Latin-1, in which case the second value is `true`.
///
/// RFC 9110, section 5.5, treats bytes above ASCII as opaque data. Clients send both encodings.
pub(crate) fn header_text(value: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(value) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(value.iter().copied().map(char::from).collect()), true),
    }
}

/// Returns the content of a JSON string literal, or `None` if it is not one.
pub(crate) fn decode_string(literal: &str) -> Option<Cow<'_, str>> {
    // Most literals have no escapes.
    if let Some(text) = literal.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
        && text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_str::<JsonText<'_>>(literal).ok().map(|text| text.text)
}

/// A JSON string. A lone surrogate (ECMAScript writes `"\ud800"`) becomes `U+FFFD`, so that it does not invalidate the
/// whole object.
pub(crate) struct JsonText<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) lossy: bool,
}

impl<'de> Deserialize<'de> for JsonText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = JsonText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(match std::str::from_utf8(bytes) {
                    Ok(text) => JsonText { lossy: false, text: Cow::Borrowed(text) },
                    Err(_) => JsonText { lossy: true, text: Cow::Owned(replace_surrogates(bytes)) },
                })
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                let (text, lossy) = match std::str::from_utf8(bytes) {
                    Ok(text) => (text.to_owned(), false),
                    Err(_) => (replace_surrogates(bytes), true),
                };
                Ok(JsonText { lossy, text: Cow::Owned(text) })
            }
        }

        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// Replaces the three-byte surrogates that `serde_json` passes through for lone `\u` escapes.
fn replace_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The first byte of a surrogate is invalid on its own, and so are the two after it.
        if chunk.invalid().first() == Some(&0xED) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME_CHARS, cut_name};

    #[test]
    fn cut_name_releases_memory() {
        let cut = cut_name("ü".repeat(10_000));
        assert_eq!(cut, "ü".repeat(MAX_NAME_CHARS));
        assert!(cut.capacity() < 2 * cut.len(), "{} bytes", cut.capacity());
    }
}
