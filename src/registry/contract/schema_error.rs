use std::fmt;

/// A part of a JSON Schema that a [`Contract`](super::Contract) does not support.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaError {
    /// The location in the schema, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The problem.
    pub message: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at \"{}\"", self.message, self.pointer)
    }
}

impl std::error::Error for SchemaError {}
