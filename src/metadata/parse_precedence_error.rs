use std::fmt;

/// An error from parsing a [`Precedence`](super::Precedence).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsePrecedenceError(String);

impl ParsePrecedenceError {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for ParsePrecedenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid precedence {:?}: expected \"strict\" or \"legacy\"", self.0)
    }
}

impl std::error::Error for ParsePrecedenceError {}
