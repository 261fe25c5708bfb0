use std::fmt;

use memchr::memchr;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    metadata::{Diagnostic, DiagnosticCode, TagWriter},
    text::{JsonText, decode_string},
};

use super::header_value::text_of;

/// Reads a header that holds a JSON object.
///
/// Of a repeated key, the last value is used, as in ECMAScript's `JSON.parse`. A `null` does not replace an earlier value.
pub(super) fn read(name: &str, value: &[u8], strict: bool, tags: &mut TagWriter<'_>) {
    let text = text_of(name, value, tags);
    let Ok(Members(members)) = serde_json::from_str(&text) else {
        let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let code = if is_json { DiagnosticCode::NotAnObject } else { DiagnosticCode::InvalidJson };
        let diagnostic = Diagnostic::new(code).with_key(name);
        return if strict { tags.reject(diagnostic) } else { tags.note(diagnostic) };
    };
    // Tags that are already set are stronger than this header.
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
    key: &JsonText<'_>,
    value: &RawValue,
    tags: &mut TagWriter<'t>,
    write: fn(&mut TagWriter<'t>, &str, &str),
) {
    if key.lossy {
        tags.note(Diagnostic::new(DiagnosticCode::NotUtf8).with_key(&*key.text));
    }
    let key = &*key.text;
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => {
            // Most strings have no escapes.
            if let Some(value) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'))
                && memchr(b'\\', value.as_bytes()).is_none()
            {
                return write(tags, key, value);
            }
            let Ok(value) = serde_json::from_str::<JsonText<'_>>(raw) else { return };
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

/// The members of an object in their original order, with the original text of their values: an intermediate form would
/// lose digits of numbers and the order of nested keys.
struct Members<'a>(Vec<(JsonText<'a>, &'a RawValue)>);

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

/// Removes white space between the tokens of a JSON text, and escapes that are not needed. Keeps order and numbers.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (tokens, from_quote) = rest.split_at(start);
        text.extend(tokens.chars().filter(|letter| !letter.is_ascii_whitespace()));
        let (literal, after) = from_quote.split_at(literal_len(from_quote));
        match decode_string(literal).and_then(|decoded| serde_json::to_string(&decoded).ok()) {
            Some(clean) if literal.contains('\\') => text.push_str(&clean),
            _ => text.push_str(literal),
        }
        rest = after;
    }
    text.extend(rest.chars().filter(|letter| !letter.is_ascii_whitespace()));
    text
}

/// Returns the length of the string literal at the start of a valid JSON text, including both quotes.
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
