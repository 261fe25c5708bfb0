use http::HeaderName;

use crate::{
    config_error::{ConfigError, ConfigProblems, env_var},
    headers::{MAJORDOMO_PREFIX, PORTKEY_METADATA},
};

use super::{
    allow_list::AllowList,
    key_case::KeyCase,
    prefix::Prefix,
    secret::{Secret, is_credential},
};

/// The places that request tags are read from. See the [module](super) documentation.
///
/// Setters accept any input. A layer reports all problems when it is built, and [`check`](Self::check) reports them
/// earlier. The order of the setters does not matter, except that an earlier [`prefix`](Self::prefix) is stronger than a
/// later one, and that [`with_env`](Self::with_env) may replace the prefixes and the key case that were set before.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TagSources {
    pub(super) json_header: Option<HeaderName>,
    pub(super) strict_json: bool,
    pub(super) prefixes: Vec<Prefix>,
    pub(super) key_case: KeyCase,
    pub(super) allow_list: AllowList,
    pub(super) secrets: Vec<HeaderName>,
    pub(super) baggage: bool,
    body_user: bool,
    problems: ConfigProblems,
}

impl TagSources {
    /// Creates sources that read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates sources for the Portkey dialect: JSON in `x-portkey-metadata`, and `user` in the [body](Self::body_user).
    pub fn portkey() -> Self {
        Self { json_header: Some(PORTKEY_METADATA), body_user: true, ..Self::default() }
    }

    /// Creates sources for the Majordomo dialect: `x-majordomo-…` headers.
    pub fn majordomo() -> Self {
        Self { prefixes: vec![Prefix::known(MAJORDOMO_PREFIX)], ..Self::default() }
    }

    /// Creates sources for both dialects, W3C `baggage`, and `user` in the [body](Self::body_user).
    pub fn all() -> Self {
        Self { prefixes: vec![Prefix::known(MAJORDOMO_PREFIX)], baggage: true, ..Self::portkey() }
    }

    /// Creates [all](Self::all) sources and applies the [environment](Self::with_env) to them.
    pub fn from_env() -> Self {
        Self::all().with_env()
    }

    /// Applies environment variables. Variables that are unset or empty change nothing.
    ///
    /// - `HEADERS_TO_METADATA` adds to the [allow-list](Self::allow_list), for example `x-user-id, x-tenant=tenant`.
    /// - `METADATA_PREFIXES` replaces the [prefixes](Self::prefix), which are separated by commas.
    /// - `METADATA_KEY_CASE` sets the [key case](Self::key_case): `lower` or `title`.
    ///
    /// An invalid value is reported with the name of the variable when the layer is built.
    pub fn with_env(mut self) -> Self {
        if let Some(prefixes) = self.problems.take(env_var("METADATA_PREFIXES")).flatten() {
            self.prefixes.clear();
            for prefix in prefixes.split(',').map(str::trim).filter(|prefix| !prefix.is_empty()) {
                let parsed = Prefix::new(prefix).map_err(|error| error.in_variable("METADATA_PREFIXES"));
                self.prefixes.extend(self.problems.take(parsed));
            }
        }
        if let Some(list) = self.problems.take(env_var("HEADERS_TO_METADATA")).flatten() {
            self.allow_list.add(&list, Some("HEADERS_TO_METADATA"), &mut self.problems);
        }
        if let Some(word) = self.problems.take(env_var("METADATA_KEY_CASE")).flatten() {
            match word.parse::<KeyCase>() {
                Ok(key_case) => self.key_case = key_case,
                Err(error) => {
                    self.problems.push(ConfigError::new(error.to_string()).in_variable("METADATA_KEY_CASE"));
                }
            }
        }
        self
    }

    /// Reads a header that holds a JSON object. It must not be a header for [credentials](Self::allow_secret).
    pub fn json_header(mut self, name: HeaderName) -> Self {
        self.json_header = Some(name);
        self
    }

    /// Rejects requests whose JSON header is not a JSON object.
    ///
    /// Without this, only a diagnostic is recorded. A rejected request gets status 400, with the reason in the header
    /// `x-tagging-rejection`, as with [`Overflow::Reject`](crate::metadata::Overflow::Reject).
    pub fn strict_json(mut self) -> Self {
        self.strict_json = true;
        self
    }

