use crate::usage::Money;

/// A caller, or a group of requests, of which a rule would have rejected requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AffectedCaller {
    /// The API key or workspace, or the values of the group in the order of the rule. `None` is a missing value.
    pub values: Vec<Option<String>>,
    /// The requests that would have been rejected.
    pub rejected: u64,
    /// The known cost of these requests.
    pub saved: Money,
}
