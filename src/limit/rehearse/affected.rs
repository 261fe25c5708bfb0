use super::affected_caller::AffectedCaller;

/// The callers, or groups, that a rule would have affected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Affected {
    /// The number of different callers or groups. Requests without an API key or workspace are not counted.
    pub count: u64,
    /// `false` if there were too many to count all of them. `count` is then a lower bound.
    pub is_exact: bool,
    /// The most affected ones, at most 20, by their number of rejections.
    pub top: Vec<AffectedCaller>,
}
