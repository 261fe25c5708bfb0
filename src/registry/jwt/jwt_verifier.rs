use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

use crate::{ConfigError, registry::login::TagMapping};

use super::{
    claim_rules::ClaimRules,
    jwks_status::JwksStatus,
    jwt_algorithm::JwtAlgorithm,
    jwt_error::JwtError,
    key_set::KeySet,
    key_source::{KeySource, read_file},
    live_keys::LiveKeys,
    refresher::Refresher,
    token::{Token, claims_issuer, is_jwt_shaped},
};

/// Verifies JSON Web Tokens. See the [module](crate::registry::jwt) for the rules.
///
/// Clones share the keys. The background thread that reads the keys ends with the last clone.
#[derive(Clone)]
pub struct JwtVerifier {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) keys: Arc<LiveKeys>,
    pub(super) source: KeySource,
    pub(super) algorithms: Vec<JwtAlgorithm>,
    pub(super) rules: ClaimRules,
    pub(super) tags: TagMapping,
    pub(super) refresher: Option<Refresher>,
}

impl JwtVerifier {
    pub(super) fn of(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Verifies a token and returns its claims.
    ///
    /// `token` is the compact form, without a scheme such as `Bearer`. Time limits are compared with `now`. The call does not
    /// block and takes no lock.
    ///
    /// # Errors
    ///
    /// Returns the reason why the token is refused. If its key may be a new one, the keys are read again soon.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Map<String, Value>, JwtError> {
        let shared = &*self.shared;
        let token = Token::parse(token)?;
        let algorithm = JwtAlgorithm::named(&token.algorithm)
            .filter(|algorithm| shared.algorithms.contains(algorithm))
            .ok_or(JwtError::AlgorithmNotAllowed)?;
        let keys = shared.keys.current();
        let key = keys.find(algorithm, token.key_id.as_deref());
        let verified = key.and_then(|key| {
            let is_valid = key.verifies(algorithm, token.signed, &token.signature);
            if is_valid { Ok(()) } else { Err(JwtError::BadSignature) }
        });
        if let Err(error) = verified {
            // Without a key id, a new key shows only in its signatures.
            if error == JwtError::UnknownKey || token.key_id.is_none() {
                shared.refresh_soon();
            }
            return Err(error);
        }
        let claims = token.claims()?;
        shared.rules.check(&claims, now)?;
        Ok(claims)
    }

    /// Returns `true` if text has the form of a token and names an issuer of this verifier.
    ///
    /// Nothing is verified. Use it to decide whether a bearer token is meant for this verifier, or is forwarded to another
    /// service.
    pub fn is_addressed_by(&self, text: &str) -> bool {
        is_jwt_shaped(text) && claims_issuer(text).is_some_and(|issuer| self.shared.rules.is_issuer(&issuer))
    }

    /// Returns the claims that become tags.
    pub fn tags(&self) -> &TagMapping {
        &self.shared.tags
    }

    /// Returns the state of the keys.
    pub fn status(&self) -> JwksStatus {
        self.shared.keys.status()
    }

    /// Reads the keys again.
    ///
    /// A file is read before the call returns. A URL is fetched by the background thread as soon as possible;
    /// [`status`](Self::status) has the result. Keys that were passed as text stay.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or is not a key set. The last keys stay in force.
    pub fn reload(&self) -> Result<(), ConfigError> {
        match (&self.shared.source, &self.shared.refresher) {
            (KeySource::File(path), _) => {
                let keys = read_file(path);
                let error = keys.as_ref().err().map(ConfigError::new);
                self.shared.keys.install(keys);
                error.map_or(Ok(()), Err)
            }
            (KeySource::Url(_), Some(refresher)) => {
                refresher.force();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Replaces the keys by a JSON Web Key Set, for hosts that fetch it with their own client.
    ///
    /// A verifier with a file or URL replaces them again when it reads that.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a key set. The last keys stay in force.
    pub fn set_jwks(&self, jwks: &str) -> Result<(), ConfigError> {
        let keys = KeySet::parse(jwks.as_bytes());
        let error = keys.as_ref().err().map(ConfigError::new);
        self.shared.keys.install(keys);
        error.map_or(Ok(()), Err)
    }

    /// Waits until there are keys, for the start of a service. Returns `false` if there are none after this time.
    ///
    /// Keys from a URL arrive after [`build`](super::JwtVerifierBuilder::build) has returned. Until then, tokens are refused as
    /// [`UnknownKey`](JwtError::UnknownKey). The call blocks its thread, so an asynchronous service calls it before it starts
    /// its runtime, or within `spawn_blocking`.
    pub fn wait_for_keys(&self, timeout: Duration) -> bool {
        self.shared.keys.wait(timeout)
    }
}

impl Shared {
    fn refresh_soon(&self) {
        if let Some(refresher) = &self.refresher {
            refresher.want();
        }
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { algorithms, rules, .. } = &*self.shared;
        f.debug_struct("JwtVerifier")
            .field("issuers", &rules.issuers)
            .field("audiences", &rules.audiences)
            .field("algorithms", algorithms)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
