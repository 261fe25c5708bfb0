//! Rows of the table, in both directions.

use std::{error::Error, sync::LazyLock};

use rusqlite::{
    Connection, Params, Row, Statement,
    types::{Null, ValueRef},
};
use uuid::Uuid;

use crate::row::{ColumnKind, EventRow, Value};

use super::{
    super::{StoreError, schema_sql::stored_columns},
    database_file::{DatabaseFile, time_text},
};

/// The names of the stored columns, separated by commas.
static COLUMNS: LazyLock<String> =
    LazyLock::new(|| stored_columns().map(|column| column.name).collect::<Vec<_>>().join(", "));

/// Inserts a row whose id is new.
pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (1..).zip(stored_columns()).map(|(place, _)| format!("?{place}")).collect();
    let places = places.join(", ");
    format!("INSERT INTO tagging_events ({}) VALUES ({places}) ON CONFLICT (id) DO NOTHING", *COLUMNS)
});

/// Inserts a row with the statement [`INSERT`]. Returns `false` if the table has its id.
pub(super) fn insert(insert: &mut Statement<'_>, row: &EventRow) -> rusqlite::Result<bool> {
    for (place, value) in (1..).zip(row.values()) {
        bind(insert, place, &value)?;
    }
    Ok(insert.raw_execute()? > 0)
}

fn bind(statement: &mut Statement<'_>, place: usize, value: &Value<'_>) -> rusqlite::Result<()> {
    match value {
        Value::Null => statement.raw_bind_parameter(place, Null),
        Value::Uuid(id) => statement.raw_bind_parameter(place, id_text(*id, &mut Uuid::encode_buffer())),
        Value::Time(time) => statement.raw_bind_parameter(place, time_text(*time)),
        Value::Boolean(is_set) => statement.raw_bind_parameter(place, is_set),
        Value::Integer(number) => statement.raw_bind_parameter(place, number),
        Value::BigInt(number) => statement.raw_bind_parameter(place, number),
        Value::Text(text) | Value::Json(text) => statement.raw_bind_parameter(place, &**text),
    }
}

/// Writes an id as it is stored.
pub(super) fn id_text(id: Uuid, buffer: &mut [u8]) -> &str {
    id.hyphenated().encode_lower(buffer)
}

/// Reads the rows that the clauses after `FROM tagging_events` select.
pub(super) fn select(
    db: &Connection,
    file: &DatabaseFile,
    clauses: &str,
    params: impl Params,
) -> Result<Vec<EventRow>, StoreError> {
    let sql_error = file.error("read events from");
    let sql = format!("SELECT {} FROM tagging_events {clauses}", *COLUMNS);
    let mut select = db.prepare(&sql).map_err(&sql_error)?;
    let mut rows = select.query(params).map_err(&sql_error)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(&sql_error)? {
        let event = decode(row);
        events.push(
            event.map_err(|error| StoreError::database(format!("read events from {}", file.path.display()), error))?,
        );
    }
    Ok(events)
}

fn decode(row: &Row<'_>) -> Result<EventRow, Box<dyn Error + Send + Sync>> {
    EventRow::from_values(stored_columns().enumerate().map(|(place, column)| {
        let stored = row.get_ref(place)?;
        value(column.kind, stored).ok_or_else(|| format!("column {} holds {stored:?}", column.name).into())
    }))
}

/// Returns `None` if the stored value is not of this kind.
pub(super) fn value(kind: ColumnKind, stored: ValueRef<'_>) -> Option<Value<'_>> {
    let value = match (kind, stored) {
        (_, ValueRef::Null) => Value::Null,
        (ColumnKind::Boolean, ValueRef::Integer(number)) => Value::Boolean(number != 0),
        (ColumnKind::Integer, ValueRef::Integer(number)) => Value::Integer(number.try_into().ok()?),
        (ColumnKind::BigInt, ValueRef::Integer(number)) => Value::BigInt(number),
        (ColumnKind::Uuid, ValueRef::Text(text)) => Value::Uuid(Uuid::try_parse_ascii(text).ok()?),
        (kind, ValueRef::Text(text)) => {
            let text = str::from_utf8(text).ok()?;
            match kind {
                ColumnKind::Time => Value::Time(humantime::parse_rfc3339(text).ok()?),
                ColumnKind::Text => Value::Text(text.into()),
                ColumnKind::Json => Value::Json(text.into()),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(value)
}
