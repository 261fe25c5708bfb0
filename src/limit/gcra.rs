//! The arithmetic of rates: the generic cell rate algorithm (GCRA), in whole microseconds.
//!
//! A rate of an amount per time is a bucket that drains evenly. The ledger keeps the time at which the bucket is empty (`tat`,
//! the theoretical arrival time). A request moves it by an *increment*, and passes if it then is at most the *tolerance* after
//! now. `used` is the time from now to the `tat`, at least 0.
//!
//! If a unit takes at least a millisecond, its time is rounded up to a whole microsecond, and increments are multiples of it:
//! the burst is exact, however it is split into requests. For faster rates, each increment is rounded up. Both make a rate
//! slower than configured by at most a thousandth, or one microsecond per request.

use std::time::Duration;

/// The time of a unit, in microseconds, from which increments are multiples of it.
const COARSE: i128 = 1_000;
/// The longest time, in microseconds: about 73,000 years. Sums of a few of them do not overflow.
const LONGEST: i64 = i64::MAX / 4;

/// Returns the time that an amount moves the `tat`, in microseconds, rounded up.
///
/// An amount of more than the burst could never pass. Callers reduce it to the burst, so that it passes after a pause.
pub(crate) fn increment(amount: i64, rate: i64, per: Duration) -> i64 {
    let (amount, rate, per) = (i128::from(amount.max(0)), i128::from(rate.max(1)), micros(per));
    let time = if per >= COARSE * rate { amount * ceil(per, rate) } else { ceil(amount * per, rate) };
    i64::try_from(time).unwrap_or(LONGEST).min(LONGEST)
}

/// Returns the longest time from now to the `tat`, in microseconds: the increment of the burst.
pub(crate) fn tolerance(burst: i64, rate: i64, per: Duration) -> i64 {
    increment(burst, rate, per)
}

/// Returns the amount that passes now, at most the burst.
pub(crate) fn available(used: i64, burst: i64, rate: i64, per: Duration) -> i64 {
    let room = i128::from(tolerance(burst, rate, per).saturating_sub(used.max(0)).max(0));
    let (rate, per) = (i128::from(rate.max(1)), micros(per));
    let amount = if per >= COARSE * rate { room / ceil(per, rate) } else { room * rate / per };
    i64::try_from(amount).unwrap_or(i64::MAX).min(burst.max(0))
}

/// Returns the time until a request passes, in microseconds. 0 if it passes now.
pub(crate) fn wait(used: i64, increment: i64, tolerance: i64) -> i64 {
    used.saturating_add(increment).saturating_sub(tolerance).max(0)
}

/// Returns at least one microsecond, and at most what a product with an amount has room for.
fn micros(per: Duration) -> i128 {
    i128::from(i64::try_from(per.as_micros()).unwrap_or(i64::MAX).max(1))
}

/// Divides positive numbers, and rounds up.
fn ceil(number: i128, divisor: i128) -> i128 {
    (number + divisor - 1) / divisor
}
