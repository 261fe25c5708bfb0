//! Values as they are stored in the keys of sums, where no column is `NULL`.

use crate::row::limited_value;

/// Precedes a value, so that an empty value differs from none.
const PREFIX: char = '=';

/// Returns the text that is stored for a value. No value is stored as the empty text.
pub(crate) fn encode(value: Option<&str>) -> String {
    let mut text = String::new();
    encode_into(value, &mut text);
    text
}

/// Appends the text that is stored for a value.
pub(crate) fn encode_into(value: Option<&str>, text: &mut String) {
    if let Some(value) = value {
        text.push(PREFIX);
        text.push_str(&limited_value(value));
    }
}

/// Returns the value of a stored text.
pub(crate) fn decode(stored: &str) -> Option<&str> {
    stored.strip_prefix(PREFIX)
}
