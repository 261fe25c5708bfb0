use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Signs the links to files, with a key that lives as long as the router.
#[derive(Clone)]
pub(crate) struct Signer(Option<Hmac<Sha256>>);

impl Signer {
    /// Creates a signer with a random key. Without random numbers, it signs nothing and accepts nothing.
    pub(crate) fn new() -> Self {
        let mut key = [0; 32];
        let is_random = getrandom::fill(&mut key).is_ok();
        Self(is_random.then(|| Hmac::new_from_slice(&key).ok()).flatten())
    }

    /// Returns the signature of a file until a time, in seconds since 1970.
    pub(crate) fn sign(&self, id: Uuid, until: u64) -> Option<String> {
        let mut text = String::new();
        for byte in self.mac(id, until)?.finalize().into_bytes() {
            // Writing to a string never fails.
            let _ = write!(text, "{byte:02x}");
        }
        Some(text)
    }

    /// Returns `true` if a signature is valid. Takes the same time for all signatures of the same length.
    pub(crate) fn verifies(&self, id: Uuid, until: u64, signature: &str) -> bool {
        let (pairs, []) = signature.as_bytes().as_chunks::<2>() else { return false };
        let digit = |letter: u8| char::from(letter).to_digit(16);
        let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let is_equal = |bytes: Vec<u8>| self.mac(id, until).is_some_and(|mac| mac.verify_slice(&bytes).is_ok());
        bytes.is_some_and(is_equal)
    }

    fn mac(&self, id: Uuid, until: u64) -> Option<Hmac<Sha256>> {
        let mut mac = self.0.clone()?;
        mac.update(id.as_bytes());
        mac.update(&until.to_be_bytes());
        Some(mac)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_its_own_signature_for_the_same_file_and_time() {
        let (signer, id) = (Signer::new(), Uuid::now_v7());
        let signature = signer.sign(id, 100).unwrap();
        assert!(signer.verifies(id, 100, &signature));
        assert!(!signer.verifies(id, 101, &signature));
        assert!(!signer.verifies(Uuid::now_v7(), 100, &signature));
        assert!(!Signer::new().verifies(id, 100, &signature));
        for broken in ["", "0", "zz", "é", &signature[2..], &signature.replace(|_: char| true, "0")] {
            assert!(!signer.verifies(id, 100, broken), "{broken}");
        }
    }
}
