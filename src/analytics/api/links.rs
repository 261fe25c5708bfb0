use std::{
    fmt::{self, Write as _},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{analytics::Grant, registry::SecretDigest};

use super::Denied;

/// The time for which a link is valid.
const LIFE: Duration = Duration::from_secs(600);
/// The largest number of links to a file. A new one replaces the oldest.
const MAX_LINKS: usize = 16;

/// The links to the file of an export.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links(Vec<Link>);

/// A link to a file.
#[derive(Clone)]
pub(crate) struct Link {
    /// The digest of its token.
    token: SecretDigest,
    /// Checks the caller who created the link.
    recheck: Option<Arc<dyn Fn() -> Result<Grant, Denied> + Send + Sync>>,
    until: SystemTime,
}

impl Link {
    /// Creates a link and its token. Returns `None` without random numbers.
    pub(crate) fn new(
        now: SystemTime,
        recheck: Option<Box<dyn Fn() -> Result<Grant, Denied> + Send + Sync>>,
    ) -> Option<(Self, String)> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).ok()?;
        let mut token = String::new();
        for byte in secret {
            // Writing to a string never fails.
            let _ = write!(token, "{byte:02x}");
        }
        Some((Self { token: SecretDigest::of(&token), recheck: recheck.map(Arc::from), until: now + LIFE }, token))
    }

    /// Returns the current grant of the caller who created the link. `None` if the caller is not checked again.
    pub(crate) fn grant(&self) -> Option<Result<Grant, Denied>> {
        self.recheck.as_ref().map(|recheck| recheck())
    }
}

impl Links {
    /// Adds a link.
    pub(crate) fn add(&mut self, link: Link) {
        if self.0.len() >= MAX_LINKS {
            self.0.remove(0);
        }
        self.0.push(link);
    }

    /// Returns the link with a token, if it is still valid. Digests are compared, so the time shows nothing about tokens.
    pub(crate) fn find(&self, token: &str, now: SystemTime) -> Option<&Link> {
        let token = SecretDigest::of(token);
        self.0.iter().find(|link| link.token == token && link.until > now)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("until", &self.until).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_expire_and_old_ones_make_room() {
        let (mut links, now) = (Links::default(), SystemTime::now());
        let add = |links: &mut Links, now| {
            let (link, token) = Link::new(now, None).unwrap();
            links.add(link);
            token
        };
        let first = add(&mut links, now);
        let second = add(&mut links, now + Duration::from_secs(1));
        for broken in ["", "0", &second[1..], &second.to_uppercase()] {
            assert!(links.find(broken, now).is_none(), "{broken}");
        }
        assert!(links.find(&first, now + LIFE).is_none() && links.find(&second, now + LIFE).is_some());
        for _ in 0..MAX_LINKS - 1 {
            add(&mut links, now + Duration::from_secs(2));
        }
        assert!(links.find(&first, now).is_none() && links.find(&second, now).is_some());
    }
}
