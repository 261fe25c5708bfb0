use std::fmt::Write;

use http::HeaderName;
use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, utf8_percent_encode};

/// The ASCII characters to percent-encode: those that are not a `baggage-octet` ([W3C
/// Baggage](https://www.w3.org/TR/baggage/#definition)), and the percent sign. Bytes above ASCII are always encoded.
const NOT_BAGGAGE_OCTET: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// Encodes the value of a `baggage` member.
pub(super) fn baggage_value(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NOT_BAGGAGE_OCTET)
}

/// Returns `true` if the text is a `token` (RFC 9110, section 5.6.2). Header names are tokens.
pub(super) fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// Appends a JSON string literal that consists of visible ASCII characters and spaces.
pub(super) fn push_json_string(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            ' '..='~' => json.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a string never fails.
                    let _ = write!(json, "\\u{unit:04x}");
                }
            }
        }
    }
    json.push('"');
}

/// Removes the leading and trailing whitespace that HTTP removes from header values.
pub(super) fn header_value(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{baggage_value, is_token, push_json_string};

    /// RFC 9110, section 5.6.2, and the definition of `baggage-octet` in W3C Baggage.
    #[test]
    fn classifies_every_ascii_character() {
        for byte in 0..=127_u8 {
            let text = char::from(byte).to_string();
            let is_tchar = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(&text), is_tchar, "{text:?}");
            let is_octet = matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e) && byte != b'%';
            let expected = if is_octet { text.clone() } else { format!("%{byte:02X}") };
            assert_eq!(baggage_value(&text).to_string(), expected);
        }
        assert!(!is_token(""));
        assert!(!is_token("schlüssel"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

        #[test]
        fn json_is_ascii_and_decodes_to_the_same_text(text: String) {
            let mut json = String::new();
            push_json_string(&mut json, &text);
            prop_assert!(json.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
