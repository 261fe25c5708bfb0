//! Amounts of money in cents, as in Portkey's API.

/// The nano-dollars of a cent.
const NANOS_PER_CENT: f64 = 1e7;

/// Converts nano-dollars.
#[allow(clippy::cast_precision_loss, reason = "the API has amounts as JSON numbers")]
pub(super) fn cents(nanos: u64) -> f64 {
    nanos as f64 / NANOS_PER_CENT
}

/// Divides nano-dollars by a number of calls. `None` without calls.
#[allow(clippy::cast_precision_loss, reason = "averages are not exact")]
pub(super) fn cents_per(nanos: u64, calls: u64) -> Option<f64> {
    (calls > 0).then(|| cents(nanos) / calls as f64)
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
        assert_eq!((cents_per(3, 0), cents_per(20_000_000, 4)), (None, Some(0.5)));
    }
}
