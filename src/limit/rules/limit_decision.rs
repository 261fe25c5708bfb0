/// The decision about requests that a rule cannot check: the ledger is not available, or the price of the model is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitDecision {
    /// The request is served. It is counted as such; see [`LimitCounts`](crate::limit::LimitCounts).
    Allow,
    /// The request is rejected.
    Deny,
}

impl LimitDecision {
    /// Returns the name in configuration files: `allow` or `deny`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}
