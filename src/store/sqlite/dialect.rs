use std::collections::BTreeSet;

use super::super::conditions::{Dialect, Param};

/// SQLite's form of conditions.
pub(super) struct SqliteDialect {
    /// The active keys that have an index.
    pub(super) indexed: BTreeSet<String>,
    /// The key whose index is used. `None` lets SQLite choose.
    pub(super) used: Option<String>,
}

/// Returns the expression for the tag of an active key, as its index has it.
pub(super) fn indexed_tag(key: &str) -> String {
    format!("indexed_metadata ->> '{}'", key.replace('\'', "''"))
}

impl Dialect for SqliteDialect {
    fn placeholder(&self, number: usize, _: &Param) -> String {
        format!("?{number}")
    }

    fn is_in(&self, expression: &str, list: &str) -> String {
        format!("{expression} IN (SELECT value FROM json_each({list}))")
    }

    fn starts_with(&self, expression: &str, prefix: &str) -> String {
        format!("substr({expression}, 1, length({prefix})) = {prefix}")
    }

    fn tag(&self, key: &str, bind: &mut dyn FnMut(Param) -> String) -> String {
        if self.indexed.contains(key) {
            return indexed_tag(key);
        }
        format!("tagging_tag(raw_metadata, {})", bind(Param::Text(key.to_owned())))
    }

    fn indexed_tag(&self, key: &str, values: &[String], bind: &mut dyn FnMut(Param) -> String) -> Option<String> {
        let [value] = values else { return None };
        let mut tag = self.indexed.contains(key).then(|| indexed_tag(key))?;
        if self.used.as_ref().is_some_and(|used| used != key) {
            // The unary plus hides the expression from the search for an index.
            tag = format!("+({tag})");
        }
        Some(format!("{tag} = {}", bind(Param::Text(value.clone()))))
    }
}
