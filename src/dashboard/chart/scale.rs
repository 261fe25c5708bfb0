use crate::{analytics::Amount, dashboard::format};

/// What the values of a chart are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Dollars.
    Money,
    Count,
    /// From 0 to 100.
    Percent,
    Millis,
    /// A number without a unit.
    Number,
}

impl Unit {
    /// Returns the unit of a value.
    pub(crate) const fn of(amount: Amount) -> Self {
        match amount {
            Amount::NanoUsd(_) => Self::Money,
            Amount::Count(_) => Self::Count,
            Amount::Percent(_) => Self::Percent,
            Amount::Millis(_) => Self::Millis,
            Amount::Number(_) | Amount::Time(_) => Self::Number,
        }
    }

    /// Formats a round value of an axis.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ticks are small and not negative")]
    fn tick(self, value: f64) -> String {
        match self {
            Self::Money if value == 0.0 => "$0".to_owned(),
            Self::Money if value >= 1.0 && value.fract() == 0.0 => format!("${}", format::decimal(value, 0)),
            Self::Money => format::money((value * 1e9).round() as i64),
            Self::Count => format::short_count(value.round() as u64),
            Self::Percent => format::percent(value),
            Self::Millis => format::millis(value),
            Self::Number => format::decimal(value, 3),
        }
    }
}

/// A vertical axis with round ticks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    top: f64,
    step: f64,
    unit: Unit,
}

impl Scale {
    /// The largest number of intervals between ticks.
    const INTERVALS: f64 = 5.0;

    /// Creates a scale from 0 to at least `max`.
    pub(crate) fn new(max: f64, unit: Unit) -> Self {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let rough = max / Self::INTERVALS;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * magnitude >= rough * (1.0 - 1e-9));
        let mut step = factor.unwrap_or(10.0) * magnitude;
        if unit == Unit::Count {
            step = step.max(1.0).ceil();
        }
        Self { top: (max / step - 1e-9).ceil().max(1.0) * step, step, unit }
    }

    /// Returns the share of the height of a value, from 0 to 1.
    pub(crate) fn share(&self, value: f64) -> f64 {
        (value / self.top).clamp(0.0, 1.0)
    }

    /// Returns the ticks: the share of the height, and the label.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let mut ticks = Vec::new();
        let mut value = 0.0;
        while value <= self.top + self.step / 2.0 {
            ticks.push((self.share(value), self.unit.tick(value)));
            value += self.step;
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::{Scale, Unit};

    fn labels(max: f64, unit: Unit) -> Vec<String> {
        Scale::new(max, unit).ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn has_round_ticks() {
        assert_eq!(labels(243.0, Unit::Money), ["$0", "$50", "$100", "$150", "$200", "$250"]);
        assert_eq!(labels(0.004, Unit::Money), ["$0", "$0.001", "$0.002", "$0.003", "$0.004"]);
        assert_eq!(labels(3.0, Unit::Count), ["0", "1", "2", "3"]);
        assert_eq!(labels(0.0, Unit::Count), ["0", "1"]);
        assert_eq!(labels(f64::NAN, Unit::Percent).len(), 6);
    }
}
