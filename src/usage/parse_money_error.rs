use std::{error, fmt};

/// The error returned when text is not an amount of US dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseMoneyError {
    text: String,
}

impl ParseMoneyError {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }
}

impl fmt::Display for ParseMoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid amount {:?}: expected US dollars with at most nine decimals, such as \"12.5\"", self.text)
    }
}

impl error::Error for ParseMoneyError {}
