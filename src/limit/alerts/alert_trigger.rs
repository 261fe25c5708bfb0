use std::{fmt, str::FromStr, sync::Arc};

use crate::ConfigError;

use super::alert_kind::AlertKind;

/// The condition under which an alert is raised. See the [table](super#triggers).
///
/// ```
/// use tower_tagging::limit::alerts::AlertTrigger;
///
/// assert_eq!("limit:team-monthly".parse(), Ok(AlertTrigger::limit("team-monthly")));
/// assert_eq!(AlertTrigger::coverage("team").to_string(), "coverage:team");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlertTrigger {
    /// `limit:NAME`: a budget has been used up to a threshold. `*` in the name matches any text.
    Limit(Arc<str>),
    /// `burn_rate`: a budget is being used faster than it lasts.
    BurnRate,
    /// `anomaly`: an hour cost much more than the same hour of earlier weeks.
    Anomaly,
    /// `coverage:KEY`: fewer requests carry this tag than before.
    Coverage(Arc<str>),
    /// `spoofing`: a caller sends tags that it may not set.
    Spoofing,
    /// `unpriced`: LLM calls have no known price.
    Unpriced,
    /// `sink_loss`: a sink dropped events.
    SinkLoss,
    /// `drift`: a ledger differs from the stored requests.
    Drift,
}

impl AlertTrigger {
    /// Returns the trigger for the thresholds of a budget, by the name of its rule. `*` matches any text.
    pub fn limit(name: &str) -> Self {
        Self::Limit(name.into())
    }

    /// Returns the trigger for the coverage of a tag.
    pub fn coverage(key: &str) -> Self {
        Self::Coverage(key.into())
    }

    /// Returns the kind of the alerts.
    pub fn kind(&self) -> AlertKind {
        match self {
            Self::Limit(_) => AlertKind::Limit,
            Self::BurnRate => AlertKind::BurnRate,
            Self::Anomaly => AlertKind::Anomaly,
            Self::Coverage(_) => AlertKind::Coverage,
            Self::Spoofing => AlertKind::Spoofing,
            Self::Unpriced => AlertKind::Unpriced,
            Self::SinkLoss => AlertKind::SinkLoss,
            Self::Drift => AlertKind::Drift,
        }
    }
}

impl FromStr for AlertTrigger {
    type Err = ConfigError;

    /// Parses the text of the setting `on`.
    ///
    /// # Errors
    ///
    /// Returns an error that lists the triggers.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let invalid = || {
            ConfigError::new(format!(
                "invalid trigger {text:?}: expected limit:NAME, burn_rate, anomaly, coverage:KEY, spoofing, unpriced, sink_loss, or drift"
            ))
        };
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) if !argument.is_empty() => (name, Some(argument)),
            Some(_) => return Err(invalid()),
            None => (text, None),
        };
        match (name, argument) {
            ("limit", Some(name)) => Ok(Self::limit(name)),
            ("coverage", Some(key)) => Ok(Self::coverage(key)),
            ("burn_rate", None) => Ok(Self::BurnRate),
            ("anomaly", None) => Ok(Self::Anomaly),
            ("spoofing", None) => Ok(Self::Spoofing),
            ("unpriced", None) => Ok(Self::Unpriced),
            ("sink_loss", None) => Ok(Self::SinkLoss),
            ("drift", None) => Ok(Self::Drift),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for AlertTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().as_str())?;
        match self {
            Self::Limit(argument) | Self::Coverage(argument) => write!(f, ":{argument}"),
            _ => Ok(()),
        }
    }
}
