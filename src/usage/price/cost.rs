use std::sync::Arc;

use crate::usage::{money::Money, signed_money::SignedMoney};

use super::{
    cost_line::CostLine,
    cost_lines::{add_up, merged},
};

/// The cost of usage, as a [`PriceBook`](super::PriceBook) returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// The whole cost.
    pub total: Money,
    /// The part of the cost that is due to input, if it is known.
    pub input: Option<Money>,
    /// The part of the cost that is due to output, if it is known.
    pub output: Option<Money>,
    /// The cost of each kind of usage, if it is known. The lines add up to the total.
    pub lines: Option<Vec<CostLine>>,
    /// What reads from a prompt cache saved compared with the price of plain input, minus what writes to it cost above that
    /// price.
    pub cache_savings: Option<SignedMoney>,
    /// The source of the price: a catalog with its version, `provider`, `cache`, or `custom`.
    pub source: Arc<str>,
}

/// Separates the sources of a sum.
const SOURCE_SEPARATOR: &str = " and ";

impl Cost {
    /// Creates a cost with the source `custom` and unknown parts.
    pub fn custom(total: Money) -> Self {
        Self { total, input: None, output: None, lines: None, cache_savings: None, source: "custom".into() }
    }

    /// Sets the parts of the cost that are due to input and output. The total stays as it is.
    #[must_use]
    pub fn parts(mut self, input: Money, output: Money) -> Self {
        (self.input, self.output) = (Some(input), Some(output));
        self
    }

    /// Sets the cost of each kind of usage. Lines that do not add up to the total, or name a unit twice, are ignored.
    ///
    /// ```
    /// use tower_tagging::usage::{Cost, CostLine, Money, Unit};
    ///
    /// let cent = Money::from_nano_usd(10_000_000);
    /// let cost = Cost::custom(cent).lines([CostLine::new(Unit::WebSearches, 1, cent)]);
    /// assert_eq!(cost.lines.unwrap().len(), 1);
    /// assert_eq!(Cost::custom(cent).lines([]).lines, None);
    /// ```
    #[must_use]
    pub fn lines(mut self, lines: impl IntoIterator<Item = CostLine>) -> Self {
        let lines: Vec<_> = lines.into_iter().collect();
        self.lines = Some(lines).filter(|lines| add_up(lines, self.total));
        self
    }

    /// Sets what the prompt cache saved.
    #[must_use]
    pub fn cache_savings(mut self, savings: SignedMoney) -> Self {
        self.cache_savings = Some(savings);
        self
    }

    /// Sets the source of the price.
    #[must_use]
    pub fn source(mut self, source: impl Into<Arc<str>>) -> Self {
        self.source = source.into();
        self
    }

    /// Adds another cost. A part of the sum is known if it is known of both.
    pub(in crate::usage) fn plus(self, other: &Self) -> Self {
        let sum = |one: Option<Money>, other: Option<Money>| Some(one? + other?);
        Self {
            total: self.total + other.total,
            input: sum(self.input, other.input),
            output: sum(self.output, other.output),
            lines: self.lines.zip(other.lines.as_deref()).map(|(lines, other)| merged(lines, other)),
            cache_savings: self.cache_savings.zip(other.cache_savings).map(|(one, other)| one + other),
            source: joined_sources(&[&self.source, &other.source]).unwrap_or_default(),
        }
    }
}

/// Joins the sources of several costs. Each source is named once.
pub(in crate::usage) fn joined_sources(sources: &[&Arc<str>]) -> Option<Arc<str>> {
    sources.iter().fold(None, |joined: Option<Arc<str>>, source| {
        Some(match joined {
            None => Arc::clone(source),
            Some(joined) => source.split(SOURCE_SEPARATOR).fold(joined, with_source),
        })
    })
}

fn with_source(sources: Arc<str>, source: &str) -> Arc<str> {
    if sources.split(SOURCE_SEPARATOR).any(|other| other == source) {
        sources
    } else {
        format!("{sources}{SOURCE_SEPARATOR}{source}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Cost, Money, joined_sources};

    #[test]
    fn names_each_source_once() {
        let sources = ["a", "b and a", "c"].map(Arc::<str>::from);
        assert_eq!(joined_sources(&sources.each_ref()).as_deref(), Some("a and b and c"));
        assert_eq!(joined_sources(&[]), None);
    }

    #[test]
    fn knows_a_part_of_a_sum_only_if_both_costs_know_it() {
        let nanos = Money::from_nano_usd;
        let whole = Cost { output: None, ..Cost::custom(nanos(5)).parts(nanos(2), nanos(3)) };
        let sum = whole.plus(&Cost::custom(nanos(5)).parts(nanos(2), nanos(3)).source("provider"));
        assert_eq!((sum.total, sum.input, sum.output), (nanos(10), Some(nanos(4)), None));
        assert_eq!(&*sum.source, "custom and provider");
    }
}
