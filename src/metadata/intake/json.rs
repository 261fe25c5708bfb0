use std::{borrow::Cow, fmt};

use http::{HeaderName, HeaderValue};
use memchr::memchr;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    super::{
        diagnostic::{Diagnostic, DiagnosticCode},
        limits::TagWriter,
    },
    text_of,
};

/// Reads a header that holds a JSON object. When a key stands in it twice, the last one counts, as in ECMAScript's
/// `JSON.parse`.
pub(super) fn read(name: &HeaderName, value: &HeaderValue, strict: bool, tags: &mut TagWriter<'_>) {
    let text = text_of(name, value, tags);
    let Ok(Members(members)) = serde_json::from_str(&text) else {
        let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let code = if is_json { DiagnosticCode::NotAnObject } else { DiagnosticCode::InvalidJson };
        let diagnostic = Diagnostic::new(code).with_key(name.as_str());
        return if strict { tags.reject(diagnostic) } else { tags.note(diagnostic) };
    };
    // The last of several wins, but never over a tag that code set before.
    if tags.is_empty() {
        for (key, value) in &members {
            read_member(key, value, tags, TagWriter::set);
        }
    } else {
        for (key, value) in members.iter().rev() {
            read_member(key, value, tags, TagWriter::fill);
        }
    }
}

fn read_member<'t>(
    key: &Text<'_>,
    value: &RawValue,
    tags: &mut TagWriter<'t>,
    write: fn(&mut TagWriter<'t>, &str, &str),
) {
    if key.lossy {
        tags.note(Diagnostic::new(DiagnosticCode::NotUtf8).with_key(&key.text));
    }
    let key = &*key.text;
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => {
            // Most strings stand there as they are.
            if let Some(value) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'))
                && memchr(b'\\', value.as_bytes()).is_none()
            {
                return write(tags, key, value);
            }
            let Ok(value) = serde_json::from_str::<Text<'_>>(raw) else { return };
            if value.lossy {
                tags.note(Diagnostic::new(DiagnosticCode::NotUtf8).with_key(key));
            }
            write(tags, key, &value.text);
        }
        Some(b'{' | b'[') => {
            tags.note(Diagnostic::new(DiagnosticCode::Coerced).with_key(key));
            write(tags, key, &compact(raw));
        }
        Some(b'n') => tags.note(Diagnostic::new(DiagnosticCode::NullValue).with_key(key)),
        _ => write(tags, key, raw),
    }
}

/// The text of a JSON string literal, without its quotes, as the object `{"…": …}` had it.
pub(super) fn decode_string(literal: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(literal).ok().map(|text| text.text)
}

/// The members of an object in the order of the text, so that nothing of the values (digits of a number, order of keys)
/// is lost to an intermediate form.
struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A JSON string. A lone surrogate (`"\ud800"` is what ECMAScript writes for one) becomes `U+FFFD` instead of costing
/// the whole object.
struct Text<'a> {
    text: Cow<'a, str>,
    lossy: bool,
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(match std::str::from_utf8(bytes) {
                    Ok(text) => Text { lossy: false, text: Cow::Borrowed(text) },
                    Err(_) => Text { lossy: true, text: Cow::Owned(replace_surrogates(bytes)) },
                })
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                let (text, lossy) = match std::str::from_utf8(bytes) {
                    Ok(text) => (text.to_owned(), false),
                    Err(_) => (replace_surrogates(bytes), true),
                };
                Ok(Text { lossy, text: Cow::Owned(text) })
            }
        }

        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// The text of UTF-8 that may hold surrogates of three bytes each, as `serde_json` hands lone ones on.
fn replace_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The first byte of a surrogate is invalid by itself, and so is each of the two behind it.
        if chunk.invalid().first() == Some(&0xED) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// A JSON text without white space between its tokens and without needless escapes, its order and numbers as they were.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (tokens, from_quote) = rest.split_at(start);
        text.extend(tokens.chars().filter(|letter| !letter.is_ascii_whitespace()));
        let (literal, behind) = from_quote.split_at(literal_len(from_quote));
        match decode_string(literal).and_then(|decoded| serde_json::to_string(&decoded).ok()) {
            Some(clean) if literal.contains('\\') => text.push_str(&clean),
            _ => text.push_str(literal),
        }
        rest = behind;
    }
    text.extend(rest.chars().filter(|letter| !letter.is_ascii_whitespace()));
    text
}

/// Length of the string literal at the start of a valid JSON text, both quotes included.
fn literal_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
