//! Amounts of money in cents, as in Portkey's API.

use crate::store::Totals;

/// The nano-dollars of a cent.
const NANOS_PER_CENT: f64 = 1e7;

/// Converts nano-dollars.
#[allow(clippy::cast_precision_loss, reason = "the API has amounts as JSON numbers")]
pub(super) fn cents(nanos: u64) -> f64 {
    nanos as f64 / NANOS_PER_CENT
}

/// Returns the known cost. `None` if no cost of the LLM calls is known.
pub(super) fn known_cents(totals: &Totals) -> Option<f64> {
    totals.known_cost_nanos().map(cents)
}

/// Returns the known cost per LLM call whose cost is known. `None` without such calls.
#[allow(clippy::cast_precision_loss, reason = "averages are not exact")]
pub(super) fn average_cents(totals: &Totals) -> Option<f64> {
    let calls = known_calls(totals);
    (calls > 0).then(|| cents(totals.cost_nanos) / calls as f64)
}

fn known_calls(totals: &Totals) -> u64 {
    totals.priced.saturating_add(totals.partially_priced)
}

/// Returns the smallest whole number of nano-dollars that is not less than an amount in cents.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative amounts are 0, and `as` saturates"
)]
pub(super) fn nanos_from(cents: f64) -> u64 {
    whole(cents * NANOS_PER_CENT).ceil() as u64
}

/// Returns the largest whole number of nano-dollars that is not more than an amount in cents.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative amounts are 0, and `as` saturates"
)]
pub(super) fn nanos_up_to(cents: f64) -> u64 {
    whole(cents * NANOS_PER_CENT).floor() as u64
}

/// Removes the error of binary fractions: 0.07 cents are 700,000 nano-dollars.
fn whole(nanos: f64) -> f64 {
    let rounded = nanos.round();
    if (nanos - rounded).abs() < 1e-6 * rounded.abs().max(1.0) { rounded } else { nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_both_ways_without_losing_a_nano_dollar() {
        for nanos in [0, 1, 7, 99, 700_000, 12_345_678, 10_000_000, 999_999_999_999] {
            assert_eq!((nanos_from(cents(nanos)), nanos_up_to(cents(nanos))), (nanos, nanos), "{nanos}");
        }
        assert_eq!((nanos_from(0.07), nanos_up_to(0.07)), (700_000, 700_000));
        assert_eq!((nanos_from(0.000_000_15), nanos_up_to(0.000_000_15)), (2, 1));
        assert_eq!(nanos_up_to(-1.0), 0);
    }
}
