//! Cost lines of calls that no price line prices: those with searches, audio, or more tokens than were tested.
//!
//! The catalog prices the call again and again, each time without one more of its counts. The totals of input and output
//! stay the same, and with them the price tier. So each difference is what the count adds to the cost.

use crate::usage::{money::Money, signed_money::SignedMoney, unit::Unit, usage::Usage};

use super::{cost_line::CostLine, cost_lines::rounded, token_lines::is_cache};

/// The costs of input, of output, and of everything, in dollars.
type Dollars = [f64; 3];

/// A count that is part of a total, or that is billed on its own.
#[derive(Clone, Copy)]
struct Part {
    unit: Unit,
    count: u64,
    /// What the count adds to the cost, in dollars.
    surcharge: f64,
}

/// The lines of a call, and what its prompt cache saved.
pub(super) struct KindLines {
    pub(super) lines: Vec<CostLine>,
    pub(super) cache_savings: SignedMoney,
}

/// Derives the lines from the costs of the call and of calls with fewer counts, which `price` returns.
///
/// `factor` multiplies the cost of tokens. Returns `None` if a part of the cost belongs to no kind, or to several.
pub(super) fn kind_lines(
    usage: &Usage,
    costs: Dollars,
    factor: f64,
    total: Money,
    price: impl Fn(&Usage) -> Option<Dollars>,
) -> Option<KindLines> {
    let (parts, [input, output, whole]) = parts(usage, costs, price)?;
    if !is_zero(whole - input - output, whole) {
        return None;
    }
    let separate: Vec<Part> = parts.into_iter().filter(|part| is_separate(*part, whole)).collect();
    let has_modality = separate.iter().any(|part| is_modality(part.unit));
    if has_modality && separate.iter().any(|part| is_cache(part.unit)) {
        // Cached audio would be a part of both.
        return None;
    }
    let mut lines = Vec::with_capacity(separate.len() + 2);
    for (unit, dollars) in [(Unit::InputTokens, input), (Unit::OutputTokens, output)] {
        let count = usage.get(unit).unwrap_or(0);
        if count == 0 && !is_zero(dollars, dollars) {
            return None;
        }
        add_kinds(&mut lines, Part { unit, count, surcharge: dollars * factor }, 0.0, &separate, factor)?;
    }
    for part in separate.iter().filter(|part| !is_token(part.unit)) {
        lines.push(CostLine::new(part.unit, part.count, Money::from_usd(part.surcharge)?));
    }
    lines.sort_by_key(|line| line.unit);
    let savings: f64 = separate.iter().filter(|part| is_cache(part.unit)).map(|part| -part.surcharge * factor).sum();
    Some(KindLines { lines: rounded(lines, total)?, cache_savings: SignedMoney::from_usd(savings)? })
}

/// Adds the line of a unit without its parts, and the lines of its parts. `rate` is what a unit of its whole costs.
fn add_kinds(lines: &mut Vec<CostLine>, whole: Part, rate: f64, separate: &[Part], factor: f64) -> Option<()> {
    let rate = if whole.count > 0 { rate + whole.surcharge / float(whole.count) } else { rate };
    let mut own = whole.count;
    for part in separate.iter().filter(|part| parent(part.unit) == Some(whole.unit)) {
        own = own.checked_sub(part.count)?;
        add_kinds(lines, Part { surcharge: part.surcharge * factor, ..*part }, rate, separate, factor)?;
    }
    lines.push(CostLine::new(whole.unit, own, Money::from_usd((rate * float(own)).max(0.0))?));
    Some(())
}

/// Returns what each count adds to the cost, and the costs of the totals alone.
fn parts(usage: &Usage, costs: Dollars, price: impl Fn(&Usage) -> Option<Dollars>) -> Option<(Vec<Part>, Dollars)> {
    let (mut parts, mut rest, mut costs) = (Vec::new(), usage.clone(), costs);
    let mut counted: Vec<_> = usage.iter().filter(|(unit, count)| *count > 0 && !is_total(*unit)).collect();
    // Parts of parts have later units than the parts.
    while let Some((unit, count)) = counted.pop() {
        rest = rest.filtered(|other| other != unit);
        let without = price(&rest)?;
        let ([_, _, with], [_, _, total]) = (costs, without);
        parts.push(Part { unit, count, surcharge: with - total });
        costs = without;
    }
    Some((parts, costs))
}

/// Returns the unit that contains a part.
fn parent(unit: Unit) -> Option<Unit> {
    match unit {
        Unit::CacheWrite1hTokens | Unit::CacheWrite5mTokens => Some(Unit::CacheWriteTokens),
        Unit::ReasoningTokens
        | Unit::CitationTokens
        | Unit::OutputAudioTokens
        | Unit::OutputTextTokens
        | Unit::OutputImageTokens
        | Unit::OutputVideoTokens => Some(Unit::OutputTokens),
        Unit::CacheTextReadTokens
        | Unit::CacheAudioReadTokens
        | Unit::CacheImageReadTokens
        | Unit::CacheVideoReadTokens => Some(Unit::CacheReadTokens),
        unit if is_token(unit) && !is_total(unit) => Some(Unit::InputTokens),
        _ => None,
    }
}

