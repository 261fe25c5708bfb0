use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The length up to which groups distinguish values completely, in bytes. An index of Postgres takes at most 2,700 bytes.
const MAX_VALUE_BYTES: usize = 512;

/// Returns a value as groups and sums have it: a value that is too long is cut, and its digest is appended.
pub(crate) fn limited_value(value: &str) -> Cow<'_, str> {
    if value.len() <= MAX_VALUE_BYTES {
        return Cow::Borrowed(value);
    }
    let digest: [u8; 32] = Sha256::digest(value.as_bytes()).into();
    let digest = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let end = (0..=MAX_VALUE_BYTES - 20).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
    Cow::Owned(format!("{}…{digest:016x}", value.get(..end).unwrap_or_default()))
}
