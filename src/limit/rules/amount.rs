use std::{fmt, str::FromStr};

use crate::{ConfigError, registry::closest, time::saturated, usage::Money};

use super::limit_unit::LimitUnit;

/// Millionths of a quantity that the ledger counts.
const MILLIONTHS: f64 = 1e6;

/// An amount of a [`LimitUnit`]: `500 USD`, `1000000 tokens`, `1000 requests`, or `2.5 gpu_seconds`.
///
/// ```
/// use tower_tagging::{limit::Amount, usage::Money};
///
/// let amount: Amount = "500 USD".parse()?;
/// assert_eq!(amount, Amount::cost("500".parse::<Money>()?));
/// assert_eq!(Amount::tokens(1_000_000).to_string(), "1000000 tokens");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    pub(in crate::limit) unit: LimitUnit,
    /// In the units of the ledger: nano-dollars, tokens, requests, or millionths of a quantity.
    pub(in crate::limit) count: i64,
}

impl Amount {
    /// Creates an amount of money.
    pub fn cost(money: Money) -> Self {
        Self { unit: LimitUnit::Cost, count: saturated(money.nano_usd()) }
    }

    /// Creates a number of tokens.
    pub fn tokens(tokens: u64) -> Self {
        Self { unit: LimitUnit::Tokens, count: saturated(tokens) }
    }

    /// Creates a number of requests.
    pub fn requests(requests: u64) -> Self {
        Self { unit: LimitUnit::Requests, count: saturated(requests) }
    }

    /// Creates an amount of a recorded quantity. It is rounded to millionths, and to zero if it is negative or not a number.
    pub fn quantity(name: &str, amount: f64) -> Self {
        Self { unit: LimitUnit::Quantity(name.into()), count: millionths(amount) }
    }

    /// Creates an amount from the units of the ledger.
    pub(crate) fn of_count(unit: LimitUnit, count: i64) -> Self {
        Self { unit, count }
    }

    /// Returns the unit.
    pub fn unit(&self) -> &LimitUnit {
        &self.unit
    }

    /// Returns the number of units as the ledger counts them: nano-dollars, tokens, requests, or millionths of a quantity.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// Returns the amount as the nearest floating-point number of dollars, tokens, requests, or the quantity.
    #[allow(clippy::cast_precision_loss, reason = "the result is documented as approximate")]
    pub fn as_f64(&self) -> f64 {
        match self.unit {
            LimitUnit::Cost => self.count as f64 / 1e9,
            LimitUnit::Quantity(_) => self.count as f64 / MILLIONTHS,
            LimitUnit::Tokens | LimitUnit::Requests => self.count as f64,
        }
    }
}

/// Returns the millionths of a quantity.
#[allow(clippy::cast_possible_truncation, reason = "casts from floating-point numbers saturate")]
pub(crate) fn millionths(amount: f64) -> i64 {
    ((amount * MILLIONTHS).round() as i64).max(0)
}

/// Returns the unit that the name of a quantity probably means, because it is misspelled, or another currency.
fn meant(name: &str) -> Option<&'static str> {
    let is_currency = name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_currency || name.eq_ignore_ascii_case("usd") {
        return Some("USD");
    }
    closest(&name.to_lowercase(), ["tokens", "requests"])
}

impl FromStr for Amount {
    type Err = ConfigError;

    /// Parses a number and a unit, separated by spaces.
    ///
    /// # Errors
    ///
    /// Returns an error if the number is missing, negative, or too large, or if it has decimals that the unit does not have. So
    /// does a unit that is probably misspelled, such as `requsts`, or another currency.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let invalid = || {
            ConfigError::new(format!(
                "invalid amount {text:?}: expected a number and a unit, such as \"500 USD\", \"1000000 tokens\", or \"1000 requests\""
            ))
        };
        let (number, unit) = text.trim().split_once(' ').ok_or_else(invalid)?;
        let unit = unit.trim();
        if unit.is_empty() || unit.contains(char::is_whitespace) {
            return Err(invalid());
        }
        let amount = match LimitUnit::from_name(unit) {
            LimitUnit::Cost => Self::cost(number.parse().map_err(|_| invalid())?),
            LimitUnit::Quantity(name) => {
                if let Some(meant) = meant(&name) {
                    return Err(ConfigError::new(format!("unknown unit {unit:?}: did you mean {meant:?}?")));
                }
                let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
                if !name.chars().all(is_name) {
                    return Err(invalid());
                }
                let amount: f64 = number.parse().map_err(|_| invalid())?;
                if !amount.is_finite() || amount < 0.0 {
                    return Err(invalid());
                }
                Self::quantity(&name, amount)
            }
            unit => Self { unit, count: saturated(number.parse().map_err(|_| invalid())?) },
        };
        if amount.count == i64::MAX { Err(invalid()) } else { Ok(amount) }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            LimitUnit::Cost => {
                let sign = if self.count < 0 { "-" } else { "" };
                write!(f, "{sign}{} USD", Money::from_nano_usd(self.count.unsigned_abs()))
            }
            LimitUnit::Quantity(name) => write!(f, "{} {name}", self.as_f64()),
            unit => write!(f, "{} {unit}", self.count),
        }
    }
}
