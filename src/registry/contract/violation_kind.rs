/// The rule that a tag violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
