//! The SQL that both databases derive from the schema.

use crate::row::{Column, ColumnKind, SCHEMA};

/// The version of the tables, and of the content that the database cannot check.
///
/// The sketches in `tagging_keys` are part of it: their layout, and their hash, which is FNV-1a with 64 bits followed by
/// the finalizer of MurmurHash3 (`fmix64`). Processes of all versions merge their sketches, so another hash needs another
/// version.
pub(super) const SCHEMA_VERSION: i32 = 1;

/// The names of token columns in the tables of LLM gateways, and our columns.
const ALIASES: &[(&str, &str)] = &[
    ("cached_tokens", "cache_read_tokens"),
    ("cache_creation_tokens", "cache_write_tokens"),
    ("cache_creation_1h_tokens", "cache_write_1h_tokens"),
];

/// Returns the columns that writers fill.
pub(super) fn stored_columns() -> impl Iterator<Item = &'static Column> {
    SCHEMA.iter().filter(|column| !column.is_generated())
}

/// Returns the definitions of all columns for `CREATE TABLE`.
///
/// `dollars` returns the expression that converts a column of nano-dollars, and `storage` is the keyword for generated
/// columns.
pub(super) fn column_definitions(
    type_name: impl Fn(ColumnKind) -> &'static str,
    dollars: impl Fn(&str) -> String,
    storage: &str,
) -> String {
    let definitions = SCHEMA.iter().map(|column| {
        let Column { name, kind, .. } = column;
        let type_name = type_name(*kind);
        if column.is_generated() {
            let expression = dollars(&format!("{name}_nanos"));
            format!("{name} {type_name} GENERATED ALWAYS AS ({expression}) {storage}")
        } else {
            let not_null = if column.nullable { "" } else { " NOT NULL" };
            format!("{name} {type_name}{not_null}")
        }
    });
    definitions.collect::<Vec<_>>().join(",\n    ")
}

/// Returns the statement that creates the view of LLM calls.
pub(super) fn create_view() -> String {
    let columns = SCHEMA.iter().map(|column| match column.name {
        // Sorting by cost ranks unknown costs last, also in databases that sort NULL first.
        "total_cost" => "coalesce(total_cost, 0.0) AS total_cost".to_owned(),
        name => name.to_owned(),
    });
    let aliases = ALIASES.iter().map(|(alias, column)| format!("{column} AS {alias}"));
    let columns: Vec<String> = columns.chain(aliases).collect();
    format!(
        "CREATE VIEW llm_requests AS\nSELECT {}\nFROM tagging_events WHERE usage_status IS NOT NULL;\n",
        columns.join(", ")
    )
}
