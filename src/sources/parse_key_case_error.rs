use std::fmt;

/// An error from parsing a [`KeyCase`](super::KeyCase).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseKeyCaseError(String);

impl ParseKeyCaseError {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for ParseKeyCaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid key case {:?}: expected \"lower\" or \"title\"", self.0)
    }
}

impl std::error::Error for ParseKeyCaseError {}
