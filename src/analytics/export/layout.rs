use sha2::{Digest, Sha256};

use crate::{
    analytics::QueryError,
    row::{Dimension, EventRow, SCHEMA, Value},
};

use super::{ExportFormat, nanos::dollars_name, output::hex, settings::Settings};

/// The columns of an export.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) columns: Vec<LayoutColumn>,
    /// The keys that have their own columns after the others.
    pub(super) keys: Vec<String>,
}

/// A column of an export and its source.
#[derive(Clone, Debug)]
pub(super) struct LayoutColumn {
    /// The index of the stored column in [`SCHEMA`].
    index: usize,
    #[cfg(feature = "parquet")]
    pub(super) column: &'static crate::row::Column,
    pub(super) name: &'static str,
    /// `true` if the column shows nano-dollars as US dollars.
    pub(super) is_dollars: bool,
}

impl LayoutColumn {
    /// Returns `true` if the column holds tags.
    #[cfg(feature = "parquet")]
    pub(super) fn has_tags(&self) -> bool {
        matches!(self.column.name, "raw_metadata" | "indexed_metadata" | "metadata_sources")
    }

    /// Returns the tags of a column that holds tags.
    #[cfg(feature = "parquet")]
    pub(super) fn tags<'a>(&self, row: &'a EventRow) -> Option<&'a crate::metadata::Metadata> {
        match self.column.name {
            "raw_metadata" => Some(&row.raw_metadata),
            "indexed_metadata" => row.indexed_metadata.as_ref(),
            "metadata_sources" => Some(&row.metadata_sources),
            _ => None,
        }
    }
}

impl Layout {
    /// Selects the columns of an export.
    ///
    /// `active` are the keys that have their own columns if the export chooses none.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if the export names an unknown column, or has no columns.
    pub(super) fn new(export: &Settings, active: Vec<String>) -> Result<Self, QueryError> {
        let selected = export.columns.iter().flatten();
        if let Some(name) = selected.clone().find(|name| !SCHEMA.iter().any(|column| column.name == **name)) {
            return Err(unknown_column(name));
        }
        if let Some(name) = export.denied.unknown_column() {
            return Err(unknown_column(name));
        }
        let is_row = export.format == ExportFormat::Jsonl;
        let is_named = |name: &str| export.columns.iter().flatten().any(|selected| selected == name);
        let mut columns = Vec::new();
        for (index, column) in SCHEMA.iter().enumerate() {
            if column.is_generated() || export.denied.has_column(column.name) {
                continue;
            }
            let dollars = dollars_name(column.name);
            let (is_plain, is_dollars) = match (&export.columns, dollars) {
                // The same tags are in `raw_metadata`.
                (None, None) => (is_row || column.name != "indexed_metadata", false),
                (None, Some(_)) => (is_row, !is_row),
                (Some(_), None) => (is_named(column.name), false),
                (Some(_), Some(name)) if is_row => (is_named(column.name), is_named(name)),
                (Some(_), Some(name)) => (false, is_named(column.name) || is_named(name)),
            };
            let forms = [(Some(column.name).filter(|_| is_plain), false), (dollars.filter(|_| is_dollars), true)];
            columns.extend(forms.into_iter().filter_map(|(name, is_dollars)| {
                Some(LayoutColumn {
                    index,
                    #[cfg(feature = "parquet")]
                    column,
                    name: name?,
                    is_dollars,
                })
            }));
        }
        let mut keys = Vec::new();
        if export.format == ExportFormat::Csv {
            for key in export.keys.clone().unwrap_or(active) {
                if !export.denied.has_key(&key) && !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        if columns.is_empty() && keys.is_empty() {
            return Err(QueryError::invalid("the export has no columns: select others, or deny fewer"));
        }
        Ok(Self { columns, keys })
    }

    /// Returns the names of all columns.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let columns = self.columns.iter().map(|column| column.name.to_owned());
        columns.chain(self.keys.iter().map(|key| Dimension::tag(key).to_string()))
    }

    /// Returns the values of the columns of [`SCHEMA`], without those of keys.
    pub(super) fn values<'a>(&self, row: &'a EventRow) -> Vec<Value<'a>> {
        let mut values = row.values();
        let mut take = |index| match values.get_mut(index) {
            // A cost may have two columns.
            Some(Value::BigInt(number)) => Value::BigInt(*number),
            Some(value) => std::mem::replace(value, Value::Null),
            None => Value::Null,
        };
        self.columns.iter().map(|column| take(column.index)).collect()
    }

    /// Returns a short text that differs if the format or the columns differ.
    pub(super) fn fingerprint(&self, format: ExportFormat) -> String {
        let mut digest = Sha256::new();
        digest.update(format.as_str());
        for name in self.names() {
            digest.update([0]);
            digest.update(name);
        }
        hex(digest.finalize().get(..4).unwrap_or_default())
    }
}

fn unknown_column(name: &str) -> QueryError {
    QueryError::invalid(format!("unknown column {name:?}: expected one of the columns of tagging_events"))
}
