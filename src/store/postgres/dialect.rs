use std::collections::BTreeSet;

use super::super::conditions::{Dialect, Param};

/// The form of conditions in Postgres.
pub(super) struct PostgresDialect {
    /// The active keys, whose tags are in `indexed_metadata` of all rows.
    pub(super) indexed: BTreeSet<String>,
}

impl Dialect for PostgresDialect {
    fn placeholder(&self, number: usize, param: &Param) -> String {
        let kind = match param {
            Param::Text(_) => "text",
            Param::Texts(_) => "text[]",
            Param::BigInt(_) => "bigint",
            Param::Time(_) => "timestamptz",
            Param::Id(_) => "uuid",
        };
        format!("${number}::{kind}")
    }

    fn is_in(&self, expression: &str, list: &str) -> String {
        format!("{expression} = ANY({list})")
    }

    fn starts_with(&self, expression: &str, prefix: &str) -> String {
        format!("starts_with({expression}, {prefix})")
    }

    fn tag(&self, key: &str, bind: &mut dyn FnMut(Param) -> String) -> String {
        format!("raw_metadata ->> {}", bind(Param::Text(key.to_owned())))
    }

    fn indexed_tag(&self, key: &str, values: &[String], bind: &mut dyn FnMut(Param) -> String) -> Option<String> {
        if !self.indexed.contains(key) || values.is_empty() {
            return None;
        }
        let key = bind(Param::Text(key.to_owned()));
        let tags = values.iter().map(|value| {
            format!("indexed_metadata @> jsonb_build_object({key}, {})", bind(Param::Text(value.clone())))
        });
        Some(tags.collect::<Vec<_>>().join(" OR "))
    }
}
