use std::time::SystemTime;

use super::{super::alerts::LedgerDrift, check_status::CheckStatus, checked_rule::CheckedRule};

/// The result of comparing the ledger with the stored requests.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LedgerCheck {
    /// The time of the check.
    pub at: SystemTime,
    /// Requests that started before this time were compared.
    pub covered_until: SystemTime,
    /// The budgets, in the order of the rules. Rules that are off are left out.
    pub rules: Vec<CheckedRule>,
}

impl LedgerCheck {
    /// Returns all differences, for [`Alerts::record_drifts`](crate::limit::alerts::Alerts::record_drifts).
    pub fn drifts(&self) -> impl Iterator<Item = &LedgerDrift> {
        self.rules.iter().flat_map(|rule| &rule.drift)
    }

    /// Returns `true` if all rules were checked and the ledger equals the stored requests.
    pub fn is_exact(&self) -> bool {
        self.rules.iter().all(|rule| rule.status == CheckStatus::Checked && rule.drift.is_empty())
    }
}
