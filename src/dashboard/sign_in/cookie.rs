use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{analytics::api::KeyHolder, registry::SecretDigest, time::micros_since_1970};

/// The name of the cookie.
pub(crate) const NAME: &str = "tagging_session";
/// How long a sign-in lasts.
pub(crate) const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
/// The text that separates the key of cookies from other uses of the same secret.
const PURPOSE: &[u8] = b"tower-tagging dashboard cookie";

/// The text in front of the digest of a secret, which separates proofs from signatures.
const PROOF: &[u8] = b"secret ";

/// Writes and reads the cookie: who signed in with which secret, until when, and a signature of these.
///
/// The key of the signature is derived from a secret of the operator. So a cookie stays valid when the process restarts, and
/// for all replicas.
#[derive(Clone)]
pub(crate) struct CookieSigner(Hmac<Sha256>);

/// The content of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The name of the key. `None` for the organization-wide key.
    pub(crate) name: Option<String>,
    /// Proves which secret of the key was sent.
    proof: Vec<u8>,
}

impl CookieSigner {
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        let mut derived = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        derived.update(PURPOSE);
        Hmac::new_from_slice(&derived.finalize().into_bytes()).ok().map(Self)
    }

    /// Returns the value of the cookie for a sign-in at a time.
    pub(crate) fn write(&self, holder: &KeyHolder, now: SystemTime) -> String {
        // A key cannot be taken for the administrator, whatever its name is.
        let id = holder.name.as_ref().map_or_else(|| "a".to_owned(), |name| format!("k{name}"));
        let until = micros_since_1970(now) / 1_000_000 + LIFETIME.as_secs();
        let proof = self.proof(&holder.secret).finalize().into_bytes();
        let text = format!("{}.{}.{until}", URL_SAFE_NO_PAD.encode(id), URL_SAFE_NO_PAD.encode(proof));
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    /// Returns who signed in. `None` if the cookie has expired or was not written with the same secret.
    pub(crate) fn read(&self, value: &str, now: SystemTime) -> Option<Session> {
        let (text, signature) = value.rsplit_once('.')?;
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let (who, until) = text.rsplit_once('.')?;
        if until.parse::<u64>().ok()? <= micros_since_1970(now) / 1_000_000 {
            return None;
        }
        let (id, proof) = who.split_once('.')?;
        let id = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
        let name = match id.split_at_checked(1)? {
            ("a", "") => None,
            ("k", name) => Some(name.to_owned()),
            _ => return None,
        };
        Some(Session { name, proof: URL_SAFE_NO_PAD.decode(proof).ok()? })
    }

    /// Returns `true` if the caller of a session sent the secret with this digest.
    pub(crate) fn is_proven(&self, session: &Session, secret: &SecretDigest) -> bool {
        self.proof(secret).verify_slice(&session.proof).is_ok()
    }

    /// The digest itself is not in the cookie, because short keys could be guessed from it.
    fn proof(&self, secret: &SecretDigest) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(PROOF);
        mac.update(secret.bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use crate::{analytics::api::KeyHolder, registry::SecretDigest};

    use super::{CookieSigner, LIFETIME};

    #[test]
    fn reads_only_what_it_wrote_until_it_expires() {
        let signer = CookieSigner::new(b"secret").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for name in [None, Some("web"), Some(""), Some("a.b")] {
            let secret = SecretDigest::of("key");
            let holder = KeyHolder { name: name.map(str::to_owned), secret };
            let value = signer.write(&holder, now);
            let session = signer.read(&value, now).unwrap();
            assert_eq!(session.name, holder.name);
            assert!(signer.is_proven(&session, &secret) && !signer.is_proven(&session, &SecretDigest::of("other")));
            assert!(signer.read(&value, now + LIFETIME - Duration::from_secs(1)).is_some());
            assert_eq!(signer.read(&value, now + LIFETIME), None);
            assert_eq!(CookieSigner::new(b"other").unwrap().read(&value, now), None);
            for at in 0..value.len() {
                let mut changed = value.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(signer.read(&String::from_utf8(changed).unwrap(), now), None, "{at}");
            }
        }
        for broken in ["", ".", "..", "...", "a.1", "YQ.99999999999.", "YQ.YQ.99999999999."] {
            assert_eq!(signer.read(broken, now), None, "{broken}");
        }
    }
}