    /// Reads all headers whose names start with a prefix, in any case.
    ///
    /// The rest of the name becomes the key. If the rest is `key`, `provider`, `provider-alias`, `client`, `trace-id`,
    /// `span-path`, or `span-name`, the header does not become a tag. Neither do headers that hold
    /// [secrets](Self::allow_secret).
    ///
    /// The prefix must be a valid beginning of a header name and must not be empty.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefixes.extend(self.problems.take(Prefix::new(prefix)));
        self
    }

    /// Sets the case of the keys of prefixed headers. The default is lowercase.
    pub fn key_case(mut self, key_case: KeyCase) -> Self {
        self.key_case = key_case;
        self
    }

    /// Reads the headers of a list: header names in any case, separated by commas.
    ///
    /// The key is the header name in lowercase. `name=key` renames it. If several headers have the same key, the first one
    /// on the list that the request has is used: `x-user=user, x-legacy-user=user`.
    ///
    /// Header names must be valid, keys must not be empty, and headers that hold secrets must be
    /// [allowed](Self::allow_secret).
    pub fn allow_list(mut self, list: &str) -> Self {
        self.allow_list.add(list, None, &mut self.problems);
        self
    }

    /// Allows a header that holds a secret, or whose name suggests it, to become a tag.
    ///
    /// Without this:
    ///
    /// - The [allow-list](Self::allow_list) must not contain headers for credentials of HTTP (`authorization`, `cookie`),
    ///   providers (`x-api-key`, `api-key`, `x-goog-api-key`, `ocp-apim-subscription-key`, `x-amz-security-token`), gateways
    ///   (`x-portkey-api-key`, `x-majordomo-key`, `helicone-auth`, `cf-aig-authorization`, `x-litellm-api-key`), and proxies
    ///   that authenticate users. Neither must it contain names with `secret`, `token`, `password`, `passwd`, `credential`,
    ///   `auth`, `api-key`, or `subscription-key`.
    /// - A header for credentials does not become a tag because of its [prefix](Self::prefix). Neither does a header whose
    ///   name ends with `api-key` or `subscription-key`. Other words do not matter, because they are part of a tag's key.
    /// - Values that are [marked sensitive](http::HeaderValue::is_sensitive) are ignored.
    ///
    /// Keys of tags in JSON or baggage are not checked.
    pub fn allow_secret(mut self, name: HeaderName) -> Self {
        self.secrets.push(name);
        self
    }

    /// Sets whether the W3C `baggage` header is read.
    pub fn baggage(mut self, read: bool) -> Self {
        self.baggage = read;
        self
    }

    /// Sets whether the field `user` of a request body fills the tag `_user`, if that is missing or empty.
    ///
    /// OpenAI's API has that field in JSON bodies, and in multipart forms. It is read by
    /// [`RequestBodyLayer`](crate::tagging::RequestBodyLayer), which is part of [`TaggingLayer`](crate::TaggingLayer).
    pub fn body_user(mut self, read: bool) -> Self {
        self.body_user = read;
        self
    }

    /// Returns `true` if the field `user` of a request body becomes a tag.
    pub(crate) fn reads_body_user(&self) -> bool {
        self.body_user
    }

    /// Checks the configuration. Building a layer performs the same check.
    ///
    /// # Errors
    ///
    /// Returns an error that lists all invalid prefixes, allow-list entries, and environment variables, and all headers on
    /// the allow-list that hold [secrets](Self::allow_secret).
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = self.problems.clone();
        for entry in self.allow_list.entries() {
            if let Some(secret) = Secret::of(&entry.name)
                && !self.secrets.contains(&entry.name)
            {
                problems.push(entry.secret_error(secret));
            }
        }
        if let Some(name) = &self.json_header
            && self.is_refused_credential(name)
        {
            problems.push(Secret::Credential.error(name));
        }
        problems.into_result()
    }

    /// Returns `true` if a header holds credentials and is not opted in.
    pub(super) fn is_refused_credential(&self, name: &HeaderName) -> bool {
        is_credential(name) && !self.secrets.contains(name)
    }

    /// Returns `true` if a request may be rejected because of its headers.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict_json && self.json_header.is_some()
    }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, COOKIE};

    use super::TagSources;

    #[test]
    fn reports_every_problem_at_once() {
        let sources = TagSources::new().allow_list("x y, cookie, x-ok, x-id=").prefix("").allow_list("authorization");
        let error = sources.check().unwrap_err().to_string();
        for expected in [
            r#"invalid allow-list entry "x y": expected a header name, optionally followed by "=key""#,
            r#"invalid allow-list entry "x-id=""#,
            r#"invalid header prefix """#,
            r#"header "cookie" holds a secret"#,
            r#"header "authorization" holds a secret"#,
        ] {
            assert!(error.contains(expected), "{expected} is missing in {error}");
        }
        assert!(!error.contains("x-ok"), "{error}");
    }

    #[test]
    fn allows_secrets_in_any_order() {
        let list = "cookie=session, authorization";
        assert!(TagSources::new().allow_list(list).allow_secret(COOKIE).allow_secret(AUTHORIZATION).check().is_ok());
        assert!(TagSources::new().allow_secret(COOKIE).allow_secret(AUTHORIZATION).allow_list(list).check().is_ok());
        assert!(TagSources::new().allow_secret(COOKIE).allow_list(list).check().is_err());
    }
}
