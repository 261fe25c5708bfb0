use crate::text::decode_string;

/// The top-level fields of a request body that matter.
///
/// A field is `None` if it is missing or `null`, or if it is an object, an array, or a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestFields {
    pub(crate) user: Option<String>,
    /// The reason why `user` was changed or left out.
    pub(crate) user_note: Option<UserNote>,
    pub(crate) model: Option<String>,
    pub(crate) stream: Option<bool>,
    pub(crate) service_tier: Option<String>,
    /// The maximum number of tokens of an answer.
    pub(crate) max_tokens: Option<u64>,
    /// The number of answers.
    pub(crate) choices: Option<u64>,
}

/// The reason why the `user` field was changed or left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserNote {
    /// The value was too long and left out.
    TooLarge,
    /// The value was not UTF-8 and decoded as Latin-1.
    NotUtf8,
}

impl RequestFields {
    /// Returns the approximate size of the fields on the heap, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        [&self.user, &self.model, &self.service_tier].into_iter().flatten().map(String::capacity).sum()
    }
}

/// Returns the text of a JSON string, number, or boolean, or `None` for other values and invalid UTF-8.
#[cfg(feature = "llm")]
pub(crate) fn scalar_text(value: &[u8]) -> Option<String> {
    json_text(std::str::from_utf8(value).ok()?)
}

/// Returns the text of a JSON string, number, or boolean, or `None` for other values.
pub(super) fn json_text(value: &str) -> Option<String> {
    match value {
        "null" => None,
        text if text.starts_with(['{', '[']) => None,
        text if text.starts_with('"') => decode_string(text).map(Into::into),
        text => Some(text.to_owned()),
    }
}
