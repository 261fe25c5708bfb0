use std::sync::Arc;

use serde_json::Value;

use crate::Metadata;

use super::{
    contract_mode::ContractMode, property::Property, schema_error::SchemaError, schema_reader::SchemaReader,
    violation::Violation, violation_kind::ViolationKind,
};

/// A JSON Schema for the effective metadata. See the [module](super) documentation.
///
/// Cloning increments reference counts.
#[derive(Clone, Debug)]
pub struct Contract {
    mode: ContractMode,
    /// Sorted by key.
    properties: Arc<[Property]>,
    defaults: Metadata,
}

impl Contract {
    /// Creates a contract from a schema.
    ///
    /// # Errors
    ///
    /// Returns every part of the schema that is not supported, with its location.
    pub fn new(mode: ContractMode, schema: &Value) -> Result<Self, Vec<SchemaError>> {
        let (mut properties, defaults) = SchemaReader::read(schema)?;
        properties.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Self { mode, properties: properties.into(), defaults })
    }

    /// Returns the mode.
    pub fn mode(&self) -> ContractMode {
        self.mode
    }

    /// Returns the values of the keyword `default`.
    ///
    /// They are meant for [`Scope::Fallback`](crate::metadata::Scope::Fallback). [`violations`](Self::violations) does not
    /// add them.
    pub fn defaults(&self) -> &Metadata {
        &self.defaults
    }

    /// Returns the keys in `properties` and `required`, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.properties.iter().map(|property| property.key.as_str())
    }

    /// Returns the keys in `required`, sorted.
    pub fn required_keys(&self) -> impl Iterator<Item = &str> {
        self.properties.iter().filter(|property| property.is_required).map(|property| property.key.as_str())
    }

    /// Returns the violations of the whole contract, sorted by key.
    ///
    /// They are empty if and only if the schema validates the tags as a JSON object. The mode does not matter.
    pub fn violations(&self, metadata: &Metadata) -> Vec<Violation> {
        self.check(metadata, true)
    }

    /// Returns the violations of the tags that are present. Missing tags are not reported.
    pub fn violations_of_present(&self, metadata: &Metadata) -> Vec<Violation> {
        self.check(metadata, false)
    }

    fn check(&self, metadata: &Metadata, is_complete: bool) -> Vec<Violation> {
        let mut violations = Vec::new();
        for property in &*self.properties {
            match metadata.get(&property.key) {
                Some(value) => property.check(value, &mut violations),
                None if property.is_required && is_complete => {
                    violations.push(property.violation(ViolationKind::Missing));
                }
                None => {}
            }
        }
        violations
    }
}
