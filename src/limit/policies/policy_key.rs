use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ConfigError,
    row::{Dimension, Field},
};

/// A key to group by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyKey {
    /// `api_key`, `workspace_id`, `virtual_key`, `provider`, `model`, or `metadata.KEY`.
    pub(crate) key: String,
}

/// The keys of Portkey, and our fields.
const KEYS: &[(&str, Field)] = &[
    ("api_key", Field::ApiKey),
    ("workspace_id", Field::Workspace),
    ("virtual_key", Field::VirtualKey),
    ("provider", Field::Provider),
    ("model", Field::RequestModel),
];

/// The keys of Portkey for what requests of this crate do not have.
const UNSUPPORTED: &[&str] = &["organisation_id", "config", "prompt", "endpoint_type"];

/// Returns the property with a key of Portkey.
pub(super) fn dimension(key: &str) -> Result<Dimension, ConfigError> {
    if let Some((_, field)) = KEYS.iter().find(|(name, _)| *name == key) {
        return Ok((*field).into());
    }
    if key.starts_with("metadata.")
        && let Some(dimension) = Dimension::from_name(key)
    {
        return Ok(dimension);
    }
    let problem = if UNSUPPORTED.contains(&key) { "not supported" } else { "unknown" };
    Err(ConfigError::new(format!(
        "key {key:?} is {problem}: expected api_key, workspace_id, virtual_key, provider, model, or metadata.KEY"
    )))
}

/// Returns the key of a property.
pub(crate) fn key_of(dimension: &Dimension) -> String {
    let known = KEYS.iter().find(|(_, field)| *dimension == Dimension::Field(*field));
    known.map_or_else(|| dimension.to_string(), |(name, _)| (*name).to_owned())
}
