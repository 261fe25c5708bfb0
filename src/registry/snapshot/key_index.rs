use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    time::SystemTime,
};

use super::super::keys::{SecretDigest, has_form, is_api_key};

/// The secrets of all keys, found by their digest.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    /// Sorted by digest.
    secrets: Vec<SecretEntry>,
    /// For the first eight bytes of a digest, the first secret that has them.
    buckets: HashMap<u64, usize, BuildHasherDefault<BucketHasher>>,
}

/// A secret of a key.
#[derive(Clone, Debug)]
pub(crate) struct SecretEntry {
    pub(crate) digest: SecretDigest,
    pub(crate) expires_at: Option<SystemTime>,
    /// The position of the key.
    pub(crate) key: usize,
}

impl KeyIndex {
    /// Creates an index from secrets that are sorted by digest.
    pub(crate) fn new(secrets: Vec<SecretEntry>) -> Self {
        let mut buckets = HashMap::with_capacity_and_hasher(secrets.len(), BuildHasherDefault::default());
        for (at, secret) in secrets.iter().enumerate() {
            buckets.entry(secret.digest.bucket()).or_insert(at);
        }
        Self { secrets, buckets }
    }

    /// Returns the secret that equals a text. Does not allocate.
    ///
    /// The time depends on the digest of the text only, from which a client learns nothing about other keys.
    pub(crate) fn find(&self, text: &str) -> Option<&SecretEntry> {
        if self.secrets.is_empty() || (has_form(text) && !is_api_key(text)) {
            return None;
        }
        self.find_digest(&SecretDigest::of(text))
    }

    /// Returns the secrets of the key at a position.
    #[cfg(feature = "dashboard")]
    pub(crate) fn of_key(&self, key: usize) -> impl Iterator<Item = &SecretEntry> {
        self.secrets.iter().filter(move |secret| secret.key == key)
    }

    /// Returns the secret with a digest.
    pub(crate) fn find_digest(&self, digest: &SecretDigest) -> Option<&SecretEntry> {
        let bucket = digest.bucket();
        let first = *self.buckets.get(&bucket)?;
        let candidates = self.secrets.get(first..)?.iter().take_while(|secret| secret.digest.bucket() == bucket);
        // All candidates are compared, in constant time.
        candidates.filter(|secret| secret.digest == *digest).last()
    }
}

/// Returns the eight bytes of a digest, which are as good as random, unchanged.
#[derive(Debug, Default)]
struct BucketHasher(u64);

impl Hasher for BucketHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, bucket: u64) {
        self.0 = bucket;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
}
