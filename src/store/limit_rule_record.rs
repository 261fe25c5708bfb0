use std::time::SystemTime;

/// A limit that was created through the API, as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitRuleRecord {
    /// The id, which is ordered by the time of creation.
    pub(crate) id: String,
    /// `usage` or `rate`.
    pub(crate) kind: String,
    /// The rule as JSON.
    pub(crate) body: String,
    /// The workspace to whose requests the rule applies. `None` if it applies to all of them.
    pub(crate) workspace: Option<String>,
    pub(crate) created_at: SystemTime,
    pub(crate) updated_at: SystemTime,
    pub(crate) created_by: Option<String>,
    /// Grows with each change of the rule.
    pub(crate) revision: u64,
}
