use jiff::civil::Date;
use serde::{Serialize, Serializer};

use crate::usage::Unit;

use super::tier::billed_tier;

/// The subject of a line: day, provider, model, kind of usage, and service tier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct LineKey {
    /// The UTC day.
    pub day: Date,
    /// The provider, by its id in the price catalog.
    pub provider: String,
    /// The model. `None` for all models, and for what is billed without one.
    pub model: Option<String>,
    /// The kind of usage, disjoint from other kinds. `None` for all kinds.
    #[serde(serialize_with = "unit_name")]
    pub unit: Option<Unit>,
    /// The service tier: `standard`, `batch`, `flex`, `priority`, or another name of the provider. `None` for all tiers.
    pub service_tier: Option<String>,
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn unit_name<S: Serializer>(unit: &Option<Unit>, serializer: S) -> Result<S::Ok, S::Error> {
    unit.map(Unit::as_str).serialize(serializer)
}

impl LineKey {
    /// Creates the key of all models, kinds, and tiers of a provider on a day.
    pub fn new(day: Date, provider: impl Into<String>) -> Self {
        Self { day, provider: provider.into(), model: None, unit: None, service_tier: None }
    }

    /// Sets the model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets the kind of usage.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Sets the service tier, by its name in a response or in a report.
    #[must_use]
    pub fn service_tier(mut self, tier: impl AsRef<str>) -> Self {
        self.service_tier = Some(billed_tier(tier.as_ref()).to_owned());
        self
    }

    /// Returns `true` if the other line is about the same, or about a part of it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.day == other.day
            && self.provider == other.provider
            && self.unit.is_none_or(|unit| other.unit == Some(unit))
            && (self.service_tier.is_none() || self.service_tier == other.service_tier)
            && self
                .model
                .as_deref()
                .is_none_or(|model| other.model.as_deref().is_some_and(|it| is_same_model(model, it)))
    }

    /// Returns `true` if the lines differ only by their service tiers.
    pub(super) fn is_on_other_tier(&self, other: &Self) -> bool {
        let is_other = self.service_tier.as_ref().zip(other.service_tier.as_ref()).is_some_and(|(one, two)| one != two);
        is_other && self.unit == other.unit && self.of_all_tiers().covers(other)
    }

    /// Returns the key without its service tier.
    pub(super) fn of_all_tiers(&self) -> Self {
        Self { service_tier: None, ..self.clone() }
    }

    /// The number of parts that are given. Keys with more of them are matched first.
    pub(super) fn precision(&self) -> u8 {
        let parts = [self.model.is_some(), self.unit.is_some(), self.service_tier.is_some()];
        parts.into_iter().fold(0, |sum, part| sum * 2 + u8::from(part))
    }
}

/// Returns `true` if the names differ at most by case and by the date of a version.
pub(super) fn is_same_model(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let Some((start, end)) = long.split_at_checked(short.len()) else { return false };
    let is_date = |text: &str| {
        text.strip_prefix(['-', '@'])
            .is_some_and(|date| date.len() >= 8 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
    };
    start.eq_ignore_ascii_case(short) && (end.is_empty() || is_date(end))
}

#[cfg(test)]
mod tests {
    use super::is_same_model;

    #[test]
    fn versions_of_a_model_are_the_same_model() {
        for (one, other) in [("gpt-4o", "GPT-4o"), ("gpt-4o-2024-08-06", "gpt-4o"), ("claude-x", "claude-x-20250514")] {
            assert!(is_same_model(one, other), "{one} {other}");
        }
        for (one, other) in [("gpt-4o", "gpt-4o-mini"), ("gpt-4", "gpt-4-0613"), ("a-2024-08-06", "a-2024-11-20")] {
            assert!(!is_same_model(one, other), "{one} {other}");
        }
    }
}
