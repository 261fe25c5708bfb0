//! The tags that every request must carry, and the values that they may have.
//!
//! A [`Contract`] is a JSON Schema for the effective metadata: the tags of a request after all scopes are merged. Its
//! [mode](ContractMode) decides whether violations are only reported or reject the request.
//!
//! ```
//! use serde_json::json;
//! use tower_tagging::{registry::{Contract, ContractMode}, tags};
//!
//! let schema = json!({
//!     "type": "object",
//!     "additionalProperties": true,
//!     "required": ["_user"],
//!     "properties": {
//!         "_user": { "type": "string" },
//!         "environment": { "type": "string", "enum": ["production", "staging"], "default": "staging" },
//!     },
//! });
//! let contract = Contract::new(ContractMode::Reject, &schema).map_err(|errors| errors[0].clone())?;
//!
//! let violations = contract.violations(&tags! { "environment" => "prod" });
//! assert_eq!(violations[0].to_string(), "_user: expected a tag with this key");
//! assert_eq!(violations[1].to_string(), r#"environment: expected one of "production", "staging""#);
//! assert_eq!(contract.defaults().get("environment"), Some("staging"));
//! # Ok::<(), tower_tagging::registry::SchemaError>(())
//! ```
//!
//! # Supported schemas
//!
//! Schemas are [JSON Schema draft-07](https://json-schema.org/draft-07/json-schema-validation) with these restrictions:
//!
//! | location | keywords |
//! |---|---|
//! | top level | `type: "object"` and `additionalProperties: true`, both required; `properties`; `required`; `$schema` naming draft-07 |
//! | each property | `type: "string"`, required; `enum`, `default`, `pattern`, `minLength`, `maxLength` |
//!
//! Every other keyword is refused, also `$ref`: nothing is ever fetched. A `default` must be valid for its own property.
//! An `enum` needs at least one value.
//!
//! Lengths count Unicode code points. Patterns are regular expressions in the sense of ECMA-262, and match anywhere in the
//! value unless they are anchored.
//!
//! # Limits
//!
//! Patterns are compiled once. A pattern with look-around or back-references is given up after 100,000 steps of
//! backtracking, and the value then counts as a violation. A check of valid tags does not allocate.

mod contract;
mod contract_mode;
mod pattern;
mod property;
mod schema_error;
mod schema_reader;
mod text_json;
mod violation;
mod violation_kind;

pub use self::{
    contract::Contract, contract_mode::ContractMode, schema_error::SchemaError, violation::Violation,
    violation_kind::ViolationKind,
};
