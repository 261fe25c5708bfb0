//! The text of an error that a provider reports inside a response.

use serde_json::Value;

use crate::text::truncated;

/// Maximum length of an error, in characters.
const MAX_ERROR_CHARS: usize = 256;

/// The text of an error about which nothing else is known.
pub(super) const UNKNOWN_ERROR: &str = "error";

/// Returns the type or code of an error and its message, or `None` if the value is a placeholder: some servers always send
/// the member.
pub(super) fn error_text(value: &[u8]) -> Option<String> {
    let text = match serde_json::from_slice(value).unwrap_or(Value::Bool(true)) {
        Value::Null | Value::Bool(false) => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::Object(members) if members.is_empty() => return None,
        Value::Array(entries) if entries.is_empty() => return None,
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Object(members) => {
            let first = |names: &[&str]| names.iter().filter_map(|name| members.get(*name)).find_map(scalar);
            described(first(&["type", "code", "status"]), first(&["message", "detail", "msg"]))
        }
        Value::Bool(true) | Value::Array(_) => UNKNOWN_ERROR.to_owned(),
    };
    Some(truncated(&text, MAX_ERROR_CHARS).to_owned())
}

/// Returns the text of an error with this type and message.
pub(super) fn described(kind: Option<String>, message: Option<String>) -> String {
    let text = match (kind, message) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (kind, message) => kind.or(message).unwrap_or_else(|| UNKNOWN_ERROR.to_owned()),
    };
    truncated(&text, MAX_ERROR_CHARS).to_owned()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::error_text;

    #[test]
    fn describes_errors_of_every_shape() {
        for (value, expected) in [
            (r#"{"message":"slow down","type":"rate_limit","code":"rl"}"#, Some("rate_limit: slow down")),
            (r#"{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}"#, Some("429: quota")),
            (r#"{"type":"overloaded_error","message":""}"#, Some("overloaded_error")),
            (r#""model not found""#, Some("model not found")),
            (r#"{"a":1}"#, Some("error")),
            ("true", Some("error")),
            ("[1]", Some("error")),
            ("500", Some("500")),
            ("null", None),
            ("false", None),
            (r#""""#, None),
            ("{}", None),
            ("[]", None),
        ] {
            assert_eq!(error_text(value.as_bytes()).as_deref(), expected, "{value}");
        }
        assert_eq!(error_text(format!("{:?}", "東".repeat(300)).as_bytes()).unwrap().chars().count(), 256);
    }
}
