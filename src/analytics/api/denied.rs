use std::{error, fmt};

/// The reason why a caller may not use the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Denied {
    /// The caller is unknown: there is no key, or it is unknown, disabled, or expired. The status is 401.
    Unauthenticated,
    /// The caller is known, and may not use the API. The status is 403.
    Forbidden,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated => "missing, unknown, disabled, or expired API key",
            Self::Forbidden => "the API key may not use this API",
        })
    }
}

impl error::Error for Denied {}
