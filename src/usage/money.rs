use std::{fmt, iter::Sum, str::FromStr};

use serde::{Serialize, Serializer};

/// An amount of US dollars, held as whole nano-dollars (10⁻⁹).
///
/// ```
/// use tower_tagging::usage::Money;
///
/// let price: Money = "0.005615".parse()?;
/// assert_eq!(price.nano_usd(), 5_615_000);
/// assert_eq!((price + Money::from_nano_usd(160)).to_string(), "0.00561516");
/// # Ok::<(), tower_tagging::usage::ParseMoneyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    nano_usd: u64,
}

const NANOS: u64 = 1_000_000_000;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self { nano_usd: 0 };

    /// So many nano-dollars.
    pub const fn from_nano_usd(nano_usd: u64) -> Self {
        Self { nano_usd }
    }

    /// The nearest whole nano-dollar; `None` for what is negative, no number, or more than 18 billion dollars.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked, and what is lost lies below a nano-dollar"
    )]
    pub fn from_usd(usd: f64) -> Option<Self> {
        let nanos = (usd * NANOS as f64).round();
        (nanos >= 0.0 && nanos < u64::MAX as f64).then_some(Self { nano_usd: nanos as u64 })
    }

    /// Whole nano-dollars.
    pub const fn nano_usd(self) -> u64 {
        self.nano_usd
    }

    /// Dollars as a floating-point number: near, not exact.
    #[allow(clippy::cast_precision_loss, reason = "that is what it says")]
    pub fn usd(self) -> f64 {
        self.nano_usd as f64 / NANOS as f64
    }
}

impl std::ops::Add for Money {
    type Output = Self;

    /// Stops at the largest amount there is.
    fn add(self, other: Self) -> Self {
        Self { nano_usd: self.nano_usd.saturating_add(other.nano_usd) }
    }
}

impl std::ops::AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, |sum, amount| sum + amount)
    }
}

impl fmt::Display for Money {
    /// Dollars with as many decimals as there are, nine at most.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, nanos) = (self.nano_usd / NANOS, self.nano_usd % NANOS);
        let digits = format!("{nanos:09}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "{dollars}"),
            decimals => write!(f, "{dollars}.{decimals}"),
        }
    }
}

/// Text that is no amount of dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseMoneyError(String);

impl fmt::Display for ParseMoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no amount of dollars such as \"12.5\", with nine decimals at most", self.0)
    }
}

impl std::error::Error for ParseMoneyError {}

impl FromStr for Money {
    type Err = ParseMoneyError;

    /// Reads dollars such as `12` or `0.005615`, exactly.
    ///
    /// # Errors
    /// For anything else, and for more than nine decimals.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (dollars, decimals) = text.split_once('.').unwrap_or((text, "0"));
            let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if !is_digits(dollars) || !is_digits(decimals) || decimals.len() > 9 {
                return None;
            }
            let nanos: u64 = format!("{decimals:0<9}").parse().ok()?;
            let nano_usd = dollars.parse::<u64>().ok()?.checked_mul(NANOS)?.checked_add(nanos)?;
            Some(Self { nano_usd })
        };
        parsed().ok_or_else(|| ParseMoneyError(text.to_owned()))
    }
}

impl Serialize for Money {
    /// A number of dollars.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.usd())
    }
}
