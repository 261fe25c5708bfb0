use super::hex_id::hex_id;

/// A W3C span id: 8 bytes that are not all zero, written as 16 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 16]);

hex_id!(SpanId, 8, 16);
