use super::hex_id::hex_id;

/// A W3C trace id: 16 bytes, not all zero, written as 32 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 32]);

hex_id!(TraceId, 16, 32);

#[cfg(test)]
mod tests {
    use super::TraceId;

    #[test]
    fn converts_between_bytes_and_digits() {
        let digits = "0af7651916cd43dd8448eb211c80319c";
        let id = TraceId::from_hex(digits).unwrap();
        assert_eq!((id.as_str(), TraceId::from_bytes(id.to_bytes())), (digits, Some(id)));
    }
}
