use std::str::FromStr;

use crate::ConfigError;

/// The format of the body of a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WebhookShape {
    /// `{"type": "alert.limit", "timestamp": "…", "data": {…}}`, as the Standard Webhooks specification recommends. `data` is
    /// the [`Alert`](crate::limit::alerts::Alert).
    #[default]
    Plain,
    /// `{"text": "…", "blocks": […]}`, for [incoming webhooks](https://api.slack.com/messaging/webhooks) of Slack, and of
    /// others that accept the same format.
    Slack,
}

impl FromStr for WebhookShape {
    type Err = ConfigError;

    /// Parses the setting `shape`.
    ///
    /// # Errors
    ///
    /// Returns an error unless the text is `plain` or `slack`.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "plain" => Ok(Self::Plain),
            "slack" => Ok(Self::Slack),
            other => Err(ConfigError::new(format!("invalid shape {other:?}: expected plain or slack"))),
        }
    }
}
