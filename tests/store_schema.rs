//! Tests of the stores' schema and of the documentation that is generated from it.

mod common;
#[path = "common/events.rs"]
mod events;

use std::{collections::HashSet, fmt::Write, fs, path::Path};

use serde_json::Value;
use tower_tagging::store::{ColumnKind, EventRow, SCHEMA};

/// Returns the table of columns for the documentation.
fn columns_table() -> String {
    let mut table = String::from(
        "<!-- Generated from SCHEMA: UPDATE_DOCS=1 cargo test --test store_schema -->\n\n\
         | column | Postgres | SQLite | `NULL` | |\n|---|---|---|---|---|\n",
    );
    for column in SCHEMA {
        let generated = if column.is_generated() { ", generated" } else { "" };
        let nullable = if column.nullable { "yes" } else { "" };
        let (postgres, sqlite) = (column.kind.postgres_type(), column.kind.sqlite_type());
        let (name, doc) = (column.name, column.doc);
        writeln!(table, "| `{name}` | `{postgres}`{generated} | `{sqlite}`{generated} | {nullable} | {doc} |").unwrap();
    }
    table
}

#[test]
fn documents_each_column() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/columns.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, columns_table()).unwrap();
    }
    let documented = fs::read_to_string(&path).unwrap();
    assert_eq!(documented, columns_table(), "src/docs/columns.md is out of date: run this test with UPDATE_DOCS=1");
}

#[test]
fn describes_each_column_once() {
    let names: HashSet<_> = SCHEMA.iter().map(|column| column.name).collect();
    assert_eq!(names.len(), SCHEMA.len());
    for column in SCHEMA {
        assert!(column.doc.ends_with('.'), "{column:?}");
        let nanos = format!("{}_nanos", column.name);
        assert_eq!(column.kind == ColumnKind::Dollars, names.contains(nanos.as_str()), "{column:?}");
    }
}

#[test]
fn keeps_the_columns_that_users_query() {
    for name in [
        "raw_metadata",
        "indexed_metadata",
        "model",
        "requested_at",
        "response_time_ms",
        "input_tokens",
        "output_tokens",
        "total_cost",
        "request_path",
        "status_code",
    ] {
        assert!(SCHEMA.iter().any(|column| column.name == name), "{name}");
    }
}

/// A serialized row has one member per column, with the same values as the JSON of the event.
#[test]
fn fills_each_column_from_the_event() {
    let mut filled = HashSet::new();
    for event in events::varied_events() {
        let row = serde_json::to_value(EventRow::from(&*event)).unwrap();
        let mut expected = events::expected(&event);
        for column in SCHEMA.iter().filter(|column| column.is_generated()) {
            expected.as_object_mut().unwrap().remove(column.name).unwrap();
        }
        assert_eq!(row, expected);
        let members = row.as_object().unwrap().iter().filter(|(_, value)| **value != Value::Null);
        filled.extend(members.map(|(name, _)| name.clone()));
    }
    for column in SCHEMA.iter().filter(|column| !column.is_generated() && column.name != "indexed_metadata") {
        assert!(filled.contains(column.name), "no test event has a value for {}", column.name);
    }
}

#[test]
fn caps_costs_at_a_million_dollars() {
    let rows: Vec<_> = events::hostile_events().iter().map(|event| EventRow::from(&**event)).collect();
    assert_eq!(rows.iter().filter_map(|row| row.total_cost_nanos).max(), Some(1_000_000_000_000_000));
}
