use std::{fmt, path::PathBuf, time::Duration};

use crate::{ConfigError, registry::SecretSource, usage::Money};

use super::{
    alert_rule::AlertRule,
    alert_trigger::AlertTrigger,
    tracing_target::TracingTarget,
    webhook::{WebhookShape, WebhookTarget},
};

/// An entry of the list `[[alerts]]` of a configuration file.
///
/// `None` and an empty list of thresholds stand for the default of the trigger.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct AlertSettings {
    /// The condition under which alerts are raised: `on`.
    pub on: AlertTrigger,
    /// The properties with the patterns that a request must match, as in limits: `when`.
    pub when: Vec<(String, Vec<String>)>,
    /// The properties with the patterns that exempt a request: `exclude`.
    pub exclude: Vec<(String, Vec<String>)>,
    /// The thresholds, greater than zero: `thresholds`.
    pub thresholds: Vec<f64>,
    /// The length of the time that is watched: `window`.
    pub window: Option<Duration>,
    /// The time after an alert in which no further one about the same thing is raised: `cooldown`.
    pub cooldown: Option<Duration>,
    /// The cost below which an hour is never an anomaly: `minimum_cost`.
    pub minimum_cost: Option<Money>,
    /// The number of requests below which no share is computed: `minimum_requests`.
    pub minimum_requests: Option<u64>,
    /// The URL that receives the alerts: `webhook`. Without one, alerts are logged. The URL may be a secret. Alerts with the same
    /// URL and shape have the same secret and the same permission for private addresses.
    pub webhook: Option<String>,
    /// The format of the webhook: `shape`.
    pub shape: WebhookShape,
    /// The environment variable with the secret that signs the webhook: `secret_env`.
    pub secret_env: Option<String>,
    /// The file with the secret that signs the webhook: `secret_file`.
    pub secret_file: Option<PathBuf>,
    /// Discloses the values of tags: `allow_tag_values`.
    pub allow_tag_values: bool,
    /// Allows webhooks to private addresses: `allow_private_addresses`.
    pub allow_private_addresses: bool,
}

impl AlertSettings {
    /// Creates an entry with defaults.
    pub fn new(on: AlertTrigger) -> Self {
        Self {
            on,
            when: Vec::new(),
            exclude: Vec::new(),
            thresholds: Vec::new(),
            window: None,
            cooldown: None,
            minimum_cost: None,
            minimum_requests: None,
            webhook: None,
            shape: WebhookShape::default(),
            secret_env: None,
            secret_file: None,
            allow_tag_values: false,
            allow_private_addresses: false,
        }
    }

    /// Creates the rule. Its target is the webhook, whose secret is read now. Without a webhook, alerts are logged.
    ///
    /// # Errors
    ///
    /// Returns an error if the secret cannot be read, or as [`AlertRuleBuilder::build`](super::AlertRuleBuilder::build) and
    /// [`WebhookTargetBuilder::build`](super::WebhookTargetBuilder::build). It contains neither the URL nor the secret.
    pub fn to_rule(&self) -> Result<AlertRule, ConfigError> {
        let mut rule = AlertRule::on(self.on.clone()).allow_tag_values(self.allow_tag_values);
        for (property, patterns) in &self.when {
            rule = rule.when(property, patterns);
        }
        for (property, patterns) in &self.exclude {
            rule = rule.exclude(property, patterns);
        }
        if !self.thresholds.is_empty() {
            rule = rule.thresholds(self.thresholds.iter().copied());
        }
        if let Some(window) = self.window {
            rule = rule.window(window);
        }
        if let Some(cooldown) = self.cooldown {
            rule = rule.cooldown(cooldown);
        }
        if let Some(cost) = self.minimum_cost {
            rule = rule.minimum_cost(cost);
        }
        if let Some(requests) = self.minimum_requests {
            rule = rule.minimum_requests(requests);
        }
        match &self.webhook {
            Some(url) => rule.target(self.target(url)?).build(),
            None => rule.target(TracingTarget::new()).build(),
        }
    }

    fn target(&self, url: &str) -> Result<WebhookTarget, ConfigError> {
        let target =
            WebhookTarget::builder(url).shape(self.shape).allow_private_addresses(self.allow_private_addresses);
        let (name, source) = match (&self.secret_env, &self.secret_file) {
            (Some(variable), _) => ("secret_env", SecretSource::Env(variable.clone())),
            (None, Some(path)) => ("secret_file", SecretSource::File(path.clone())),
            (None, None) => return target.build(),
        };
        let secret = source.read().map_err(|message| ConfigError::new(format!("{name}: {message}")))?;
        target.secret(secret.expose()).build()
    }
}

impl fmt::Debug for AlertSettings {
    /// Writes no URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertSettings")
            .field("on", &self.on)
            .field("when", &self.when)
            .field("exclude", &self.exclude)
            .field("thresholds", &self.thresholds)
            .field("has_webhook", &self.webhook.is_some())
            .field("shape", &self.shape)
            .field("secret_env", &self.secret_env)
            .field("secret_file", &self.secret_file)
            .finish_non_exhaustive()
    }
}
