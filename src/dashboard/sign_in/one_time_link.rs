use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::registry::SecretDigest;

/// How long a link can be used.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A credential that signs in once.
#[derive(Debug)]
pub(crate) struct OneTimeLink {
    open: Mutex<Option<(SecretDigest, Instant)>>,
}

impl OneTimeLink {
    /// Creates a link that accepts a token.
    pub(crate) fn new(token: &str) -> Self {
        Self { open: Mutex::new(Some((SecretDigest::of(token), Instant::now() + LIFETIME))) }
    }

    /// Returns `true` the first time that the token is used, within ten minutes.
    pub(crate) fn take(&self, token: &str) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_valid =
            open.as_ref().is_some_and(|(digest, end)| *digest == SecretDigest::of(token) && Instant::now() < *end);
        if is_valid {
            *open = None;
        }
        is_valid
    }
}

#[cfg(test)]
mod tests {
    use super::OneTimeLink;

    #[test]
    fn accepts_its_token_once() {
        let link = OneTimeLink::new("token");
        assert!(!link.take("other"));
        assert!(link.take("token"));
        assert!(!link.take("token"));
    }
}
