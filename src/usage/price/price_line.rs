use crate::usage::{unit::Unit, usage::Usage};

/// The units of calls that are priced by a line. They are those of most calls.
const UNITS: [Unit; 7] = [
    Unit::InputTokens,
    Unit::OutputTokens,
    Unit::CacheReadTokens,
    Unit::CacheWriteTokens,
    Unit::ReasoningTokens,
    Unit::CacheWrite1hTokens,
    Unit::CacheWrite5mTokens,
];
/// Quadrillionths of a dollar, in which rates are whole numbers: catalogs have prices per million tokens with up to nine
/// decimals.
const FEMTOS_PER_DOLLAR: f64 = 1e15;
const FEMTOS_PER_NANO: i128 = 1_000_000;
/// The input tokens of the calls that the rates are taken from, which are below all price tiers.
const SAMPLE_TOKENS: u64 = 1_000;
/// The numbers of input tokens up to which a line is tested, in ascending order. Price tiers start after round numbers.
const TESTED_TOKENS: [u64; 10] =
    [4, 32_000, 100_000, 128_000, 199_999, 256_000, 272_000, 512_000, 1_000_000, 1_000_000_000];

/// The counts of a call, in the order of [`UNITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenCounts {
    counts: [u64; UNITS.len()],
    /// A bit for each unit that is present. Catalogs price absent units by the units that contain them.
    present: u8,
}

impl TokenCounts {
    /// Returns the counts, or `None` if the call used anything else, or the parts are larger than the whole.
    pub(super) fn of(usage: &Usage) -> Option<Self> {
        let mut tokens = Self { counts: [0; UNITS.len()], present: 0 };
        for (unit, count) in usage.iter().filter(|(unit, count)| *count > 0 || is_total(*unit)) {
            let at = UNITS.iter().position(|other| *other == unit)?;
            *tokens.counts.get_mut(at)? = count;
            tokens.present |= 1 << at;
        }
        let [input, output, cache_read, cache_write, reasoning, write_1h, write_5m] = tokens.counts;
        let has_valid_parts = cache_read.checked_add(cache_write)? <= input && reasoning <= output;
        (has_valid_parts && write_1h.checked_add(write_5m)? <= cache_write).then_some(tokens)
    }

    /// Returns `true` for the units that are counted.
    pub(super) fn include(unit: Unit) -> bool {
        UNITS.contains(&unit)
    }

    /// Returns counts of the same units, with this number of input tokens. The parts leave room in their wholes.
    fn scaled(self, tokens: u64) -> Self {
        self.with_counts([tokens, tokens, tokens / 4, tokens / 2, tokens / 2, tokens / 16, tokens / 16])
    }

    fn with_counts(self, mut counts: [u64; UNITS.len()]) -> Self {
        for (at, count) in counts.iter_mut().enumerate() {
            *count *= u64::from(self.has(at));
        }
        Self { counts, ..self }
    }

    fn has(self, at: usize) -> bool {
        self.present & (1 << at) != 0
    }

    /// Returns the count of a unit. Zero if it is absent.
    pub(super) fn get(self, unit: Unit) -> u64 {
        UNITS.iter().zip(self.counts).find(|(other, _)| **other == unit).map_or(0, |(_, count)| count)
    }

    /// Returns a bit for each unit that is present.
    pub(super) fn present(self) -> u8 {
        self.present
    }

    /// Returns the units that are present, with their counts.
    pub(super) fn iter(self) -> impl Iterator<Item = (Unit, u64)> {
        UNITS.into_iter().zip(self.counts).enumerate().filter(move |(at, _)| self.has(*at)).map(|(_, entry)| entry)
    }
}

fn is_total(unit: Unit) -> bool {
    matches!(unit, Unit::InputTokens | Unit::OutputTokens)
}

/// The costs of input, of output, and of everything.
type Costs<T> = [T; 3];

/// The rates of a model for certain units, up to a number of input tokens.
///
/// A catalog is a program: prices may depend on anything. So a line is derived from the catalog's own answers, and tested
/// against further ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PriceLine {
    rates: Costs<[i64; UNITS.len()]>,
    /// The cost that does not depend on the counts.
    fixed: Costs<i64>,
    max_input_tokens: u64,
}

impl PriceLine {
    /// Derives the line for the units of `tokens` from the catalog's prices, in dollars. Returns `None` if the costs are not
    /// linear, or if a sample has no price.
    pub(super) fn derive(tokens: TokenCounts, price: impl Fn(TokenCounts) -> Option<Costs<f64>>) -> Option<Self> {
        const STEP: u8 = 200;
        let sample = tokens.scaled(SAMPLE_TOKENS);
        let base = price(sample)?;
        let mut rates = [[0; UNITS.len()]; 3];
        for at in (0..UNITS.len()).filter(|at| tokens.has(*at)) {
            let mut counts = sample.counts;
            *counts.get_mut(at)? += u64::from(STEP);
            let costs = price(sample.with_counts(counts))?;
            for ((rates, cost), base) in rates.iter_mut().zip(costs).zip(base) {
                *rates.get_mut(at)? = femtos((cost - base) / f64::from(STEP))?;
            }
        }
        let mut line = Self { rates, fixed: [0; 3], max_input_tokens: 0 };
        let variable = line.femtos(sample);
        for ((fixed, base), variable) in line.fixed.iter_mut().zip(base).zip(variable) {
            *fixed = i64::try_from(i128::from(femtos(base)?) - variable).ok()?;
        }
        let is_exact = |count: &u64| {
            let sample = tokens.scaled(*count);
            price(sample).is_some_and(|costs| line.femtos(sample).into_iter().zip(costs).all(is_close))
        };
        line.max_input_tokens = TESTED_TOKENS.into_iter().take_while(is_exact).last().filter(|count| *count > 4)?;
        Some(line)
    }

