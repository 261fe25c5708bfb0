use std::collections::BTreeMap;

use serde::Serialize;

use crate::usage::SignedMoney;

use super::{BilledLine, DifferenceReason, OurLine};

/// A line of the bill, and the sum of our lines that it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MatchedLine {
    /// The provider's line.
    pub billed: BilledLine,
    /// The sum of our lines.
    pub ours: OurLine,
    /// Our cost minus the billed amount. `None` if the report has quantities only.
    pub difference: Option<SignedMoney>,
    /// The parts of the difference by reason, which add up to it.
    pub by_reason: BTreeMap<DifferenceReason, SignedMoney>,
}
