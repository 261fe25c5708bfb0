/// Both lowercase hex digits of every byte.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated at compile time")]
pub(super) const HEX_DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Implements an id that is stored as its lowercase hex digits.
macro_rules! hex_id {
    ($name:ident, $bytes:literal, $digits:literal) => {
        impl $name {
            /// Creates an id from bytes.
            ///
            /// Returns `None` if all of them are zero, which W3C Trace Context forbids.
            pub fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                if bytes == [0; $bytes] {
                    return None;
                }
                let mut hex = [0; $digits];
                for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
                    if let Some(digits) = $crate::trace::hex_id::HEX_DIGITS.get(usize::from(byte)) {
                        pair.copy_from_slice(digits);
                    }
                }
                Some(Self(hex))
            }

            /// Parses lowercase hex digits, as [`as_str`](Self::as_str) returns them.
            ///
            /// Returns `None` for any other text, and if all digits are zero.
            pub fn from_hex(text: &str) -> Option<Self> {
                Self::from_hex_digits(text.as_bytes().try_into().ok()?)
            }

            pub(super) fn from_hex_digits(hex: [u8; $digits]) -> Option<Self> {
                // Without an early exit the compiler checks many digits at a time.
                let is_hex = hex.iter().fold(true, |is_hex, digit| {
                    is_hex & ((digit.wrapping_sub(b'0') < 10) | (digit.wrapping_sub(b'a') < 6))
                });
                (is_hex && hex != [b'0'; $digits]).then_some(Self(hex))
            }

            /// The placeholder for an id that is not set yet: all digits are zero.
            pub(super) const UNSET: Self = Self([b'0'; $digits]);

            /// Returns the lowercase hex digits.
            pub fn as_str(&self) -> &str {
                let digits = std::str::from_utf8(&self.0);
                debug_assert!(digits.is_ok(), "constructors accept hex digits only");
                digits.unwrap_or_default()
            }

            pub(super) fn digits(&self) -> &[u8; $digits] {
                &self.0
            }

            /// Returns the bytes that the hex digits represent.
            pub fn to_bytes(self) -> [u8; $bytes] {
                // All digits are in `0..=9` or `a..=f`. Without branches the compiler converts many at a time.
                let nibbles = self.0.map(|digit| (digit & 15) + 9 * (digit >> 6));
                let mut bytes = [0; $bytes];
                for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks_exact(2)) {
                    *byte = pair.iter().fold(0, |byte, nibble| byte << 4 | nibble);
                }
                bytes
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(super) use hex_id;
