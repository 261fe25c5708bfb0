use std::fmt::Write as _;

use super::{pattern::Pattern, violation::Violation, violation_kind::ViolationKind};

/// The maximum number of values that a description of `enum` lists.
const MAX_LISTED: usize = 20;

/// The rules for the tags with one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Property {
    pub(super) key: String,
    pub(super) is_required: bool,
    pub(super) allowed: Option<Vec<String>>,
    pub(super) pattern: Option<Pattern>,
    /// In Unicode code points.
    pub(super) min_length: Option<u64>,
    /// In Unicode code points.
    pub(super) max_length: Option<u64>,
}

impl Property {
    /// Adds the rules that a value violates.
    pub(super) fn check(&self, value: &str, violations: &mut Vec<Violation>) {
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.iter().any(|allowed| allowed == value)) {
            violations.push(self.violation(ViolationKind::NotAllowed));
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(value)) {
            violations.push(self.violation(ViolationKind::Pattern));
        }
        if self.min_length.is_some() || self.max_length.is_some() {
            let length = u64::try_from(value.chars().count()).unwrap_or(u64::MAX);
            if self.min_length.is_some_and(|min| length < min) {
                violations.push(self.violation(ViolationKind::TooShort));
            }
            if self.max_length.is_some_and(|max| length > max) {
                violations.push(self.violation(ViolationKind::TooLong));
            }
        }
    }

    pub(super) fn violation(&self, kind: ViolationKind) -> Violation {
        Violation { key: self.key.clone(), kind, expected: self.expected(kind) }
    }

    /// Describes a rule.
    fn expected(&self, kind: ViolationKind) -> String {
        match kind {
            ViolationKind::Missing => "expected a tag with this key".to_owned(),
            ViolationKind::NotAllowed => self.expected_values(),
            ViolationKind::Pattern => {
                let pattern = self.pattern.as_ref().map(Pattern::as_str).unwrap_or_default();
                format!("expected text that matches the pattern {pattern}")
            }
            ViolationKind::TooShort => expected_length("least", self.min_length),
            ViolationKind::TooLong => expected_length("most", self.max_length),
        }
    }

    fn expected_values(&self) -> String {
        let allowed = self.allowed.as_deref().unwrap_or_default();
        let mut expected = if allowed.len() == 1 { "expected " } else { "expected one of " }.to_owned();
        for (at, value) in allowed.iter().take(MAX_LISTED).enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            // Writing to a string never fails.
            let _ = write!(expected, "{separator}\"{value}\"");
        }
        if let Some(more) = allowed.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            let _ = write!(expected, ", and {more} more");
        }
        expected
    }
}

fn expected_length(bound: &str, length: Option<u64>) -> String {
    let length = length.unwrap_or_default();
    format!("expected at {bound} {length} {}", if length == 1 { "character" } else { "characters" })
}
