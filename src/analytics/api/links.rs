use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use http::request::Parts;
use uuid::Uuid;

use crate::{registry::SecretDigest, sync::lock};

/// How long a link is valid.
const LIFE: Duration = Duration::from_secs(600);
/// The largest number of links. A new one replaces the oldest.
const MAX_LINKS: usize = 256;

/// The links to files, which are forgotten when the process ends.
#[derive(Default)]
pub(crate) struct Links {
    /// By the digests of their tokens.
    links: Mutex<BTreeMap<[u8; 32], Link>>,
}

/// A link to a file.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) job: Uuid,
    /// The credentials of the caller who created the link.
    pub(crate) credentials: Option<Parts>,
    until: SystemTime,
}

impl Links {
    /// Creates a link. Returns its token, or `None` without random numbers.
    pub(crate) fn create(&self, job: Uuid, credentials: Option<Parts>, now: SystemTime) -> Option<String> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).ok()?;
        let mut token = String::new();
        for byte in secret {
            // Writing to a string never fails.
            let _ = write!(token, "{byte:02x}");
        }
        let mut links = lock(&self.links);
        links.retain(|_, link| link.until > now);
        if links.len() >= MAX_LINKS {
            let oldest = links.iter().min_by_key(|(_, link)| link.until).map(|(token, _)| *token);
            oldest.and_then(|token| links.remove(&token));
        }
        links.insert(*SecretDigest::of(&token).bytes(), Link { job, credentials, until: now + LIFE });
        Some(token)
    }

    /// Returns the link with a token, if it is still valid. Digests are compared, so the time shows nothing about tokens.
    pub(crate) fn get(&self, token: &str, now: SystemTime) -> Option<Link> {
        lock(&self.links).get(SecretDigest::of(token).bytes()).filter(|link| link.until > now).cloned()
    }
}

impl fmt::Debug for Links {
    /// Does not write the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_expire_and_old_ones_make_room() {
        let (links, now) = (Links::default(), SystemTime::now());
        let (first, job) = (links.create(Uuid::nil(), None, now).unwrap(), Uuid::now_v7());
        let second = links.create(job, None, now + Duration::from_secs(1)).unwrap();
        assert_eq!(links.get(&second, now).map(|link| link.job), Some(job));
        for broken in ["", "0", &second[1..], &second.to_uppercase()] {
            assert!(links.get(broken, now).is_none(), "{broken}");
        }
        assert!(links.get(&first, now + LIFE).is_none() && links.get(&second, now + LIFE).is_some());
        for _ in 0..MAX_LINKS - 1 {
            links.create(job, None, now + Duration::from_secs(2)).unwrap();
        }
        assert!(links.get(&first, now).is_none() && links.get(&second, now).is_some());
    }
}
