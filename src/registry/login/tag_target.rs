use crate::{
    ConfigError,
    metadata::{Scope, Scopes},
};

/// The key and scope of a trusted tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagTarget {
    pub(super) key: Box<str>,
    pub(super) scope: Scope,
}

impl TagTarget {
    /// `origin` is where the tag is read from, for the error.
    ///
    /// # Errors
    ///
    /// Returns an error if the key is empty or the scope is not trusted.
    pub(super) fn new(key: &str, scope: Scope, origin: &str) -> Result<Self, ConfigError> {
        if key.trim().is_empty() {
            return Err(ConfigError::new(format!("expected the key of a tag for {origin}, found an empty one")));
        }
        if !scope.is_trusted() {
            return Err(ConfigError::new(format!(
                "invalid scope \"{scope}\" of the tag {key:?} for {origin}: expected a trusted scope, which is \
                 \"fallback\", \"api_key\", \"workspace\", or \"forced\""
            )));
        }
        Ok(Self { key: key.into(), scope })
    }

    /// Returns `true` if the tag is stronger than that of a client. A default is not.
    pub(super) fn overrides_client(&self) -> bool {
        self.scope != Scope::Fallback
    }

    pub(super) fn set(&self, value: &str, scopes: &mut Scopes) {
        scopes.get_mut(self.scope).insert(&self.key, value);
    }
}
