use serde::Serialize;

use super::focus_columns::V1_2;

/// A version of the FOCUS specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum FocusVersion {
    /// [Version 1.2](https://focus.finops.org/focus-specification/v1-2/), of May 2025.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
}

impl FocusVersion {
    /// Returns the number of the version, such as `1.2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
        }
    }

    /// Returns the names of the columns, in their order. The names of our own columns begin with `x_`.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::V1_2 => V1_2,
        }
    }
}
