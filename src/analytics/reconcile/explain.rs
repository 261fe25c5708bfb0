//! Splits the difference of a matched line by reason.

use std::collections::BTreeMap;

use crate::usage::{Money, SignedMoney};

use super::{BilledLine, DifferenceReason, OurLine};

/// Half of the last digit of reports, a hundredth of a cent, in nano-dollars.
const REPORT_ROUNDING: u64 = 50_000;

/// Returns our cost minus the billed amount.
pub(super) fn difference(cost: Money, billed: SignedMoney) -> SignedMoney {
    let cost = SignedMoney::between(cost, Money::ZERO);
    cost + SignedMoney::from_nano_usd(billed.nano_usd().saturating_neg())
}

/// Returns the parts of the difference by reason. They add up to it.
pub(super) fn explain(
    ours: &OurLine,
    billed: &BilledLine,
    amount: SignedMoney,
) -> BTreeMap<DifferenceReason, SignedMoney> {
    let difference = difference(ours.cost, amount).nano_usd();
    let mut parts = BTreeMap::new();
    let mut rest = difference;
    let mut take = |rest: &mut i64, reason, nanos: i64| {
        if nanos != 0 {
            parts.insert(reason, SignedMoney::from_nano_usd(nanos));
            *rest = rest.saturating_sub(nanos);
        }
    };
    // Each request is rounded to a nano-dollar.
    let is_rounding = |nanos: i64| nanos.unsigned_abs() <= ours.requests.saturating_add(REPORT_ROUNDING);
    let rate = billed.quantity.filter(|quantity| *quantity > 0).map(|quantity| (amount.nano_usd(), quantity));
    match rate {
        _ if ours.unpriced_requests == 0 && is_rounding(rest) => {}
        Some(rate) => {
            let unpriced = at_rate(rate, i128::from(ours.unpriced_quantity));
            take(&mut rest, DifferenceReason::UnpricedOnOurSide, unpriced.saturating_neg());
            let whole = i128::from(ours.quantity) + i128::from(ours.unpriced_quantity);
            take(&mut rest, DifferenceReason::Quantity, at_rate(rate, whole - i128::from(rate.1)));
        }
        None if ours.unpriced_requests > 0 => {
            let all = rest;
            take(&mut rest, DifferenceReason::UnpricedOnOurSide, all);
        }
        None => {
            let all = rest;
            take(&mut rest, DifferenceReason::QuantityOrPrice, all);
        }
    }
    let reason = if is_rounding(rest) { DifferenceReason::Rounding } else { DifferenceReason::Price };
    let all = rest;
    take(&mut rest, reason, all);
    parts
}

/// Returns the amount for a quantity at the billed rate, rounded toward zero.
fn at_rate((nanos, quantity): (i64, u64), of: i128) -> i64 {
    let product = i128::from(nanos).saturating_mul(of);
    i64::try_from(product / i128::from(quantity.max(1))).unwrap_or(0)
}
