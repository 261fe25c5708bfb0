use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{alert_contributor::AlertContributor, alert_kind::AlertKind, alert_value::AlertValue};

/// A message to the operators of a service.
///
/// Serializes as the `data` of webhooks. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Alert {
    /// The identity of the alert, 64 hex digits. It is the same for all processes, attempts, and targets.
    ///
    /// It is the SHA-256 of the kind, the subject, the hashed group, the start of the period, and the threshold. Except for
    /// thresholds of limits, the conditions and the window of the rule are part of it, too.
    pub id: String,
    /// The event.
    pub kind: AlertKind,
    /// The name of the limit, the key of the tag, the name of the API key, or the name of the sink.
    pub subject: Option<String>,
    /// The group of the limit.
    pub group: Vec<AlertValue>,
    /// The threshold that was reached. Its meaning depends on the [kind](super#triggers). The amount at which a limit that was
    /// created through the API raises an alert is a share of the limit, too.
    pub threshold: f64,
    /// The value that reached the threshold, in `unit`.
    pub used: f64,
    /// The limit, or the usual value. `None` if nothing is limited or compared.
    pub limit: Option<f64>,
    /// The unit of `used` and `limit`: that of the limit, such as `USD`, or else `requests`, `share`, `tags`, or `events`.
    pub unit: String,
    /// The start of the time that the alert is about.
    pub from: Timestamp,
    /// The end of that time.
    pub to: Timestamp,
    /// The time at which the alert was raised.
    pub time: Timestamp,
    /// One line for people, such as `budget team-monthly: 80 % used (team=sha256:9d1e6cc1b2a8f0c4)`.
    pub title: String,
    /// Sentences for people.
    pub text: String,
    /// The values that contribute the most, at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<AlertContributor>,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}
