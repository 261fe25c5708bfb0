use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{analytics::api::KeyHolder, time::micros_since_1970};

/// The name of the cookie.
pub(crate) const NAME: &str = "tagging_session";
/// How long a sign-in lasts.
pub(crate) const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
/// The text that separates the key of cookies from other uses of the same secret.
const PURPOSE: &[u8] = b"tower-tagging dashboard cookie";

/// Writes and reads the cookie: who signed in, until when, and a signature of both.
///
/// The key of the signature is derived from a secret of the operator. So a cookie stays valid when the process restarts, and
/// for all replicas.
#[derive(Clone)]
pub(crate) struct CookieSigner(Hmac<Sha256>);

impl CookieSigner {
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        let mut derived = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        derived.update(PURPOSE);
        Hmac::new_from_slice(&derived.finalize().into_bytes()).ok().map(Self)
    }

    /// Returns the value of the cookie for a sign-in at a time.
    pub(crate) fn write(&self, holder: &KeyHolder, now: SystemTime) -> String {
        // A key cannot be taken for the administrator, whatever its name is.
        let id = match holder {
            KeyHolder::Admin => "a".to_owned(),
            KeyHolder::Key(name) => format!("k{name}"),
        };
        let until = micros_since_1970(now) / 1_000_000 + LIFETIME.as_secs();
        let text = format!("{}.{until}", URL_SAFE_NO_PAD.encode(id));
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    /// Returns who signed in. `None` if the cookie has expired or was not written with the same secret.
    pub(crate) fn read(&self, value: &str, now: SystemTime) -> Option<KeyHolder> {
        let (text, signature) = value.rsplit_once('.')?;
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let (id, until) = text.split_once('.')?;
        if until.parse::<u64>().ok()? <= micros_since_1970(now) / 1_000_000 {
            return None;
        }
        let id = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
        match id.split_at_checked(1)? {
            ("a", "") => Some(KeyHolder::Admin),
            ("k", name) => Some(KeyHolder::Key(name.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{CookieSigner, KeyHolder, LIFETIME};

    #[test]
    fn accepts_its_own_cookies_for_eight_hours() {
        let signer = CookieSigner::new(b"secret").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        for holder in [KeyHolder::Admin, KeyHolder::Key("a".to_owned()), KeyHolder::Key("ü.1".to_owned())] {
            let value = signer.write(&holder, now);
            let replica = CookieSigner::new(b"secret").unwrap();
            assert_eq!(replica.read(&value, now + LIFETIME - Duration::from_secs(1)), Some(holder));
            assert_eq!(signer.read(&value, now + LIFETIME), None);
            assert_eq!(CookieSigner::new(b"other").unwrap().read(&value, now), None);
            for at in 0..value.len() {
                let mut changed = value.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(signer.read(&String::from_utf8(changed).unwrap(), now), None, "{at}");
            }
        }
        for broken in ["", ".", "..", "a.1", "YQ.99999999999."] {
            assert_eq!(signer.read(broken, now), None, "{broken}");
        }
    }
}
