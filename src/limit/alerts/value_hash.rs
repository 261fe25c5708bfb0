use std::{borrow::Borrow, fmt::Write};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::store::Dimension;

use super::alert_value::AlertValue;

/// The number of bytes of a hash that alerts contain.
const SHOWN_BYTES: usize = 8;

/// Hashes the values of tags, so that an alert tells groups apart without disclosing them.
#[derive(Clone, Default)]
pub(super) struct ValueHash(Option<Hmac<Sha256>>);

impl ValueHash {
    /// Creates a hash with a key. Without the key, values cannot be guessed.
    pub(super) fn keyed(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).ok())
    }

    /// Returns the hash of a value: `sha256:9d1e6cc1b2a8f0c4`, or `hmac:…` with a key.
    pub(super) fn of(&self, value: &str) -> String {
        match &self.0 {
            Some(keyed) => {
                let mac = keyed.clone().chain_update(value).finalize().into_bytes();
                format!("hmac:{}", hex(mac.iter().take(SHOWN_BYTES)))
            }
            None => format!("sha256:{}", hex(Sha256::digest(value).iter().take(SHOWN_BYTES))),
        }
    }

    /// Returns a value as alerts disclose it. Values of tags are hashed unless they are allowed.
    pub(super) fn value(&self, dimension: &Dimension, value: Option<&str>, is_allowed: bool) -> AlertValue {
        let is_hashed = matches!(dimension, Dimension::Tag(_)) && !is_allowed && value.is_some();
        let shown = value.map(|value| if is_hashed { self.of(value) } else { value.to_owned() });
        AlertValue { property: dimension.to_string(), value: shown, is_hashed }
    }
}

/// Returns bytes as hex digits.
pub(super) fn hex(bytes: impl IntoIterator<Item = impl Borrow<u8>>) -> String {
    bytes.into_iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{:02x}", byte.borrow());
        text
    })
}

#[cfg(test)]
mod tests {
    use crate::store::{Dimension, Field};

    use super::ValueHash;

    #[test]
    fn hashes_values_of_tags_unless_they_are_allowed() {
        let (hash, team) = (ValueHash::default(), Dimension::tag("team"));
        // printf growth | sha256sum
        let hashed = hash.value(&team, Some("growth"), false);
        assert_eq!(hashed.to_string(), "team=sha256:19c64195eb8f22c3");
        assert!(hashed.is_hashed);
        assert_eq!(hash.value(&team, Some("growth"), true).to_string(), "team=growth");
        assert_eq!(hash.value(&team, None, false).to_string(), "team=(none)");
        assert_eq!(hash.value(&Field::ApiKey.into(), Some("web"), false).to_string(), "api_key=web");
    }

    #[test]
    fn uses_a_key_if_there_is_one() {
        // printf growth | openssl dgst -sha256 -hmac key
        let hashed = ValueHash::keyed(b"key").of("growth");
        assert_eq!(hashed, "hmac:3711bc511e61e84b");
    }
}
