use std::borrow::Cow;

use crate::text::{MAX_NAME_CHARS, cut_name, truncated};

/// An amount of something other than tokens that a request used, such as rows, seconds, or bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    name: Cow<'static, str>,
    amount: f64,
}

impl Quantity {
    /// Creates a quantity.
    ///
    /// The name is truncated to 256 characters, and an amount that is not finite becomes 0.
    pub fn new(name: impl Into<Cow<'static, str>>, amount: f64) -> Self {
        let name = match name.into() {
            Cow::Borrowed(name) => Cow::Borrowed(truncated(name, MAX_NAME_CHARS)),
            Cow::Owned(name) => Cow::Owned(cut_name(name)),
        };
        Self { name, amount: if amount.is_finite() { amount } else { 0.0 } }
    }

    /// Returns the name of the counted thing.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the amount, which is always finite.
    pub fn amount(&self) -> f64 {
        self.amount
    }

    /// Adds to the amount, saturating at the largest finite number.
    pub(super) fn add(&mut self, amount: f64) {
        self.amount = (self.amount + amount).clamp(f64::MIN, f64::MAX);
    }
}
