use std::{fmt, iter::Sum, ops, str::FromStr};

use serde::{Serialize, Serializer};

use super::parse_money_error::ParseMoneyError;

/// An amount of US dollars, held as a whole number of nano-dollars (10⁻⁹ dollars).
///
/// Sums are exact, unlike sums of floating-point dollars. The largest amount is 2⁶⁴ − 1 nano-dollars, about 18.4 billion
/// dollars. Amounts are never negative.
///
/// Additions saturate: a sum that exceeds [`Money::MAX`] becomes [`Money::MAX`] instead of overflowing.
///
/// ```
/// use tower_tagging::usage::Money;
///
/// let price: Money = "0.005615".parse()?;
/// assert_eq!(price.nano_usd(), 5_615_000);
/// assert_eq!((price + Money::from_nano_usd(160)).to_string(), "0.00561516");
/// assert_eq!(Money::MAX + price, Money::MAX);
/// # Ok::<(), tower_tagging::usage::ParseMoneyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    nano_usd: u64,
}

const NANOS_PER_DOLLAR: u64 = 1_000_000_000;

/// Decimals of a dollar that a whole number of nano-dollars can hold.
const MAX_DECIMALS: usize = 9;

impl Money {
    /// Zero dollars.
    pub const ZERO: Self = Self { nano_usd: 0 };

    /// The largest amount, at which additions saturate.
    pub const MAX: Self = Self { nano_usd: u64::MAX };

    /// Creates an amount from nano-dollars.
    pub const fn from_nano_usd(nano_usd: u64) -> Self {
        Self { nano_usd }
    }

    /// Converts dollars, rounded to the nearest nano-dollar.
    ///
    /// Returns `None` if the number is negative, not a number, or too large for [`Money`].
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked, and the loss is below a nano-dollar"
    )]
    pub fn from_usd(usd: f64) -> Option<Self> {
        let nanos = (usd * NANOS_PER_DOLLAR as f64).round();
        (nanos >= 0.0 && nanos < u64::MAX as f64).then_some(Self { nano_usd: nanos as u64 })
    }

    /// Returns the amount in nano-dollars.
    pub const fn nano_usd(self) -> u64 {
        self.nano_usd
    }

    /// Returns the amount in dollars, as the nearest floating-point number.
    ///
    /// The result is approximate. Use [`nano_usd`](Self::nano_usd) for sums and comparisons.
    #[allow(clippy::cast_precision_loss, reason = "the result is documented as approximate")]
    pub fn usd(self) -> f64 {
        self.nano_usd as f64 / NANOS_PER_DOLLAR as f64
    }
}

impl ops::Add for Money {
    type Output = Self;

    /// Adds two amounts, saturating at [`Money::MAX`].
    fn add(self, other: Self) -> Self {
        Self { nano_usd: self.nano_usd.saturating_add(other.nano_usd) }
    }
}

impl ops::AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, ops::Add::add)
    }
}

impl fmt::Display for Money {
    /// Writes dollars with as many decimals as needed, at most nine. A precision, as in `{:.9}`, sets the least number of
    /// decimals, and never rounds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, nanos) = (self.nano_usd / NANOS_PER_DOLLAR, self.nano_usd % NANOS_PER_DOLLAR);
        let digits = format!("{nanos:0MAX_DECIMALS$}");
        let needed = digits.trim_end_matches('0').len();
        let decimals = f.precision().unwrap_or(0).clamp(needed, MAX_DECIMALS);
        match digits.get(..decimals) {
            None | Some("") => write!(f, "{dollars}"),
            Some(decimals) => write!(f, "{dollars}.{decimals}"),
        }
    }
}

impl FromStr for Money {
    type Err = ParseMoneyError;

    /// Parses dollars such as `12` or `0.005615` exactly.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a decimal number, has a sign or more than nine decimals, or exceeds
    /// [`Money::MAX`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_nanos(text).map(Self::from_nano_usd).ok_or_else(|| ParseMoneyError::new(text))
    }
}

fn parse_nanos(text: &str) -> Option<u64> {
    let (dollars, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(dollars) || !is_digits(decimals) || decimals.len() > MAX_DECIMALS {
        return None;
    }
    let nanos: u64 = format!("{decimals:0<MAX_DECIMALS$}").parse().ok()?;
    dollars.parse::<u64>().ok()?.checked_mul(NANOS_PER_DOLLAR)?.checked_add(nanos)
}

impl Serialize for Money {
    /// Serializes the amount as a number of dollars.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.usd())
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn parses_what_it_displays() {
        for text in ["0", "12", "0.005615", "0.000000001", "18446744073.709551615"] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), text);
        }
        assert_eq!("12.50".parse::<Money>().unwrap().to_string(), "12.5");
    }

    #[test]
    fn a_precision_adds_decimals_and_never_rounds() {
        let amount: Money = "12.5".parse().unwrap();
        assert_eq!([format!("{amount:.0}"), format!("{amount:.2}")], ["12.5", "12.50"]);
        assert_eq!([format!("{amount:.9}"), format!("{amount:.20}")], ["12.500000000"; 2]);
        assert_eq!(format!("{:.1}", Money::ZERO), "0.0");
    }

    #[test]
    fn rejects_text_that_is_not_an_exact_amount() {
        for text in ["", ".", ".5", "5.", "-1", "+1", "1e3", " 1", "1_000", "0.0000000001", "18446744073.709551616"] {
            let error = text.parse::<Money>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid amount {text:?}: expected US dollars")), "{error}");
        }
    }

    #[test]
    fn converts_only_dollars_in_range() {
        assert_eq!(Money::from_usd(0.000_000_001_4), Some(Money::from_nano_usd(1)));
        assert_eq!(Money::from_usd(0.000_000_001_5), Some(Money::from_nano_usd(2)));
        assert_eq!(Money::from_usd(-0.0), Some(Money::ZERO));
        for usd in [-0.1, f64::NAN, f64::INFINITY, 1e11] {
            assert_eq!(Money::from_usd(usd), None, "{usd}");
        }
    }

    #[test]
    fn sums_saturate() {
        assert_eq!(Money::MAX + Money::from_nano_usd(1), Money::MAX);
        let amounts = [Money::from_nano_usd(1), Money::MAX, Money::from_nano_usd(2)];
        assert_eq!(amounts.into_iter().sum::<Money>(), Money::MAX);
        assert_eq!([Money::from_nano_usd(1); 3].into_iter().sum::<Money>(), Money::from_nano_usd(3));
    }
}
