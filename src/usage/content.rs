use memchr::memmem::Finder;

use super::wire;

/// Longest event or document that is searched for content, in bytes.
pub(super) const MAX_CONTENT_BYTES: usize = 8 * 1024;

/// Returns `true` if the text of a stream event has content: a member with the model's text, or an object such as a tool
/// call, that is not empty.
pub(super) fn has_content(text: &[u8]) -> bool {
    let tables = wire::merged_tables();
    (has_member(text, &tables.text_members, b"\"", b'"') || has_member(text, &tables.object_members, b"{", b'}'))
        && !tables.echoes.iter().any(|echo| echo.find(text).is_some())
}

/// Returns `true` if a member with one of the names has a value that begins as given and does not end at once.
fn has_member(text: &[u8], names: &[Finder<'_>], begin: &[u8], end: u8) -> bool {
    names.iter().any(|name| {
        name.find_iter(text).any(|at| {
            let rest = text.get(at + name.needle().len()..).unwrap_or_default().trim_ascii_start();
            let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
            let inner = value.and_then(|value| value.strip_prefix(begin));
            inner.is_some_and(|inner| inner.first().is_some_and(|byte| *byte != end))
        })
    })
}

/// Returns `true` if the bytes may contain a mark: the name of a count, the end of a stream, or an error. Events without one
/// need not be read once the model is known.
pub(super) fn may_report_usage(bytes: &[u8]) -> bool {
    wire::merged_tables().may_have_mark(bytes)
}

#[cfg(test)]
mod tests {
    use super::{has_content, may_report_usage};

    #[test]
    fn content_is_text_or_an_object_that_is_not_empty() {
        for text in [
            r#"{"delta":{"content":"a"}}"#,
            r#"{ "text" : " " }"#,
            r#"{"delta":{"toolUse":{"input":"{\"a"}}}"#,
            r#"{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}}"#,
            r#"{"parts":[{"inlineData":{"mimeType":"image/png"}}]}"#,
            r#"{"type":"response.image_generation_call.partial_image","partial_image_b64":"aGk="}"#,
            r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I"}}}"#,
        ] {
            assert!(has_content(text.as_bytes()), "{text}");
        }
        for text in [
            r#"{"delta":{"content":""}}"#,
            r#"{"content":null,"text":["a"],"arguments":{}}"#,
            r#"{"type":"response.queued","response":{"prompt":{"variables":{"text":"Bob"}}}}"#,
            r#"{"type":"content"}"#,
        ] {
            assert!(!has_content(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn finds_marks_and_nothing_else() {
        let chunk =
            br#"data: {"model":"m","choices":[{"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}"#;
        assert!(!may_report_usage(chunk));
        for text in [
            "x\"usage\":1",
            "{\"error\":",
            "\"usageMetadata\"",
            "[DONE]",
            "{\"type\":\"message_stop\"}",
            "\"promptTokenCount\"",
        ] {
            assert!(may_report_usage(text.as_bytes()), "{text}");
        }
    }
}
