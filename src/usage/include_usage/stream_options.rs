//! Asks for usage in the body of a request.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct StreamRequest<'a> {
    #[serde(default)]
    stream: Option<bool>,
    #[serde(borrow, default, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// Reads a member that exists, with any value, as `Some`. By default, `null` would be `None`.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(value: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// Returns the body with a request for usage. All other bytes are unchanged.
///
/// Returns `None` if the body does not ask for a stream, or if it already says whether to include usage.
pub(super) fn with_include_usage(body: &[u8]) -> Option<Bytes> {
    let request: StreamRequest<'_> = serde_json::from_slice(body).ok()?;
    if request.stream != Some(true) {
        return None;
    }
    let Some(options) = request.stream_options else {
        return insert_member(body, body, br#""stream_options":{"include_usage":true}"#);
    };
    if options.get() == "null" {
        return replace(body, options, br#"{"include_usage":true}"#);
    }
    let members: StreamOptions<'_> =
        options.get().starts_with('{').then(|| serde_json::from_str(options.get()).ok())??;
    match members.include_usage {
        None => insert_member(body, options.get().as_bytes(), br#""include_usage":true"#),
        Some(value) if value.get() == "null" => replace(body, value, b"true"),
        Some(_) => None,
    }
}

/// Inserts a member at the beginning of an object, which is a part of the body or all of it.
fn insert_member(body: &[u8], object: &[u8], member: &[u8]) -> Option<Bytes> {
    let brace = object.iter().position(|byte| *byte == b'{')?;
    let is_empty = object.get(brace + 1..)?.trim_ascii_start().starts_with(b"}");
    let (before, after) = body.split_at_checked(offset(body, object)? + brace + 1)?;
    let comma: &[u8] = if is_empty { b"" } else { b"," };
    Some([before, member, comma, after].concat().into())
}

/// Replaces a value, which is a part of the body.
fn replace(body: &[u8], value: &RawValue, new: &[u8]) -> Option<Bytes> {
    let value = value.get().as_bytes();
    let start = offset(body, value)?;
    Some([body.get(..start)?, new, body.get(start + value.len()..)?].concat().into())
}

/// Returns the position of a part of the body.
fn offset(body: &[u8], part: &[u8]) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::with_include_usage;

    #[test]
    fn fills_in_the_option_that_is_missing() {
        for (body, expected) in [
            (r#" {"stream":true,"a":1}"#, r#" {"stream_options":{"include_usage":true},"stream":true,"a":1}"#),
            (r#"{"stream_options":null,"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
            (
                r#"{"stream":true, "stream_options" : null }"#,
                r#"{"stream":true, "stream_options" : {"include_usage":true} }"#,
            ),
            (r#"{"stream":true,"stream_options":{}}"#, r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            (r#"{"stream":true,"stream_options":{ }}"#, r#"{"stream":true,"stream_options":{"include_usage":true }}"#),
            (
                r#"{"stream":true,"stream_options":{"include_obfuscation":false}}"#,
                r#"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
            ),
            (
                r#"{"stream_options":{"a":{},"include_usage": null},"stream":true,"x":"{"}"#,
                r#"{"stream_options":{"a":{},"include_usage": true},"stream":true,"x":"{"}"#,
            ),
            (
                r#"{"x":{"stream_options":{}},"stream":true,"stream_options":null}"#,
                r#"{"x":{"stream_options":{}},"stream":true,"stream_options":{"include_usage":true}}"#,
            ),
        ] {
            let changed = with_include_usage(body.as_bytes()).unwrap();
            assert_eq!(changed, expected, "{body}");
            assert_eq!(with_include_usage(&changed), None, "{body} is changed once");
        }
    }

    #[test]
    fn changes_nothing_else() {
        for body in [
            r#"{"stream":false}"#,
            r#"{"stream":null,"stream_options":null}"#,
            r#"{"stream":"true"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":false}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":0}}"#,
            r#"{"stream":true,"stream_options":[]}"#,
            r#"{"stream":true,"stream_options":"null"}"#,
            r#"{"stream":true,"stream_options":null,"stream_options":null}"#,
            "[true]",
            "",
            r#"{"stream":true"#,
        ] {
            assert_eq!(with_include_usage(body.as_bytes()), None, "{body}");
        }
    }
}
