use std::{fmt, iter::Sum, ops};

use serde::{Serialize, Serializer};

use super::money::Money;

/// A difference of two amounts of US dollars, held as a whole number of nano-dollars (10⁻⁹ dollars).
///
/// Additions saturate at about ±9.2 billion dollars.
///
/// ```
/// use tower_tagging::usage::{Money, SignedMoney};
///
/// let difference = SignedMoney::between(Money::from_nano_usd(5), Money::from_nano_usd(7));
/// assert_eq!(difference.nano_usd(), -2);
/// assert_eq!(difference.to_string(), "-0.000000002");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedMoney {
    nano_usd: i64,
}

impl SignedMoney {
    /// Zero dollars.
    pub const ZERO: Self = Self { nano_usd: 0 };

    /// Creates an amount from nano-dollars.
    pub const fn from_nano_usd(nano_usd: i64) -> Self {
        Self { nano_usd }
    }

    /// Returns `amount - other`.
    pub fn between(amount: Money, other: Money) -> Self {
        let (amount, other) = (amount.nano_usd(), other.nano_usd());
        let difference = i64::try_from(amount.abs_diff(other)).unwrap_or(i64::MAX);
        Self { nano_usd: if amount < other { -difference } else { difference } }
    }

    /// Returns the amount in nano-dollars.
    pub const fn nano_usd(self) -> i64 {
        self.nano_usd
    }

    /// Returns the amount in dollars, as the nearest floating-point number.
    #[allow(clippy::cast_precision_loss, reason = "the result is documented as approximate")]
    pub fn usd(self) -> f64 {
        self.nano_usd as f64 / 1e9
    }

    /// Converts dollars, rounded to the nearest nano-dollar. `None` if the number is not a number or too large.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the range is checked")]
    pub fn from_usd(usd: f64) -> Option<Self> {
        let nanos = (usd * 1e9).round();
        (nanos.abs() < i64::MAX as f64).then_some(Self { nano_usd: nanos as i64 })
    }
}

impl ops::Add for SignedMoney {
    type Output = Self;

    /// Adds two amounts, saturating at the largest and the smallest one.
    fn add(self, other: Self) -> Self {
        Self { nano_usd: self.nano_usd.saturating_add(other.nano_usd) }
    }
}

impl ops::AddAssign for SignedMoney {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for SignedMoney {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, ops::Add::add)
    }
}

impl fmt::Display for SignedMoney {
    /// Writes dollars with as many decimals as needed, at most nine. A precision sets the least number of decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nano_usd < 0 { "-" } else { "" };
        f.write_str(sign)?;
        Money::from_nano_usd(self.nano_usd.unsigned_abs()).fmt(f)
    }
}

impl Serialize for SignedMoney {
    /// Serializes the amount as a number of dollars.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.usd())
    }
}

#[cfg(test)]
mod tests {
    use super::{Money, SignedMoney};

    #[test]
    fn differences_have_a_sign_and_saturate() {
        let between =
            |one, other| SignedMoney::between(Money::from_nano_usd(one), Money::from_nano_usd(other)).nano_usd;
        assert_eq!([between(7, 5), between(5, 7), between(5, 5)], [2, -2, 0]);
        assert_eq!([between(u64::MAX, 0), between(0, u64::MAX)], [i64::MAX, -i64::MAX]);
    }

    #[test]
    fn converts_dollars_with_a_sign() {
        assert_eq!(SignedMoney::from_usd(-1.5), Some(SignedMoney::from_nano_usd(-1_500_000_000)));
        assert_eq!(SignedMoney::from_usd(f64::NAN), None);
        assert_eq!(SignedMoney::from_nano_usd(-1_500_000_000).to_string(), "-1.5");
    }
}
