use std::borrow::Cow;

use crate::row::stored_text;

use super::StoreError;

/// The longest key in the table of keys, in bytes. An index of Postgres takes at most 2,700 bytes.
pub(super) const MAX_KEY_BYTES: usize = 1_024;

/// Returns a key as it is stored.
///
/// # Errors
/// Returns [`StoreError::EmptyKey`] if the key is empty, and [`StoreError::KeyTooLong`] if it has more than
/// [`MAX_KEY_BYTES`].
pub(super) fn stored_key(name: &str) -> Result<Cow<'_, str>, StoreError> {
    let name = stored_text(name);
    if name.is_empty() {
        return Err(StoreError::EmptyKey);
    }
    if name.len() > MAX_KEY_BYTES {
        return Err(StoreError::KeyTooLong);
    }
    Ok(name)
}
