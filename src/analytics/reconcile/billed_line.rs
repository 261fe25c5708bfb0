use serde::Serialize;

use crate::usage::SignedMoney;

use super::LineKey;

/// A line of a provider's report: an amount, a quantity, or both.
///
/// Lines with equal keys are added up, so a cost report and a usage report can be combined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BilledLine {
    /// The subject of the line.
    pub key: LineKey,
    /// The billed quantity. `None` if the report has amounts only.
    pub quantity: Option<u64>,
    /// The billed amount, negative for a credit. `None` if the report has quantities only.
    pub amount: Option<SignedMoney>,
    /// The name of the line in the report.
    pub description: Option<String>,
}

impl BilledLine {
    /// Creates a line without an amount and a quantity.
    pub fn new(key: LineKey) -> Self {
        Self { key, quantity: None, amount: None, description: None }
    }

    /// Sets the billed amount.
    #[must_use]
    pub fn amount(mut self, amount: SignedMoney) -> Self {
        self.amount = Some(amount);
        self
    }

    /// Sets the billed quantity.
    #[must_use]
    pub fn quantity(mut self, quantity: u64) -> Self {
        self.quantity = Some(quantity);
        self
    }

    /// Sets the name of the line.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds a line with the same key.
    pub(super) fn add(&mut self, other: Self) {
        self.quantity = sum(self.quantity, other.quantity, u64::saturating_add);
        self.amount = sum(self.amount, other.amount, |one, other| one + other);
        self.description = self.description.take().or(other.description);
    }
}

fn sum<T>(one: Option<T>, other: Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (one, other) => one.or(other),
    }
}
