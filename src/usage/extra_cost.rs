use std::borrow::Cow;

use super::{money::Money, quantity::Quantity};

/// A cost that code records in addition to LLM usage; see [`Tags::record_cost`](crate::Tags::record_cost).
///
/// ```
/// use tower_tagging::usage::{ExtraCost, Money};
///
/// let cost = ExtraCost::new(Money::from_nano_usd(1_500)).of("rows", 1_200.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExtraCost {
    /// The amount of money.
    pub money: Money,
    /// The thing that the money was spent on, and how much of it.
    pub quantity: Option<Quantity>,
}

impl ExtraCost {
    /// Creates a cost of this amount.
    pub fn new(money: Money) -> Self {
        Self { money, quantity: None }
    }

    /// Names what the money was spent on, and how much of it; see [`Quantity::new`] for the limits.
    #[must_use]
    pub fn of(mut self, quantity: impl Into<Cow<'static, str>>, amount: f64) -> Self {
        self.quantity = Some(Quantity::new(quantity, amount));
        self
    }
}
