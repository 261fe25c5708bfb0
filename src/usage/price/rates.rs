use crate::usage::{money::Money, signed_money::SignedMoney, unit::Unit, usage::Usage};

use super::{cost::Cost, cost_line::CostLine, cost_lines::rounded};

/// Negotiated rates of a model, in US dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// Rate of input tokens that were neither read from a cache nor written to one.
    pub input: Money,
    /// Rate of output tokens.
    pub output: Money,
    /// Rate of cache reads. `None` means the rate of input.
    pub cache_read: Option<Money>,
    /// Rate of cache writes. `None` means the rate of input.
    pub cache_write: Option<Money>,
}

const TOKENS_PER_RATE: u128 = 1_000_000;

impl Rates {
    /// Creates rates of input and output, per million tokens.
    pub fn per_million(input: Money, output: Money) -> Self {
        Self { input, output, cache_read: None, cache_write: None }
    }

    /// Sets the rates of cache reads and writes, per million tokens.
    #[must_use]
    pub fn cache(mut self, read: Money, write: Money) -> Self {
        (self.cache_read, self.cache_write) = (Some(read), Some(write));
        self
    }

    /// Returns the cost of usage, rounded to the nearest nano-dollar.
    pub(super) fn price(&self, usage: &Usage) -> Cost {
        let count = |unit| u128::from(usage.get(unit).unwrap_or(0));
        let (read, write) = (count(Unit::CacheReadTokens), count(Unit::CacheWriteTokens));
        let uncached = count(Unit::InputTokens).saturating_sub(read + write);
        let input = cost(&[
            (uncached, self.input),
            (read, self.cache_read.unwrap_or(self.input)),
            (write, self.cache_write.unwrap_or(self.input)),
        ]);
        let output = cost(&[(count(Unit::OutputTokens), self.output)]);
        let total = input + output;
        let line = |unit, count: u128, rate| {
            CostLine::new(unit, u64::try_from(count).unwrap_or(u64::MAX), cost(&[(count, rate)]))
        };
        let lines = vec![
            line(Unit::InputTokens, uncached, self.input),
            line(Unit::OutputTokens, count(Unit::OutputTokens), self.output),
            line(Unit::CacheReadTokens, read, self.cache_read.unwrap_or(self.input)),
            line(Unit::CacheWriteTokens, write, self.cache_write.unwrap_or(self.input)),
        ];
        let plain = cost(&[(read.saturating_add(write), self.input)]);
        let cached =
            cost(&[(read, self.cache_read.unwrap_or(self.input)), (write, self.cache_write.unwrap_or(self.input))]);
        let cost = Cost::custom(total).parts(input, output).cache_savings(SignedMoney::between(plain, cached));
        Cost { lines: rounded(lines, total), ..cost }
    }
}

fn cost(items: &[(u128, Money)]) -> Money {
    let products = items.iter().map(|(tokens, rate)| tokens.saturating_mul(u128::from(rate.nano_usd())));
    let sum = products.fold(TOKENS_PER_RATE / 2, u128::saturating_add);
    Money::from_nano_usd(u64::try_from(sum / TOKENS_PER_RATE).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Money, Rates, Unit, Usage};

    #[test]
    fn rounds_to_the_nearest_nano_dollar_and_saturates() {
        let rates = Rates::per_million(Money::from_nano_usd(500_000), Money::MAX);
        let cost = rates.price(&Usage::tokens(3, u64::MAX));
        assert_eq!((cost.input, cost.output), (Some(Money::from_nano_usd(2)), Some(Money::MAX)));
        assert_eq!(cost.total, Money::MAX);
    }

    #[test]
    fn prices_cached_tokens_that_exceed_the_input() {
        let rates = Rates::per_million(Money::from_nano_usd(1_000_000), Money::ZERO);
        let usage = Usage::tokens(10, 0).with(Unit::CacheReadTokens, 20);
        assert_eq!(rates.price(&usage).total, Money::from_nano_usd(20));
    }
}
