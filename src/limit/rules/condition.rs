use crate::{registry::Glob, store::Dimension};

use super::super::subject::Subject;

/// A condition on one property of a request. It is met if one of its patterns matches.
///
/// Patterns have `*` and `?`. The pattern `*` alone matches every value. A missing or empty value matches nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub(crate) dimension: Dimension,
    pub(crate) patterns: Vec<Glob>,
}

impl Condition {
    /// Returns the result for a request. `None` if the property is missing.
    pub(crate) fn is_met(&self, subject: &impl Subject) -> Option<bool> {
        let value = subject.value(&self.dimension)?;
        Some(self.patterns.iter().any(|pattern| pattern.matches(value)))
    }

    /// Returns `true` if one of the patterns matches a value.
    pub(crate) fn has(&self, value: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(value))
    }

    /// Returns the values that meet the condition. `None` if a pattern matches more than one.
    pub(crate) fn literals(&self) -> Option<Vec<String>> {
        self.patterns.iter().map(Glob::literal).collect()
    }
}
