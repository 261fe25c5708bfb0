//! Rows that are read from the table.

use std::sync::LazyLock;

use tokio_postgres::{Client, Row, types::ToSql};

use crate::row::{ColumnKind, EventRow, Value};

use super::{super::schema_sql::stored_columns, failure::Failure};

/// The stored columns, with JSON as text.
static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let columns = stored_columns().map(|column| match column.kind {
        ColumnKind::Json => format!("{}::text", column.name),
        _ => column.name.to_owned(),
    });
    columns.collect::<Vec<_>>().join(", ")
});

/// Reads the rows that the clauses after `FROM tagging_events` select.
pub(super) async fn select(
    client: &Client,
    clauses: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<EventRow>, Failure> {
    let rows = client.query(&format!("SELECT {} FROM tagging_events {clauses}", *COLUMNS), params).await?;
    rows.iter().map(decode).collect()
}

fn decode(row: &Row) -> Result<EventRow, Failure> {
    EventRow::from_values(stored_columns().enumerate().map(|(place, column)| Ok(value(row, place, column.kind)?)))
}

pub(super) fn value(row: &Row, place: usize, kind: ColumnKind) -> Result<Value<'_>, tokio_postgres::Error> {
    Ok(match kind {
        ColumnKind::Uuid => row.try_get::<_, Option<_>>(place)?.map_or(Value::Null, Value::Uuid),
        ColumnKind::Time => row.try_get::<_, Option<_>>(place)?.map_or(Value::Null, Value::Time),
        ColumnKind::Boolean => row.try_get::<_, Option<_>>(place)?.map_or(Value::Null, Value::Boolean),
        ColumnKind::Integer => row.try_get::<_, Option<_>>(place)?.map_or(Value::Null, Value::Integer),
        ColumnKind::BigInt => row.try_get::<_, Option<_>>(place)?.map_or(Value::Null, Value::BigInt),
        ColumnKind::Text => row.try_get::<_, Option<&str>>(place)?.map_or(Value::Null, |text| Value::Text(text.into())),
        ColumnKind::Json => row.try_get::<_, Option<&str>>(place)?.map_or(Value::Null, |text| Value::Json(text.into())),
        // No stored column is of this kind.
        ColumnKind::Dollars => Value::Null,
    })
}
