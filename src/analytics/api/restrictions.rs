use std::collections::BTreeSet;

use crate::{
    analytics::{QueryError, export::DeniedFields},
    row::SCHEMA,
};

use super::api_error::ApiError;

/// The fields of Portkey's exports, and the columns that contain their values.
pub(super) const FIELDS: &[(&str, &[&str])] = &[
    ("id", &["id"]),
    ("trace_id", &["trace_id", "client_trace_id"]),
    ("created_at", &["requested_at"]),
    ("request", &["request_method", "request_path", "route", "host"]),
    ("response", &["status_code", "response_time_ms"]),
    ("is_success", &["is_error"]),
    ("ai_org", &["provider"]),
    ("ai_model", &["model", "request_model", "response_model"]),
    ("req_units", &["input_tokens"]),
    ("res_units", &["output_tokens"]),
    ("total_units", &["input_tokens", "output_tokens"]),
    ("request_url", &["request_path", "route", "host"]),
    ("cost", &["total_cost_nanos", "input_cost_nanos", "output_cost_nanos", "cost_lines", "cache_savings_nanos"]),
    ("cost_currency", &[]),
    ("response_time", &["response_time_ms"]),
    ("response_status_code", &["status_code"]),
    // There are no modes, configs, and prompts.
    ("mode", &[]),
    ("config", &[]),
    ("prompt_slug", &[]),
    ("metadata", &["raw_metadata"]),
];

/// The columns whose values a FOCUS file contains.
const FOCUS_COLUMNS: &[&str] = &[
    "provider",
    "model",
    "workspace",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "other_usage",
    "quantities",
    "total_cost_nanos",
    "cost_lines",
    "cost_status",
    "price_source",
];

/// The fields and tags that no export contains.
#[derive(Clone, Debug, Default)]
pub(super) struct Restrictions {
    /// The names as they were configured.
    names: BTreeSet<String>,
    denied: DeniedFields,
}

impl Restrictions {
    /// Adds a field of Portkey's exports, a column, or a tag as `metadata.KEY`.
    ///
    /// # Errors
    /// Returns an error that lists the valid names if this is not one of them.
    pub(super) fn deny(&mut self, name: String) -> Result<(), QueryError> {
        let is_column = SCHEMA.iter().any(|column| column.name == name);
        match (name.strip_prefix("metadata."), FIELDS.iter().find(|(field, _)| *field == name)) {
            (Some(key), _) if !key.is_empty() => self.denied.deny_key(key),
            (None, Some((_, columns))) => columns.iter().for_each(|column| self.denied.deny_column(*column)),
            (None, None) if is_column => self.denied.deny_column(&name),
            _ => return Err(unknown(&name)),
        }
        self.names.insert(name);
        Ok(())
    }

    /// Returns the names as they were configured.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns the columns and tags that are left out.
    pub(super) fn denied(&self) -> &DeniedFields {
        &self.denied
    }

    /// Checks a column that a request names.
    ///
    /// # Errors
    /// Returns the status 403 if the column is denied.
    pub(super) fn check_column(&self, name: &str) -> Result<(), ApiError> {
        let is_denied = self.denied.has_column(name);
        if is_denied { Err(ApiError::forbidden(format!("no export contains the column {name}"))) } else { Ok(()) }
    }

    /// Checks the key of a tag that a request names.
    ///
    /// # Errors
    /// Returns the status 403 if the tag is denied.
    pub(super) fn check_key(&self, key: &str) -> Result<(), ApiError> {
        let is_denied = self.denied.has_key(key);
        if is_denied { Err(ApiError::forbidden(format!("no export contains the tag {key}"))) } else { Ok(()) }
    }

    /// Returns `true` if a field of Portkey's exports is denied, or shows a denied column.
    pub(super) fn denies_field(&self, field: &str) -> bool {
        let columns = FIELDS.iter().filter(|(name, _)| *name == field).flat_map(|(_, columns)| columns.iter());
        self.names.contains(field) || columns.into_iter().any(|column| self.denied.has_column(column))
    }

    /// Checks the columns of FOCUS files, which are fixed.
    ///
    /// # Errors
    /// Returns the status 403 if one of them shows a denied column.
    pub(super) fn check_focus(&self) -> Result<(), ApiError> {
        FOCUS_COLUMNS.iter().try_for_each(|column| self.check_column(column))
    }
}

fn unknown(name: &str) -> QueryError {
    let fields = FIELDS.iter().map(|(field, _)| *field);
    let columns =
        SCHEMA.iter().map(|column| column.name).filter(|column| FIELDS.iter().all(|(field, _)| field != column));
    let valid: Vec<&str> = fields.chain(columns).collect();
    QueryError::invalid(format!(
        "unknown export field {name:?}: expected metadata.KEY for a tag, or one of {}",
        valid.join(", ")
    ))
}
