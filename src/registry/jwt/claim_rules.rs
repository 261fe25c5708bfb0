use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::jwt_error::JwtError;

/// The rules for the registered claims of a token (RFC 7519, section 4.1).
#[derive(Clone, Debug, Default)]
pub(super) struct ClaimRules {
    pub(super) issuers: Vec<String>,
    pub(super) audiences: Vec<String>,
    pub(super) accepts_any_audience: bool,
    /// The clock skew that is tolerated.
    pub(super) leeway: Duration,
}

impl ClaimRules {
    pub(super) fn check(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<(), JwtError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        let expires_at = date(claims.get("exp"))?.ok_or(JwtError::NoExpiry)?;
        if now >= expires_at + leeway {
            return Err(JwtError::Expired);
        }
        if date(claims.get("nbf"))?.is_some_and(|starts_at| now + leeway < starts_at) {
            return Err(JwtError::NotYetValid);
        }
        if !claims.get("iss").and_then(Value::as_str).is_some_and(|issuer| self.is_issuer(issuer)) {
            return Err(JwtError::WrongIssuer);
        }
        if !self.accepts_any_audience && !self.is_for_audience(claims.get("aud")) {
            return Err(JwtError::WrongAudience);
        }
        Ok(())
    }

    pub(super) fn is_issuer(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|known| known == issuer)
    }

    /// The claim is a string or a list of strings.
    fn is_for_audience(&self, claim: Option<&Value>) -> bool {
        let is_ours = |value: &Value| value.as_str().is_some_and(|name| self.audiences.iter().any(|ours| ours == name));
        match claim {
            Some(Value::Array(list)) => list.iter().any(is_ours),
            Some(single) => is_ours(single),
            None => false,
        }
    }
}

/// Reads a `NumericDate`: seconds since 1970, possibly with a fraction.
fn date(claim: Option<&Value>) -> Result<Option<f64>, JwtError> {
    match claim {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|seconds| seconds.is_finite()).map(Some).ok_or(JwtError::Malformed),
    }
}
