//! Cost lines of calls that a price line prices.

use crate::usage::{money::Money, signed_money::SignedMoney, unit::Unit};

use super::{
    cost_line::CostLine,
    cost_lines::rounded,
    price_line::{PriceLine, TokenCounts},
};

const FEMTOS_PER_NANO: i128 = 1_000_000;

/// Returns the cost of each kind of token. They add up to `total`. `None` if a part of the cost belongs to no kind.
pub(super) fn token_lines(line: &PriceLine, tokens: TokenCounts, total: Money) -> Option<Vec<CostLine>> {
    if line.has_fixed_cost() {
        return None;
    }
    let count = |unit| tokens.get(unit);
    let rate = |units: &[Unit]| units.iter().map(|unit| i128::from(line.rate(*unit))).sum::<i128>();
    let (read, write) = (count(Unit::CacheReadTokens), count(Unit::CacheWriteTokens));
    let (write_1h, write_5m) = (count(Unit::CacheWrite1hTokens), billed_count(line, tokens, Unit::CacheWrite5mTokens));
    let reasoning = billed_count(line, tokens, Unit::ReasoningTokens);
    let kinds: [(Unit, u64, &[Unit]); 7] = [
        (Unit::InputTokens, count(Unit::InputTokens).checked_sub(read.checked_add(write)?)?, &[Unit::InputTokens]),
        (Unit::OutputTokens, count(Unit::OutputTokens).checked_sub(reasoning)?, &[Unit::OutputTokens]),
        (Unit::CacheReadTokens, read, &[Unit::InputTokens, Unit::CacheReadTokens]),
        (
            Unit::CacheWriteTokens,
            write.checked_sub(write_1h.checked_add(write_5m)?)?,
            &[Unit::InputTokens, Unit::CacheWriteTokens],
        ),
        (Unit::CacheWrite1hTokens, write_1h, &[Unit::InputTokens, Unit::CacheWriteTokens, Unit::CacheWrite1hTokens]),
        (Unit::ReasoningTokens, reasoning, &[Unit::OutputTokens, Unit::ReasoningTokens]),
        (Unit::CacheWrite5mTokens, write_5m, &[Unit::InputTokens, Unit::CacheWriteTokens, Unit::CacheWrite5mTokens]),
    ];
    let lines = kinds.into_iter().filter(|(_, quantity, _)| *quantity > 0);
    let lines = lines.map(|(unit, quantity, units)| {
        let nanos = nanos(rate(units).checked_mul(i128::from(quantity))?);
        Some(CostLine::new(unit, quantity, Money::from_nano_usd(u64::try_from(nanos).ok()?)))
    });
    rounded(lines.collect::<Option<_>>()?, total)
}

/// Returns the count of a part that has its own rate. Without one, it is billed as a part of its whole.
fn billed_count(line: &PriceLine, tokens: TokenCounts, unit: Unit) -> u64 {
    if line.rate(unit) == 0 { 0 } else { tokens.get(unit) }
}

/// Returns what cache reads cost less than plain input, minus what cache writes cost more.
pub(super) fn cache_savings(line: &PriceLine, tokens: TokenCounts) -> Option<SignedMoney> {
    let surcharges = tokens.iter().filter(|(unit, _)| is_cache(*unit));
    let surcharges = surcharges.map(|(unit, count)| i128::from(line.rate(unit)) * i128::from(count));
    i64::try_from(nanos(-surcharges.sum::<i128>())).ok().map(SignedMoney::from_nano_usd)
}

/// Returns `true` for tokens that were read from a prompt cache or written to one, of any modality.
pub(super) fn is_cache(unit: Unit) -> bool {
    matches!(unit, Unit::CacheReadTokens | Unit::CacheWriteTokens | Unit::CacheWrite1hTokens | Unit::CacheWrite5mTokens)
}

fn nanos(femtos: i128) -> i128 {
    (femtos + FEMTOS_PER_NANO / 2).div_euclid(FEMTOS_PER_NANO)
}
