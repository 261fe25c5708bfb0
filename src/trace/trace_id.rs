use super::hex_id::hex_id;

/// A W3C trace id: 16 bytes that are not all zero, written as 32 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 32]);

hex_id!(TraceId, 16, 32);
