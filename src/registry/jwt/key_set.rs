use serde_json::Value;

use super::{
    json_object::json_object, jwt_algorithm::JwtAlgorithm, jwt_error::JwtError, verification_key::VerificationKey,
};

/// Maximum number of keys of a set.
const MAX_KEYS: usize = 100;

/// The usable keys of a JSON Web Key Set ([RFC 7517, section 5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).
#[derive(Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<VerificationKey>,
}

impl KeySet {
    /// Maximum size of a key set, in bytes.
    pub(super) const MAX_BYTES: usize = 1024 * 1024;

    /// Reads a key set. Keys that are not supported are ignored, and so are later ones with an equal id and type.
    ///
    /// # Errors
    ///
    /// Returns the problem, without a part of the text, if it is not a key set, has too many keys, or has none that is
    /// usable.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        if json.len() > Self::MAX_BYTES {
            return Err(format!("the key set exceeds {} bytes", Self::MAX_BYTES));
        }
        let set = json_object(json).ok_or("expected a JSON Web Key Set, found text that is not a JSON object")?;
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err("expected a JSON Web Key Set, found an object without a list \"keys\"".to_owned());
        };
        if jwks.len() > MAX_KEYS {
            return Err(format!("the key set has {} keys: at most {MAX_KEYS} are supported", jwks.len()));
        }
        let mut keys: Vec<VerificationKey> = Vec::with_capacity(jwks.len());
        for key in jwks.iter().filter_map(VerificationKey::from_jwk) {
            let is_known = |other: &VerificationKey| other.id == key.id && other.kind.is_like(key.kind);
            if key.id.is_none() || !keys.iter().any(is_known) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(format!("none of the {} keys of the key set is for signatures and supported", jwks.len()));
        }
        Ok(Self { keys })
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns the key for a token with this key id. A token without one needs a single key that fits.
    pub(super) fn find(&self, algorithm: JwtAlgorithm, id: Option<&str>) -> Result<&VerificationKey, JwtError> {
        let Some(id) = id else {
            let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm));
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(JwtError::UnknownKey),
            };
        };
        let mut with_id = self.keys.iter().filter(|key| key.id.as_deref() == Some(id)).peekable();
        if with_id.peek().is_none() {
            return Err(JwtError::UnknownKey);
        }
        with_id.find(|key| key.fits(algorithm)).ok_or(JwtError::AlgorithmNotAllowed)
    }
}
