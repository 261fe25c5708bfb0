use std::time::SystemTime;

/// An amount that was added to the limit of a group in a window. Credits are never changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitCreditRecord {
    /// The id. A second credit with the same id is ignored.
    pub(crate) id: String,
    /// The id of the rule.
    pub(crate) rule: String,
    /// The text that identifies the group in the ledger.
    pub(crate) series: String,
    /// The start of the window, in microseconds since 1970.
    pub(crate) slot: i64,
    /// The amount, in the units of the ledger.
    pub(crate) amount: i64,
    pub(crate) created_at: SystemTime,
    pub(crate) created_by: Option<String>,
}
