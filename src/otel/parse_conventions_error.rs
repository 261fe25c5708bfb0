use std::{error::Error, fmt};

/// Newest supported minor version of the 1.x semantic conventions.
pub(super) const NEWEST_MINOR: u32 = 41;

/// Error returned when text is not a supported version of the semantic conventions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseConventionsError(String);

impl ParseConventionsError {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for ParseConventionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unsupported semantic conventions {:?}: expected \"both\" or a version from 1.27 to 1.{NEWEST_MINOR}",
            self.0
        )
    }
}

impl Error for ParseConventionsError {}
