//! The text of a value, without an allocation if it is short.

use std::fmt::{self, Display, Write};

/// The longest text that needs no allocation, in bytes. It is the default limit of a tag's value.
const INLINE_BYTES: usize = 128;

/// The text of a [`Display`] value.
pub(crate) struct ShortText {
    inline: [u8; INLINE_BYTES],
    length: usize,
    /// The whole text, once it is longer than the inline part.
    long: String,
}

impl ShortText {
    /// Formats a value, which is user code. An error of the value ends the text.
    pub(crate) fn of(value: impl Display) -> Self {
        let mut text = Self { inline: [0; INLINE_BYTES], length: 0, long: String::new() };
        let _ = write!(text, "{value}");
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        if self.long.is_empty() { self.inline_str() } else { &self.long }
    }

    fn inline_str(&self) -> &str {
        // Only whole strings were copied.
        self.inline.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Write for ShortText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.length + part.len();
        match self.inline.get_mut(self.length..end) {
            Some(place) if self.long.is_empty() => {
                place.copy_from_slice(part.as_bytes());
                self.length = end;
            }
            _ => {
                if self.long.is_empty() {
                    self.long = self.inline_str().to_owned();
                }
                self.long.push_str(part);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{INLINE_BYTES, ShortText};

    #[test]
    fn has_the_text_of_the_value_whatever_its_length() {
        assert_eq!(ShortText::of(42).as_str(), "42");
        assert_eq!(ShortText::of("").as_str(), "");
        for length in [1, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 10_000] {
            let text = "x".repeat(length);
            assert_eq!(ShortText::of(&text).as_str(), text);
            // In parts, and with characters of several bytes.
            let expected = format!("é{text}東{text}");
            assert_eq!(ShortText::of(format_args!("é{text}東{text}")).as_str(), expected);
        }
    }
}
