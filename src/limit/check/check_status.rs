use super::unchecked_reason::UncheckedReason;

/// The result of a check for one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckStatus {
    /// The ledger was compared with the stored requests.
    Checked,
    /// The ledger could not be compared.
    Unchecked(UncheckedReason),
}
