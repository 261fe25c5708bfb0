use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ConfigError;

/// The SHA-256 of a whole API key. Configurations contain digests instead of keys.
///
/// Its text is 64 hexadecimal digits, as `printf %s KEY | sha256sum` prints them. Two digests are compared in constant time.
///
/// ```
/// use tower_tagging::registry::SecretDigest;
///
/// let digest = SecretDigest::of("sk-gateway-1");
/// assert_eq!(digest.to_string().parse::<SecretDigest>()?, digest);
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Computes the digest of a key.
    pub fn of(key: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(key.as_ref()).into())
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the first eight bytes, by which digests are found.
    pub(crate) fn bucket(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

impl From<[u8; 32]> for SecretDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for SecretDigest {
    type Err = ConfigError;

    /// Reads 64 hexadecimal digits in any case. The error does not repeat the text.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        if let Some(bytes) = decode(text) {
            return Ok(Self(bytes));
        }
        let found = text.chars().count();
        let found = if found == 64 { "other characters".to_owned() } else { format!("{found} characters") };
        Err(ConfigError::new(format!("expected 64 hexadecimal digits (the SHA-256 of the whole key), found {found}")))
    }
}

fn decode(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |letter: u8| char::from(letter).to_digit(16);
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(bytes)
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretDigest {}

impl fmt::Display for SecretDigest {
    /// Writes 64 lowercase hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretDigest {
    /// Does not write the digest, so that it is in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::SecretDigest;

    #[test]
    fn reads_its_own_text_in_any_case() {
        let digest = SecretDigest::of("abc");
        // FIPS 180-2, appendix B.1.
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
    }

    #[test]
    fn rejects_texts_of_another_length_without_repeating_them() {
        for (text, found) in [
            ("", "found 0 characters"),
            (&"a".repeat(63), "found 63 characters"),
            (&"a".repeat(65), "found 65 characters"),
            (&"g".repeat(64), "found other characters"),
            (&"ä".repeat(32), "found 32 characters"),
        ] {
            let error = text.parse::<SecretDigest>().unwrap_err().to_string();
            assert!(error.ends_with(found), "{error}");
            assert!(text.len() < 5 || !error.contains(text));
        }
    }
}
