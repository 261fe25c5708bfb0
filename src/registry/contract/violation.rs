use super::violation_kind::ViolationKind;

/// A tag that violates a [`Contract`](super::Contract).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The key of the tag.
    pub key: String,
    /// The rule that it violates.
    pub kind: ViolationKind,
    /// The rule in words, without the value: `expected one of "production", "staging"`.
    pub expected: String,
}
