use std::collections::BTreeSet;

use crate::row::SCHEMA;

use super::api_error::ApiError;

/// The fields of Portkey's exports, and the columns that contain their values.
const COLUMNS_OF: &[(&str, &[&str])] = &[
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
    ("response_time", &["response_time_ms"]),
    ("response_status_code", &["status_code"]),
    ("metadata", &[ALL_TAGS]),
];

/// The column with all tags.
const ALL_TAGS: &str = "raw_metadata";
/// The columns that repeat keys or values of tags.
const TAG_COLUMNS: &[&str] = &["indexed_metadata", "metadata_sources", "diagnostics"];
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

/// The columns and tags that no export contains.
#[derive(Clone, Debug)]
pub(super) struct Restrictions {
    columns: BTreeSet<&'static str>,
    keys: Vec<String>,
}

impl Restrictions {
    /// Translates denied fields: fields of Portkey's exports, columns, and tags as `metadata.KEY`.
    pub(super) fn of(denied: &BTreeSet<String>) -> Self {
        let mut restrictions = Self { columns: BTreeSet::new(), keys: Vec::new() };
        for field in denied {
            if let Some(key) = field.strip_prefix("metadata.") {
                restrictions.keys.push(key.to_owned());
                continue;
            }
            let columns = COLUMNS_OF.iter().filter(|(name, _)| name == field).flat_map(|(_, columns)| columns.iter());
            restrictions.columns.extend(columns);
            restrictions.columns.extend(SCHEMA.iter().map(|column| column.name).filter(|name| name == field));
        }
        // The two forms of a cost are one field.
        let nanos = SCHEMA.iter().map(|column| column.name);
        let nanos = nanos.filter(|name| name.strip_suffix("_nanos").is_some_and(|name| restrictions.has_column(name)));
        let nanos: Vec<&str> = nanos.collect();
        restrictions.columns.extend(nanos);
        if restrictions.has_column(ALL_TAGS) {
            restrictions.columns.extend(TAG_COLUMNS);
        }
        restrictions
    }

    /// Returns the denied columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().copied()
    }

    /// Returns the keys of the denied tags.
    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Checks a column that a request names.
    ///
    /// # Errors
    /// Returns the status 403 if the column is denied.
    pub(super) fn check_column(&self, name: &str) -> Result<(), ApiError> {
        let is_denied = self.has_column(name) || self.has_column(&format!("{name}_nanos"));
        if is_denied { Err(ApiError::forbidden(format!("no export contains the column {name}"))) } else { Ok(()) }
    }

    /// Checks the key of a tag that a request names.
    ///
    /// # Errors
    /// Returns the status 403 if the tag is denied.
    pub(super) fn check_key(&self, key: &str) -> Result<(), ApiError> {
        let is_denied = self.has_column(ALL_TAGS) || self.denies_key(key);
        if is_denied { Err(ApiError::forbidden(format!("no export contains the tag {key}"))) } else { Ok(()) }
    }

    /// Returns `true` if a field of Portkey's exports shows a denied column.
    pub(super) fn denies_field(&self, field: &str) -> bool {
        let columns = COLUMNS_OF.iter().filter(|(name, _)| *name == field).flat_map(|(_, columns)| columns.iter());
        columns.into_iter().any(|column| self.has_column(column))
    }

    /// Returns `true` if the tag with a key is denied.
    pub(super) fn denies_key(&self, key: &str) -> bool {
        self.keys.iter().any(|denied| denied.eq_ignore_ascii_case(key))
    }

    /// Checks the columns of FOCUS files, which are fixed.
    ///
    /// # Errors
    /// Returns the status 403 if one of them shows a denied column.
    pub(super) fn check_focus(&self) -> Result<(), ApiError> {
        FOCUS_COLUMNS.iter().try_for_each(|column| self.check_column(column))
    }

    fn has_column(&self, name: &str) -> bool {
        self.columns.contains(name)
    }
}