fn is_total(unit: Unit) -> bool {
    matches!(unit, Unit::InputTokens | Unit::OutputTokens)
}

fn is_token(unit: Unit) -> bool {
    unit < Unit::WebSearches
}

/// Returns `true` for tokens of a modality, of a tool, or of citations, which may also be cached.
fn is_modality(unit: Unit) -> bool {
    is_token(unit) && !is_total(unit) && !is_cache(unit) && unit != Unit::ReasoningTokens
}

/// Returns `true` if the part has a line of its own: it has its own rate, or providers bill it as a kind of its own.
fn is_separate(part: Part, total: f64) -> bool {
    let is_kind = is_cache(part.unit) && part.unit != Unit::CacheWrite5mTokens;
    is_kind || !is_zero(part.surcharge, total)
}

/// Returns `true` for floating-point errors of a computation with these costs.
fn is_zero(dollars: f64, total: f64) -> bool {
    dollars.abs() <= 1e-13 + total.abs() * 1e-12
}

#[allow(clippy::cast_precision_loss, reason = "no request has 2^53 tokens")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{Dollars, Money, Unit, Usage, kind_lines};

    /// Prices input at $1, cache reads at 10 cents, audio at $4, output at $2 per million, and a search at a cent.
    fn price(usage: &Usage) -> Dollars {
        let count = |unit| super::float(usage.get(unit).unwrap_or(0));
        let [read, audio] = [Unit::CacheReadTokens, Unit::InputAudioTokens].map(count);
        let input = (count(Unit::InputTokens) - read - audio + read * 0.1 + audio * 4.0) / 1e6;
        let output = count(Unit::OutputTokens) * 2.0 / 1e6;
        [input, output, input + output + count(Unit::WebSearches) * 0.01]
    }

    /// Unit, quantity, and nano-dollars of a line.
    type Line = (Unit, u64, u64);

    /// Returns the lines and the savings.
    fn lines(usage: &Usage) -> Option<(Vec<Line>, i64)> {
        let costs = price(usage);
        let found = kind_lines(usage, costs, 1.0, Money::from_usd(costs[2]).unwrap(), |usage| Some(price(usage)))?;
        let lines = found.lines.iter().map(|line| (line.unit, line.quantity, line.cost.nano_usd())).collect();
        Some((lines, found.cache_savings.nano_usd()))
    }

    #[test]
    fn splits_the_cost_by_disjoint_kinds() {
        let usage = Usage::tokens(1_000, 100).with(Unit::CacheReadTokens, 600).with(Unit::ReasoningTokens, 50);
        let expected = vec![
            (Unit::InputTokens, 400, 400_000),
            (Unit::OutputTokens, 100, 200_000),
            (Unit::CacheReadTokens, 600, 60_000),
            (Unit::WebSearches, 2, 20_000_000),
        ];
        assert_eq!(lines(&usage.with(Unit::WebSearches, 2)), Some((expected, 540_000)));
        let audio = Usage::tokens(1_000, 0).with(Unit::InputAudioTokens, 300).with(Unit::InputTextTokens, 700);
        let expected = vec![(Unit::InputTokens, 700, 700_000), (Unit::InputAudioTokens, 300, 1_200_000)];
        assert_eq!(lines(&audio), Some((expected, 0)));
    }

    #[test]
    fn has_no_lines_if_kinds_overlap_or_a_part_has_no_kind() {
        let usage = Usage::tokens(1_000, 0).with(Unit::InputAudioTokens, 300).with(Unit::CacheReadTokens, 300);
        assert_eq!(lines(&usage), None);
        let costs = |usage: &Usage| price(usage).map(|cost| cost + 0.5);
        let usage = Usage::tokens(1_000, 0);
        assert!(
            kind_lines(&usage, costs(&usage), 1.0, Money::from_usd(costs(&usage)[2]).unwrap(), |usage| Some(costs(
                usage
            )))
            .is_none()
        );
    }

    #[test]
    fn multiplies_tokens_only() {
        let usage = Usage::tokens(1_000, 0).with(Unit::WebSearches, 1);
        let total = Money::from_nano_usd(1_000_000 * 6 + 10_000_000);
        let found = kind_lines(&usage, price(&usage), 6.0, total, |usage| Some(price(usage))).unwrap();
        let costs: Vec<_> = found.lines.iter().map(|line| line.cost.nano_usd()).collect();
        assert_eq!(costs, [6_000_000, 10_000_000]);
    }
}
