use std::fmt;

use super::violation_kind::ViolationKind;

/// A tag that violates a [`Contract`](super::Contract).
///
/// It never contains the value. `Display` formats it as `environment: expected one of "production", "staging"`.
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

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.expected)
    }
}
