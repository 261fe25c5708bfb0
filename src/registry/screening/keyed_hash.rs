use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::screening_kind::ScreeningKind;

/// The number of hexadecimal digits of a hash.
pub(super) const HASH_DIGITS: usize = 16;

/// HMAC-SHA-256 (RFC 2104) with the key of a deployment.
#[derive(Clone)]
pub(super) struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(key).ok().map(Self)
    }

    /// Appends the first 64 bits of the hash of a text in hexadecimal.
    pub(super) fn write(&self, text: &str, to: &mut String) {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        for byte in mac.finalize().into_bytes().iter().take(HASH_DIGITS / 2) {
            // Writing to a string never fails.
            let _ = write!(to, "{byte:02x}");
        }
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(..)")
    }
}

/// Returns the form of a recognized part in which all spellings of one value are equal.
pub(super) fn normalized(kind: ScreeningKind, text: &str) -> String {
    match kind {
        ScreeningKind::Emails => text.replace("%40", "@").to_lowercase(),
        ScreeningKind::Cards | ScreeningKind::Ibans => {
            text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
        }
        ScreeningKind::Phones => text.chars().filter(|letter| letter.is_ascii_digit() || *letter == '+').collect(),
        ScreeningKind::Secrets | ScreeningKind::HighEntropy => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyedHash, ScreeningKind, normalized};

    /// Test case 2 of RFC 4231.
    #[test]
    fn computes_hmac_sha_256() {
        let mut text = String::new();
        KeyedHash::new(b"Jefe").unwrap().write("what do ya want for nothing?", &mut text);
        assert_eq!(text, "5bdcc146bf60754e");
    }

    #[test]
    fn spellings_of_one_value_are_equal() {
        for (kind, text, expected) in [
            (ScreeningKind::Emails, "Ada@Example.COM", "ada@example.com"),
            (ScreeningKind::Emails, "ada%40example.com", "ada@example.com"),
            (ScreeningKind::Cards, "4111-1111 11111111", "4111111111111111"),
            (ScreeningKind::Ibans, "de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
            (ScreeningKind::Phones, "+49 (170) 12-34", "+491701234"),
            (ScreeningKind::Secrets, "Sk-1", "Sk-1"),
        ] {
            assert_eq!(normalized(kind, text), expected);
        }
    }
}
