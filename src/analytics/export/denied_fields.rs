use std::collections::BTreeSet;

use crate::{
    metadata::Metadata,
    row::{EventRow, SCHEMA},
};

use super::nanos::dollars_name;

/// The columns that repeat keys or values of `raw_metadata`.
const TAG_COLUMNS: [&str; 3] = ["indexed_metadata", "metadata_sources", "diagnostics"];

/// Columns and tags that an export leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DeniedFields {
    columns: BTreeSet<String>,
    keys: BTreeSet<String>,
}

impl DeniedFields {
    /// Adds a column.
    pub(crate) fn deny_column(&mut self, name: impl Into<String>) {
        self.columns.insert(name.into());
    }

    /// Adds the key of a tag.
    pub(crate) fn deny_key(&mut self, key: impl Into<String>) {
        self.keys.insert(key.into());
    }

    /// Returns `true` if a column of [`SCHEMA`] is left out.
    ///
    /// The two forms of a cost are one field.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|denied| {
            denied == name
                || dollars_name(denied) == Some(name)
                || dollars_name(name) == Some(denied.as_str())
                || (denied == "raw_metadata" && TAG_COLUMNS.contains(&name))
        })
    }

    /// Returns `true` if a tag is left out. Without `raw_metadata`, all are.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        self.columns.contains("raw_metadata") || self.keys.iter().any(|denied| denied.eq_ignore_ascii_case(key))
    }

    /// Returns the first name that is not one of a column.
    pub(super) fn unknown_column(&self) -> Option<&str> {
        let is_known = |name: &String| SCHEMA.iter().any(|column| column.name == name);
        self.columns.iter().find(|name| !is_known(name)).map(String::as_str)
    }

    /// Removes the tags, their sources, and the notes on them.
    pub(super) fn remove_from(&self, row: &mut EventRow) {
        if self.keys.is_empty() {
            return;
        }
        self.remove_tags(&mut row.raw_metadata);
        self.remove_tags(&mut row.metadata_sources);
        if let Some(tags) = &mut row.indexed_metadata {
            self.remove_tags(tags);
        }
        if let Some(notes) = row.diagnostics.as_array_mut() {
            notes.retain(|note| note.get("key").and_then(|key| key.as_str()).is_none_or(|key| !self.has_key(key)));
        }
    }

    fn remove_tags(&self, tags: &mut Metadata) {
        let denied: Vec<String> =
            tags.iter().map(|(key, _)| key).filter(|key| self.has_key(key)).map(ToOwned::to_owned).collect();
        for key in denied {
            tags.remove(&key);
        }
    }
}
