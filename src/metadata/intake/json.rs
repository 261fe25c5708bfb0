use std::{borrow::Cow, fmt};

use memchr::{memchr, memchr2};
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
/// `JSON.parse`; a `null` is no tag and leaves the one before.
pub(super) fn read(name: &str, value: &[u8], strict: bool, tags: &mut TagWriter<'_>) {
    let text = text_of(name, value, tags);
    if tags.is_empty()
        && let Some(members) = FlatMembers::read(&text)
    {
        for (key, value) in members.iter() {
            tags.set(key, value);
        }
        return;
    }
    let Ok(Members(members)) = serde_json::from_str(&text) else {
        let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let code = if is_json { DiagnosticCode::NotAnObject } else { DiagnosticCode::InvalidJson };
        let diagnostic = Diagnostic::new(code).with_key(name);
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
pub(crate) fn decode_string(literal: &str) -> Option<Cow<'_, str>> {
    // Most are as they stand there.
    if let Some(text) = literal.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
        && text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_str::<Text<'_>>(literal).ok().map(|text| text.text)
}

/// Most members that are read without a parser.
const MAX_FLAT: usize = 24;

/// The members of an object that holds nothing but strings without escapes, as most metadata is: found without a
/// general parser, which costs several times as much (measured by `benches/layer.rs`).
struct FlatMembers<'t> {
    members: [(&'t str, &'t str); MAX_FLAT],
    count: usize,
}

impl<'t> FlatMembers<'t> {
    /// White space by RFC 8259.
    const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

    /// `None` for everything else, invalid JSON included.
    fn read(text: &'t str) -> Option<Self> {
        let text = text.trim_matches(Self::SPACE);
        let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.trim_matches(Self::SPACE);
        let mut flat = Self { members: [("", ""); MAX_FLAT], count: 0 };
        while !rest.is_empty() || flat.count > 0 {
            let (key, behind_key) = Self::literal(rest)?;
            let value = behind_key.trim_start_matches(Self::SPACE).strip_prefix(':')?.trim_start_matches(Self::SPACE);
            let (value, behind) = Self::literal(value)?;
            *flat.members.get_mut(flat.count)? = (key, value);
            flat.count += 1;
            let behind = behind.trim_start_matches(Self::SPACE);
            if behind.is_empty() {
                break;
            }
            rest = behind.strip_prefix(',')?.trim_start_matches(Self::SPACE);
        }
        Some(flat)
    }

    /// A string literal's content, and what follows it.
    fn literal(text: &'t str) -> Option<(&'t str, &'t str)> {
        let content = text.strip_prefix('"')?;
        let (content, behind) = content.split_at(memchr2(b'"', b'\\', content.as_bytes())?);
        let is_plain = content.bytes().all(|byte| byte >= b' ');
        Some((content, behind.strip_prefix('"')?)).filter(|_| is_plain)
    }

    fn iter(&self) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.members.iter().take(self.count).copied()
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FlatMembers, Members};

    fn flat(text: &str) -> Option<Vec<(&str, &str)>> {
        FlatMembers::read(text).map(|members| members.iter().collect())
    }

    #[test]
    fn flat_objects() {
        assert_eq!(flat("{}"), Some(vec![]));
        assert_eq!(flat(" { } "), Some(vec![]));
        assert_eq!(flat(r#"{"a":"1"}"#), Some(vec![("a", "1")]));
        assert_eq!(flat(r#" { "a" : "1" , "" : "東京" } "#), Some(vec![("a", "1"), ("", "東京")]));
        for other in [
            "",
            "{",
            "}",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":"1",}"#,
            r#"{"a":"1" "b":"2"}"#,
            r#"{"a":1}"#,
            r#"{"a":"\n"}"#,
            r#"{"a":"1"}}"#,
            r#"{"a":"1"},{"b":"2"}"#,
            r#"{"a:"1"}"#,
            r#"["a"]"#,
            "{\"a\":\"\t\"}",
        ] {
            assert_eq!(flat(other), None, "{other}");
        }
        let many =
            serde_json::json!((0..25).map(|at| (at.to_string(), "x")).collect::<std::collections::BTreeMap<_, _>>());
        assert_eq!(flat(&many.to_string()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

        /// What is read without a parser is what the parser reads.
        #[test]
        fn flat_is_what_the_parser_reads(text in r#"[ \t]?\{?[ ]?("[a-z\\\\]{0,2}"[ ]?:?[ ]?("[a-z\t]{0,2}"|1|\{\})[ ]?,?[ ]?){0,3}\}?[ ]?"#) {
            if let Some(members) = flat(&text) {
                let parsed: Members<'_> = serde_json::from_str(&text).unwrap();
                let parsed: Vec<_> = parsed.0.iter().map(|(key, value)| (&*key.text, value.get().trim_matches('"'))).collect();
                prop_assert_eq!(members, parsed);
            }
        }
    }
}
