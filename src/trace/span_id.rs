use super::hex_id::hex_id;

/// A W3C span id: 8 bytes, not all zero, written as 16 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 16]);

hex_id!(SpanId, 8, 16);

#[cfg(test)]
mod tests {
    use super::SpanId;

    #[test]
    fn converts_every_byte() {
        for byte in 1..=u8::MAX {
            let id = SpanId::from_bytes([byte; 8]).unwrap();
            assert_eq!(id.to_bytes(), [byte; 8]);
            assert_eq!(id.as_str(), format!("{byte:02x}").repeat(8));
        }
    }

    #[test]
    fn rejects_text_that_is_not_lowercase_hex() {
        for text in
            ["", "0000000000000000", "00F067AA0BA902B7", "00f067aa0ba902b", "00f067aa0ba902b77", "00f067aa0ba902bg"]
        {
            assert_eq!(SpanId::from_hex(text), None, "{text}");
        }
        assert_eq!(SpanId::from_bytes([0; 8]), None);
    }
}