    /// Returns the costs in nano-dollars, rounded to the nearest. `None` if the counts are outside of the tested range.
    pub(super) fn nano_dollars(&self, tokens: TokenCounts) -> Option<Costs<u64>> {
        if tokens.counts.iter().any(|count| *count > self.max_input_tokens) {
            return None;
        }
        let [input, output, total] = self
            .femtos(tokens)
            .map(|femtos| u64::try_from((femtos + FEMTOS_PER_NANO / 2).div_euclid(FEMTOS_PER_NANO)).ok());
        Some([input?, output?, total?])
    }

    /// Returns what a further unit adds to the total, in quadrillionths of a dollar. Tokens that are also units of a whole
    /// add the rate of the whole too.
    pub(super) fn rate(&self, unit: Unit) -> i64 {
        let [_, _, total] = &self.rates;
        UNITS.iter().zip(total).find(|(other, _)| **other == unit).map_or(0, |(_, rate)| *rate)
    }

    /// Returns `true` if the cost has a part that does not depend on the counts.
    pub(super) fn has_fixed_cost(&self) -> bool {
        let [_, _, total] = self.fixed;
        i128::from(total.abs()) * 2 >= FEMTOS_PER_NANO
    }

    fn femtos(&self, tokens: TokenCounts) -> Costs<i128> {
        let mut costs = self.fixed.map(i128::from);
        for (cost, rates) in costs.iter_mut().zip(&self.rates) {
            *cost += rates
                .iter()
                .zip(tokens.counts)
                .map(|(rate, count)| i128::from(*rate) * i128::from(count))
                .sum::<i128>();
        }
        costs
    }
}

/// Converts dollars to a whole number of quadrillionths.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the range is checked")]
fn femtos(dollars: f64) -> Option<i64> {
    let femtos = (dollars * FEMTOS_PER_DOLLAR).round();
    (femtos.abs() < i64::MAX as f64).then_some(femtos as i64)
}

/// Returns `true` if the costs differ by no more than floating-point errors.
#[allow(clippy::cast_precision_loss, reason = "the tolerance is larger")]
fn is_close((femtos, dollars): (i128, f64)) -> bool {
    (femtos as f64 / FEMTOS_PER_DOLLAR - dollars).abs() <= 1e-13 + dollars.abs() * 1e-12
}

#[cfg(test)]
mod tests {
    use super::{Costs, PriceLine, TokenCounts, Unit, Usage};

    fn usage() -> Usage {
        Usage::tokens(5_000, 700).with(Unit::CacheReadTokens, 4_000).with(Unit::ReasoningTokens, 100)
    }

    fn costs(tokens: TokenCounts, rate: impl Fn(Unit) -> f64) -> Costs<f64> {
        let cost = |keep: fn(Unit) -> bool| -> f64 {
            #[allow(clippy::cast_precision_loss, reason = "the counts are small")]
            tokens.iter().filter(|(unit, _)| keep(*unit)).map(|(unit, count)| rate(unit) * count as f64).sum()
        };
        let is_output = |unit| matches!(unit, Unit::OutputTokens | Unit::ReasoningTokens);
        let (input, output) =
            (cost(|unit| !matches!(unit, Unit::OutputTokens | Unit::ReasoningTokens)), cost(is_output));
        [input, output, input + output + 0.01]
    }

    fn rate(unit: Unit) -> f64 {
        match unit {
            Unit::InputTokens => 0.000_002_5,
            Unit::CacheReadTokens => -0.000_001_25,
            Unit::OutputTokens => 0.000_01,
            _ => 0.0,
        }
    }

    #[test]
    fn prices_linear_costs_exactly() {
        let tokens = TokenCounts::of(&usage()).unwrap();
        let line = PriceLine::derive(tokens, |tokens| Some(costs(tokens, rate))).unwrap();
        assert_eq!(line.nano_dollars(tokens), Some([7_500_000, 7_000_000, 24_500_000]));
        let huge = TokenCounts::of(&Usage::tokens(1_000_000_001, 1)).unwrap();
        assert_eq!(line.nano_dollars(huge), None);
    }

    #[test]
    fn ends_before_a_price_tier() {
        let tokens = TokenCounts::of(&usage()).unwrap();
        for (tier, max_tokens) in [(200_000, 199_999), (150_000, 128_000), (32_000, 32_000)] {
            let price = |tokens: TokenCounts| {
                let factor = if tokens.counts[0] > tier { 2.0 } else { 1.0 };
                Some(costs(tokens, |unit| rate(unit) * factor))
            };
            assert_eq!(PriceLine::derive(tokens, price).unwrap().max_input_tokens, max_tokens);
        }
        let minimum = |tokens: TokenCounts| Some(costs(tokens, rate).map(|cost| cost.max(0.02)));
        assert_eq!(PriceLine::derive(tokens, minimum), None);
        assert_eq!(PriceLine::derive(tokens, |_| None), None);
    }

    #[test]
    fn accepts_tokens_that_add_up() {
        for usage in [Usage::tokens(0, 0), usage(), Usage::new().with(Unit::InputTokens, 3)] {
            assert!(TokenCounts::of(&usage).is_some(), "{usage:?}");
        }
        for usage in [
            usage().with(Unit::WebSearches, 1),
            usage().with(Unit::InputAudioTokens, 1),
            usage().with(Unit::CacheWriteTokens, 1_001),
            usage().with(Unit::ReasoningTokens, 701),
            Usage::new().with(Unit::CacheReadTokens, 1),
        ] {
            assert_eq!(TokenCounts::of(&usage), None, "{usage:?}");
        }
    }
}
