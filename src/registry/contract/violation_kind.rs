use std::fmt;

/// The rule that a tag violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ViolationKind {
    /// The tag is required and missing.
    Missing,
    /// The value is not one of `enum`.
    NotAllowed,
    /// The value does not match `pattern`.
    Pattern,
    /// The value is shorter than `minLength`.
    TooShort,
    /// The value is longer than `maxLength`.
    TooLong,
}

impl ViolationKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[Self::Missing, Self::NotAllowed, Self::Pattern, Self::TooShort, Self::TooLong];

    /// Returns the lowercase name for counts and responses, such as `not_allowed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotAllowed => "not_allowed",
            Self::Pattern => "pattern",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
        }
    }
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
