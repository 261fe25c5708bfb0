//! Lists of cost lines that add up to a total.

use crate::usage::money::Money;

use super::cost_line::CostLine;

/// Returns `true` if the lines add up to the total, and no kind has two lines.
pub(in crate::usage) fn add_up(lines: &[CostLine], total: Money) -> bool {
    let sum = lines.iter().try_fold(0, |sum: u64, line| sum.checked_add(line.cost.nano_usd()));
    let is_repeated = |at: usize, line: &CostLine| lines.iter().take(at).any(|other| other.unit == line.unit);
    sum == Some(total.nano_usd()) && !lines.iter().enumerate().any(|(at, line)| is_repeated(at, line))
}

/// Moves rounding differences into the largest line, so that the lines add up to the total.
///
/// Returns `None` if the lines differ from the total by more than their rounding. Lines without a quantity are dropped.
pub(super) fn rounded(mut lines: Vec<CostLine>, total: Money) -> Option<Vec<CostLine>> {
    lines.retain(|line| line.quantity > 0);
    let sum = lines.iter().try_fold(0, |sum: u64, line| sum.checked_add(line.cost.nano_usd()))?;
    let difference = i64::try_from(i128::from(total.nano_usd()) - i128::from(sum)).ok()?;
    if difference == 0 {
        return Some(lines);
    }
    // Each line and each part of the total is rounded by at most half a nano-dollar.
    let largest = lines.iter_mut().max_by_key(|line| line.cost)?;
    largest.cost = Money::from_nano_usd(largest.cost.nano_usd().checked_add_signed(difference)?);
    (difference.unsigned_abs() <= lines.len() as u64 + 1).then_some(lines)
}

/// Adds the lines of two costs by kind.
pub(in crate::usage) fn merged(mut lines: Vec<CostLine>, other: &[CostLine]) -> Vec<CostLine> {
    for line in other {
        match lines.iter_mut().find(|known| known.unit == line.unit) {
            Some(known) => {
                known.quantity = known.quantity.saturating_add(line.quantity);
                known.cost += line.cost;
            }
            None => lines.push(*line),
        }
    }
    lines.sort_by_key(|line| line.unit);
    lines
}

#[cfg(test)]
mod tests {
    use crate::usage::{CostLine, Money, Unit};

    use super::{add_up, merged, rounded};

    fn line(unit: Unit, quantity: u64, nanos: u64) -> CostLine {
        CostLine::new(unit, quantity, Money::from_nano_usd(nanos))
    }

    #[test]
    fn rounding_differences_go_into_the_largest_line() {
        let lines = vec![line(Unit::InputTokens, 3, 10), line(Unit::OutputTokens, 1, 7), line(Unit::WebSearches, 0, 0)];
        let larger = rounded(lines.clone(), Money::from_nano_usd(18)).unwrap();
        assert_eq!(larger, [line(Unit::InputTokens, 3, 11), line(Unit::OutputTokens, 1, 7)]);
        let smaller = rounded(lines.clone(), Money::from_nano_usd(15)).unwrap();
        assert_eq!(smaller[0], line(Unit::InputTokens, 3, 8));
        assert_eq!(rounded(lines, Money::from_nano_usd(100)), None);
        assert_eq!(rounded(Vec::new(), Money::from_nano_usd(1)), None);
    }

    #[test]
    fn merges_lines_by_kind() {
        let one = vec![line(Unit::OutputTokens, 1, 7)];
        let sum = merged(one, &[line(Unit::InputTokens, 3, 10), line(Unit::OutputTokens, 2, 14)]);
        assert_eq!(sum, [line(Unit::InputTokens, 3, 10), line(Unit::OutputTokens, 3, 21)]);
        assert!(add_up(&sum, Money::from_nano_usd(31)) && !add_up(&sum, Money::from_nano_usd(30)));
        assert!(!add_up(&[sum[0], sum[0]], Money::from_nano_usd(20)));
    }
}
