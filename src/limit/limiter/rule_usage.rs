use super::LimitUsage;

/// The groups of a budget in its current window.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleUsage {
    pub(crate) groups: Vec<LimitUsage>,
    /// `true` if the ledger has more groups than are read, so that some are missing.
    pub(crate) is_cut: bool,
}
