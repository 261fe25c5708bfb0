use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{json_object::json_object, jwt_error::JwtError};

/// Maximum length of a token, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// A signed token in the compact form (RFC 7515, section 3.1), whose signature has not been verified.
pub(super) struct Token<'t> {
    /// The name of the algorithm.
    pub(super) algorithm: Box<str>,
    pub(super) key_id: Option<Box<str>>,
    /// The text that the signature covers.
    pub(super) signed: &'t str,
    pub(super) signature: Vec<u8>,
    payload: &'t str,
}

impl<'t> Token<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, JwtError> {
        let [header, payload, signature] = parts(text).ok_or(JwtError::Malformed)?;
        let mut header = decoded_object(header).ok_or(JwtError::Malformed)?;
        // A reader must refuse critical parameters that it does not support (RFC 7515, section 4.1.11).
        if header.contains_key("crit") {
            return Err(JwtError::Malformed);
        }
        let Some(Value::String(algorithm)) = header.remove("alg") else { return Err(JwtError::Malformed) };
        let key_id = match header.remove("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.into()),
            Some(_) => return Err(JwtError::Malformed),
        };
        let signed = text.rsplit_once('.').map(|(signed, _)| signed).ok_or(JwtError::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::Malformed)?;
        Ok(Self { algorithm: algorithm.into(), key_id, signed, signature, payload })
    }

    /// Returns the claims. They are trustworthy only if the signature has been verified.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, JwtError> {
        decoded_object(self.payload).ok_or(JwtError::Malformed)
    }
}

/// Returns `true` if text has the form of a signed token: three parts in base64url, of which the first is a JSON object.
pub(crate) fn is_jwt_shaped(text: &str) -> bool {
    let is_base64url = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    parts(text).is_some_and(|parts| {
        // The letters are `{` and the first bits of what follows it.
        parts.iter().all(|part| is_base64url(part)) && parts.first().is_some_and(|header| header.starts_with("ey"))
    })
}

/// Returns the claim `iss` of a token, without any verification.
pub(crate) fn claims_issuer(token: &str) -> Option<String> {
    let [_, payload, _] = parts(token)?;
    match decoded_object(payload)?.remove("iss") {
        Some(Value::String(issuer)) => Some(issuer),
        _ => None,
    }
}

/// Returns header, payload, and signature.
fn parts(text: &str) -> Option<[&str; 3]> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let mut parts = text.split('.');
    let found = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

fn decoded_object(part: &str) -> Option<Map<String, Value>> {
    json_object(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{claims_issuer, is_jwt_shaped};

    #[test]
    fn recognizes_the_form_of_tokens() {
        // The header is {"alg":"HS256"}, the payload {"iss":"joe"}.
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.c2ln";
        assert!(is_jwt_shaped(token));
        assert_eq!(claims_issuer(token).as_deref(), Some("joe"));
        assert!(is_jwt_shaped("eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UifQ."), "without a signature");
        let long = format!("{token}{}", "A".repeat(16 * 1024));
        for other in ["", "sk-1234", "a.b.c", "..", "tt_abc_def_123", "eyJh.x", "eyJh.x.y.z", "eyJh.x.y z", &long] {
            assert!(!is_jwt_shaped(other), "{other}");
            assert_eq!(claims_issuer(other), None, "{other}");
        }
        assert_eq!(claims_issuer("eyJhbGciOiJub25lIn0.eyJpc3MiOjF9."), None, "not a string");
    }
}
