use std::collections::BTreeMap;

use serde::Serialize;

use crate::usage::{Money, SignedMoney};

use super::{BilledLine, DifferenceReason, MatchedLine, OurLine};

/// Our lines and the provider's lines, compared; see [`reconcile`](super::reconcile).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reconciliation {
    /// Lines that both sides have.
    pub matched: Vec<MatchedLine>,
    /// Lines of the bill that we have no requests for.
    pub missing_on_our_side: Vec<BilledLine>,
    /// Our lines that the bill lacks.
    pub missing_on_provider_side: Vec<OurLine>,
    /// Our cost, without lines that the provider reports only as quantities.
    pub ours: Money,
    /// The billed amount.
    pub billed: SignedMoney,
    /// Our cost minus the billed amount.
    pub difference: SignedMoney,
    /// The parts of the difference by reason, which add up to it.
    pub by_reason: BTreeMap<DifferenceReason, SignedMoney>,
}
