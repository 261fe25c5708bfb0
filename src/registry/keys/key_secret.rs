use std::time::SystemTime;

use super::secret_digest::SecretDigest;

/// One of the two secrets of an API key.
///
/// A key is rotated without an outage by adding a second secret and giving the first one an end.
#[derive(Clone, Debug)]
pub struct KeySecret {
    pub(crate) digest: SecretDigest,
    pub(crate) expires_at: Option<SystemTime>,
}

impl KeySecret {
    /// Creates a secret without an end from the digest of the whole key.
    pub fn new(digest: SecretDigest) -> Self {
        Self { digest, expires_at: None }
    }

    /// Sets the time from which on the secret is expired.
    #[must_use]
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }
}

impl From<SecretDigest> for KeySecret {
    fn from(digest: SecretDigest) -> Self {
        Self::new(digest)
    }
}
