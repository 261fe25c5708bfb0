use serde_json::Value;

use crate::Metadata;

use super::{contract_mode::ContractMode, schema_error::SchemaError, violation::Violation};

/// A JSON Schema for the effective metadata.
#[derive(Clone, Debug)]
pub struct Contract {
    mode: ContractMode,
    defaults: Metadata,
}

impl Contract {
    /// Creates a contract from a schema.
    ///
    /// # Errors
    ///
    /// Returns every part of the schema that is not supported.
    pub fn new(mode: ContractMode, schema: &Value) -> Result<Self, Vec<SchemaError>> {
        let _ = schema;
        Ok(Self { mode, defaults: Metadata::new() })
    }

    /// Returns the mode.
    pub fn mode(&self) -> ContractMode {
        self.mode
    }

    /// Returns the values of the keyword `default`.
    pub fn defaults(&self) -> &Metadata {
        &self.defaults
    }

    /// Returns the keys that the schema names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// Returns the violations of the whole contract.
    pub fn violations(&self, metadata: &Metadata) -> Vec<Violation> {
        let _ = metadata;
        Vec::new()
    }

    /// Returns the violations of the tags that are present. Missing tags are not reported.
    pub fn violations_of_present(&self, metadata: &Metadata) -> Vec<Violation> {
        let _ = metadata;
        Vec::new()
    }
}
