use std::sync::Arc;

use super::{
    super::{alerts::LedgerDrift, rules::LimitRule},
    check_status::CheckStatus,
};

/// The result of a check for one budget.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckedRule {
    /// The rule.
    pub rule: Arc<LimitRule>,
    /// The status: checked, or the reason why not.
    pub status: CheckStatus,
    /// The groups whose ledger differs from the stored requests, ordered by group and start.
    pub drift: Vec<LedgerDrift>,
}
