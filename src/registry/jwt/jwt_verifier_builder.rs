use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{ConfigError, config_error::ConfigProblems, registry::login::TagMapping};

use super::{
    claim_rules::ClaimRules,
    jwt_algorithm::JwtAlgorithm,
    jwt_verifier::{JwtVerifier, Shared},
    key_set::KeySet,
    key_source::{KeySource, read_file},
    live_keys::LiveKeys,
    refresher::{Refresher, Schedule},
};

const REFRESH: Duration = Duration::from_secs(5 * 60);
const MIN_REFRESH: Duration = Duration::from_secs(30);
const EARLY_REFRESH: Duration = Duration::from_secs(30);
const MIN_EARLY_REFRESH: Duration = Duration::from_secs(1);
const LEEWAY: Duration = Duration::from_secs(60);

/// Builds a [`JwtVerifier`].
///
/// A key source, an issuer, and an audience are required.
#[must_use = "a builder does nothing until `build` is called"]
pub struct JwtVerifierBuilder {
    sources: Vec<Source>,
    algorithms: Vec<JwtAlgorithm>,
    rules: ClaimRules,
    tags: TagMapping,
    schedule: Schedule,
}

enum Source {
    Text(String),
    File(PathBuf),
    Url(String),
}

impl JwtVerifier {
    /// Creates a builder.
    pub fn builder() -> JwtVerifierBuilder {
        JwtVerifierBuilder::default()
    }
}

impl Default for JwtVerifierBuilder {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            algorithms: vec![JwtAlgorithm::Es256, JwtAlgorithm::Rs256],
            rules: ClaimRules { leeway: LEEWAY, ..ClaimRules::default() },
            tags: TagMapping::new(),
            schedule: Schedule { regular: REFRESH, early: EARLY_REFRESH },
        }
    }
}

impl JwtVerifierBuilder {
    /// Sets the keys: the text of a JSON Web Key Set.
    pub fn jwks(mut self, jwks: impl Into<String>) -> Self {
        self.sources.push(Source::Text(jwks.into()));
        self
    }

    /// Reads the keys from a file with a JSON Web Key Set. It is checked for changes every two seconds.
    pub fn jwks_file(mut self, path: impl AsRef<Path>) -> Self {
        self.sources.push(Source::File(path.as_ref().to_owned()));
        self
    }

    /// Fetches the keys from a URL, such as the `jwks_uri` of an OpenID provider.
    ///
    /// It must be `https`, except on this machine. Certificates are verified with the roots of Mozilla. Redirects are not
    /// followed.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.sources.push(Source::Url(url.into()));
        self
    }

    /// Adds an issuer: the exact value of `iss`.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuers.push(issuer.into());
        self
    }

    /// Adds an audience: an exact value of `aud`. A token for any of the audiences is accepted.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// Accepts tokens for any audience, and without one.
    ///
    /// A token that the issuer created for another service is then accepted as well. Use it only if the issuer does not set
    /// `aud`.
    pub fn any_audience(mut self) -> Self {
        self.rules.accepts_any_audience = true;
        self
    }

    /// Sets the allowed algorithms. The default is ES256 and RS256.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = JwtAlgorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets the clock skew that is tolerated for `exp` and `nbf`. The default is 60 seconds.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// Sets the claims that become trusted tags.
    pub fn tags(mut self, tags: TagMapping) -> Self {
        self.tags = tags;
        self
    }

    /// Sets the interval at which a URL is fetched. The default is 5 minutes, and the minimum 30 seconds.
    pub fn refresh_interval(mut self, interval: Duration) -> Self {
        self.schedule.regular = interval.max(MIN_REFRESH);
        self
    }

    /// Sets the interval at which a URL is fetched at most if the key of a token may be a new one, or the last fetch failed.
    ///
    /// The default is 30 seconds, and the minimum one second.
    pub fn early_refresh_interval(mut self, interval: Duration) -> Self {
        self.schedule.early = interval.max(MIN_EARLY_REFRESH);
        self
    }

    /// Builds the verifier.
    ///
    /// Keys from a text or a file are read before the call returns. Keys from a URL are fetched in the background; see
    /// [`JwtVerifier::wait_for_keys`].
    ///
    /// # Errors
    ///
    /// Returns every problem: no or several key sources, a key set that cannot be read, a URL that is not allowed, no issuer
    /// or audience, no algorithm, HMAC algorithms together with others or with a URL, or no background thread.
    pub fn build(mut self) -> Result<JwtVerifier, ConfigError> {
        let mut problems = ConfigProblems::default();
        self.check(&mut problems);
        let keys = Arc::new(LiveKeys::default());
        let source = problems.take(self.open(&keys));
        problems.into_result()?;
        let source = source.ok_or_else(|| ConfigError::new("a JWT verifier needs a key set"))?;
        let start = match &source {
            KeySource::Text => Ok(None),
            KeySource::File(path) => Refresher::of_file(path.clone(), Arc::clone(&keys)).map(Some),
            KeySource::Url(url) => Refresher::of_url(url.clone(), Arc::clone(&keys), self.schedule).map(Some),
        };
        let refresher = start
            .map_err(|error| ConfigError::new(format!("cannot start the thread that reads the key set: {error}")))?;
        let Self { algorithms, rules, tags, .. } = self;
        Ok(JwtVerifier::of(Shared { keys, source, algorithms, rules, tags, refresher }))
    }

    fn check(&self, problems: &mut ConfigProblems) {
        let mut problem = |message: &str| problems.push(ConfigError::new(message));
        let is_blank = |names: &[String]| names.iter().any(String::is_empty);
        if self.rules.issuers.is_empty() || is_blank(&self.rules.issuers) {
            problem("a JWT verifier needs an issuer that is not empty");
        }
        if (self.rules.audiences.is_empty() && !self.rules.accepts_any_audience) || is_blank(&self.rules.audiences) {
            problem("a JWT verifier needs an audience that is not empty");
        }
        if self.algorithms.is_empty() {
            problem("a JWT verifier needs at least one algorithm");
        }
        if self.algorithms.iter().any(|algorithm| algorithm.is_symmetric()) {
            if !self.algorithms.iter().all(|algorithm| algorithm.is_symmetric()) {
                problem(
                    "HMAC algorithms cannot be allowed together with algorithms for public keys: use one verifier for each",
                );
            }
            if self.sources.iter().any(|source| matches!(source, Source::Url(_))) {
                problem("HMAC keys are secrets, and cannot be fetched from a URL: use a file");
            }
        }
    }

    /// Opens the only key source, and reads text and files.
    fn open(&mut self, keys: &LiveKeys) -> Result<KeySource, ConfigError> {
        let count = self.sources.len();
        let (Some(source), 1) = (self.sources.pop(), count) else {
            return Err(ConfigError::new(format!(
                "a JWT verifier needs exactly one key set (text, file, or URL), found {count}"
            )));
        };
        let (source, set) = match source {
            Source::Url(url) => return KeySource::url(&url),
            Source::Text(text) => (KeySource::Text, KeySet::parse(text.as_bytes())),
            Source::File(path) => {
                let set = read_file(&path);
                (KeySource::File(path), set)
            }
        };
        keys.install(Ok(set.map_err(ConfigError::new)?));
        Ok(source)
    }
}

impl fmt::Debug for JwtVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifierBuilder")
            .field("algorithms", &self.algorithms)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
