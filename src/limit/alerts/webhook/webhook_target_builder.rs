use std::{net::IpAddr, time::Duration};

use http::{Uri, uri::Scheme};
use sha2::{Digest, Sha256};

use crate::{ConfigError, config_error::ConfigProblems, limit::alerts::value_hash::hex};

use super::{
    addresses::is_public, checked_resolver::refusal, signing_secret::SigningSecret, webhook_shape::WebhookShape,
    webhook_target::WebhookTarget,
};

/// Builds a [`WebhookTarget`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct WebhookTargetBuilder {
    url: String,
    name: Option<String>,
    shape: WebhookShape,
    secrets: Vec<SigningSecret>,
    timeout: Duration,
    allow_private: bool,
    problems: ConfigProblems,
}

impl WebhookTarget {
    /// Returns a builder.
    pub fn builder(url: impl Into<String>) -> WebhookTargetBuilder {
        WebhookTargetBuilder::new(url.into())
    }
}

impl WebhookTargetBuilder {
    fn new(url: String) -> Self {
        Self {
            url,
            name: None,
            shape: WebhookShape::default(),
            secrets: Vec::new(),
            timeout: Duration::from_secs(10),
            allow_private: false,
            problems: ConfigProblems::default(),
        }
    }

    /// Adds a secret that signs requests: `whsec_` and base64, or any other text, whose bytes are the key.
    ///
    /// Required, except for [`WebhookShape::Slack`], whose URL is the secret. With two secrets, each request has two
    /// signatures, so that a receiver can change its secret without losing alerts.
    pub fn secret(mut self, secret: &str) -> Self {
        let parsed = self.problems.take(SigningSecret::parse(secret));
        self.secrets.extend(parsed);
        self
    }

    /// Sets the format of the body. The default is [`WebhookShape::Plain`].
    pub fn shape(mut self, shape: WebhookShape) -> Self {
        self.shape = shape;
        self
    }

    /// Sets the [name](crate::limit::alerts::AlertTarget::name) of the target. The default is
    /// `webhook:` and a hash of the URL and the format.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the time that a request may take, from resolving the name to the head of the response. The default is 10 seconds,
    /// and the maximum is 25.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() || timeout > Duration::from_secs(25) {
            self.problems.push(ConfigError::new(format!(
                "invalid timeout {timeout:?} of a webhook: expected more than zero and at most 25s"
            )));
        }
        self.timeout = timeout;
        self
    }

    /// Allows private, loopback, link-local, and other addresses that are not public. They are refused by default.
    pub fn allow_private_addresses(mut self, allow: bool) -> Self {
        self.allow_private = allow;
        self
    }

    /// Builds the target.
    ///
    /// # Errors
    ///
    /// Returns every problem: an invalid URL or secret, a missing secret, a private address that is not allowed, or
    /// certificates of authorities that cannot be loaded.
    pub fn build(mut self) -> Result<WebhookTarget, ConfigError> {
        let url = self.problems.take(checked_url(&self.url, self.allow_private));
        if self.secrets.is_empty() && self.shape == WebhookShape::Plain && self.problems.clone().into_result().is_ok() {
            self.problems
                .push(ConfigError::new("missing secret of a webhook: receivers verify requests by its signature"));
        }
        self.problems.into_result()?;
        let url = url.ok_or_else(|| ConfigError::new("missing URL of a webhook"))?;
        let name = self.name.unwrap_or_else(|| {
            format!("webhook:{}", hex(Sha256::digest(format!("{} {:?}", self.url, self.shape)).iter().take(8)))
        });
        WebhookTarget::with(name, url, self.shape, self.secrets, self.timeout, self.allow_private)
    }
}

/// Parses a URL. Errors do not contain it, because it may be a secret.
fn checked_url(text: &str, allow_private: bool) -> Result<Uri, ConfigError> {
    let invalid = |problem: &str| Err(ConfigError::new(format!("invalid URL of a webhook: {problem}")));
    let Ok(url) = text.trim().parse::<Uri>() else {
        return invalid("expected a URL such as https://hooks.example/llm");
    };
    if !url.scheme().is_some_and(|scheme| *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP) {
        return invalid("expected https:// or http://");
    }
    if url.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return invalid("expected a host without a user name or password");
    }
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    // The connector does not resolve addresses, so they are checked here.
    match host.parse::<IpAddr>() {
        Ok(address) if !allow_private && !is_public(address) => invalid(refusal()),
        _ if host.is_empty() => invalid("expected a host"),
        _ => Ok(url),
    }
}

impl std::fmt::Debug for WebhookTargetBuilder {
    /// Writes neither the URL nor secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookTargetBuilder")
            .field("name", &self.name)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
