use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{ConfigError, Metadata, config_error::ConfigProblems};

use super::{
    contract::{Contract, ContractMode, Violation},
    names::Names,
    screening::Screening,
};

/// The tags that an organization agreed on, as one value that its services share.
///
/// A crate of the organization exports a function that returns it. Services add it to their registry, with or without API
/// keys, and their tests check tags with it. It is a [contract](Contract) and [names](Names) without writing JSON Schema.
///
/// ```
/// use tower_tagging::{registry::{ContractMode, Registry, TagPolicy}, tags};
///
/// /// The tags of all services of Acme.
/// fn policy() -> TagPolicy {
///     TagPolicy::new()
///         .required("_user")
///         .alias("user_id", "_user")
///         .one_of("environment", ["production", "development"])
///         .default_value("environment", "development")
///         .pattern("feature", "^[a-z-]+$")
/// }
///
/// let registry = Registry::builder().policy(policy(), ContractMode::Report).build()?;
///
/// // In a test of a service:
/// assert!(policy().check(&tags! { "_user" => "ada", "feature" => "chat" })?.is_empty());
/// assert_eq!(policy().check(&tags! { "environment" => "test" })?.len(), 2);
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TagPolicy {
    required: Vec<String>,
    properties: BTreeMap<String, Map<String, Value>>,
    aliases: Vec<(String, String)>,
    screening: Option<Screening>,
}

impl TagPolicy {
    /// Creates a policy without rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires a tag whose value is not empty.
    pub fn required(mut self, key: &str) -> Self {
        self.required.push(key.to_owned());
        self.set(key, "minLength", json!(1))
    }

    /// Names a tag without a rule for its value, so that its coverage is counted and misspellings are noticed.
    pub fn optional(mut self, key: &str) -> Self {
        self.property(key);
        self
    }

    /// Allows only these values of a tag.
    pub fn one_of<T: Into<String>>(self, key: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        self.set(key, "enum", json!(values))
    }

    /// Allows only values of a tag that match a regular expression (ECMA 262). It is not anchored: use `^` and `$`.
    pub fn pattern(self, key: &str, pattern: &str) -> Self {
        self.set(key, "pattern", json!(pattern))
    }

    /// Sets the maximum length of the value of a tag, in characters.
    pub fn max_length(self, key: &str, characters: usize) -> Self {
        self.set(key, "maxLength", json!(characters))
    }

    /// Sets the value of a tag that a request does not have. Every other scope overrides it.
    pub fn default_value(self, key: &str, value: &str) -> Self {
        self.set(key, "default", json!(value))
    }

    /// Stores tags with another name under a key: `alias("user_id", "_user")`.
    pub fn alias(mut self, alias: &str, key: &str) -> Self {
        self.aliases.push((alias.to_owned(), key.to_owned()));
        self
    }

    /// Sets the secrets and personal data that are removed from tags.
    pub fn screening(mut self, screening: Screening) -> Self {
        self.screening = Some(screening);
        self
    }

    /// Returns the rules for values as a JSON Schema (draft-07), for clients in other languages.
    pub fn schema(&self) -> Value {
        json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": true,
            "required": self.required,
            "properties": self.properties,
        })
    }

    /// Returns the contract of the policy.
    ///
    /// # Errors
    ///
    /// Returns every rule that contradicts itself, such as a default that is not one of the allowed values.
    pub fn contract(&self, mode: ContractMode) -> Result<Contract, ConfigError> {
        Contract::new(mode, &self.schema()).map_err(|errors| {
            let mut problems = ConfigProblems::default();
            for error in errors {
                problems.push(ConfigError::new(format!("invalid tag policy: {error}")));
            }
            problems.into_result().err().unwrap_or_else(|| ConfigError::new("invalid tag policy"))
        })
    }

    /// Returns the rules for keys.
    ///
    /// # Errors
    ///
    /// Returns every alias that contradicts another one.
    pub fn names(&self) -> Result<Names, ConfigError> {
        let names = self.aliases.iter().fold(Names::builder(), |names, (alias, key)| names.alias(alias, key));
        names.build()
    }

    /// Returns the rules that tags violate, for unit tests.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`contract`](Self::contract).
    pub fn check(&self, tags: &Metadata) -> Result<Vec<Violation>, ConfigError> {
        Ok(self.contract(ContractMode::Reject)?.violations(tags))
    }

    pub(crate) fn own_screening(&self) -> Option<&Screening> {
        self.screening.as_ref()
    }

    fn set(mut self, key: &str, keyword: &str, rule: Value) -> Self {
        self.property(key).insert(keyword.to_owned(), rule);
        self
    }

    fn property(&mut self, key: &str) -> &mut Map<String, Value> {
        let new = || Map::from_iter([("type".to_owned(), json!("string"))]);
        self.properties.entry(key.to_owned()).or_insert_with(new)
    }
}
