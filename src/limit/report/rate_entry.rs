use std::sync::Arc;

#[cfg(feature = "dashboard")]
use super::super::{policies::unit_of, rules::LimitKind};
use super::{super::rules::LimitRule, LimitSource};

/// The names of the units of rates.
#[cfg(feature = "dashboard")]
const NAMES: &[(&str, &str)] =
    &[("rps", "second"), ("rpm", "minute"), ("rph", "hour"), ("rpd", "day"), ("rpw", "week")];

/// A rate limit, or a limit on requests that run at the same time.
#[derive(Clone, Debug)]
pub(crate) struct RateEntry {
    pub(crate) rule: Arc<LimitRule>,
    pub(crate) source: LimitSource,
    /// The requests that the rule rejected in the last 24 hours. `None` if they are not known.
    pub(crate) rejected: Option<u64>,
}

impl RateEntry {
    /// Returns the speed as text, such as `60 requests per minute`.
    #[cfg(feature = "dashboard")]
    pub(crate) fn speed(&self) -> String {
        match self.rule.kind() {
            LimitKind::Rate { amount, per, .. } => {
                let unit = unit_of(*per).and_then(|unit| NAMES.iter().find(|(name, _)| *name == unit));
                let per = unit.map_or_else(|| format!("{} s", per.as_secs_f64()), |(_, name)| (*name).to_owned());
                format!("{amount} per {per}")
            }
            LimitKind::Concurrency { requests } => format!("{requests} at the same time"),
            LimitKind::Budget { amount, .. } => amount.to_string(),
        }
    }
}
