use std::fmt;

use serde::{Deserialize, Serialize};

/// The value of a property, as an alert discloses it.
///
/// Displays as `team=sha256:9d1e6cc1b2a8f0c4`, and as `team=(none)` without a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AlertValue {
    /// The property, such as `metadata.team` or `api_key`.
    pub property: String,
    /// The value, or its hash. `None` if the requests have no value.
    pub value: Option<String>,
    /// `true` if `value` is a hash. Only values of tags are hashed.
    pub is_hashed: bool,
}

impl fmt::Display for AlertValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.property.strip_prefix("metadata.").unwrap_or(&self.property);
        write!(f, "{name}={}", self.value.as_deref().unwrap_or("(none)"))
    }
}
