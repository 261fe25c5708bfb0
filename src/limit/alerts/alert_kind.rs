use std::fmt;

use serde::{Deserialize, Serialize};

/// The event that an [`Alert`](super::Alert) reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertKind {
    /// A budget has been used up to a threshold.
    Limit,
    /// A budget is being used faster than it lasts.
    BurnRate,
    /// An hour cost much more than the same hour of earlier weeks.
    Anomaly,
    /// Fewer requests carry a tag than before.
    Coverage,
    /// A caller sends tags that it may not set.
    Spoofing,
    /// LLM calls have no known price.
    Unpriced,
    /// A sink dropped events.
    SinkLoss,
    /// A ledger differs from the stored requests.
    Drift,
}

impl AlertKind {
    /// Returns the name, such as `burn_rate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::BurnRate => "burn_rate",
            Self::Anomaly => "anomaly",
            Self::Coverage => "coverage",
            Self::Spoofing => "spoofing",
            Self::Unpriced => "unpriced",
            Self::SinkLoss => "sink_loss",
            Self::Drift => "drift",
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
