use std::fmt::Write;

use parquet::{
    errors::ParquetError,
    schema::{parser::parse_message_type, types::SchemaDescriptor},
};

use crate::row::ColumnKind;

use super::super::layout::{Layout, LayoutColumn};

/// Returns the schema of a file with the columns of a layout.
pub(super) fn schema(layout: &Layout) -> Result<SchemaDescriptor, ParquetError> {
    let mut text = String::from("message requests {");
    for column in &layout.columns {
        let name = column.name;
        let repetition = if column.column.nullable { "optional" } else { "required" };
        // Writing to a `String` never fails.
        _ = if column.has_tags() {
            write!(
                text,
                "{repetition} group {name} (MAP) {{ repeated group key_value {{ required binary key (STRING); \
                 required binary value (STRING); }} }}"
            )
        } else {
            write!(text, "{repetition} {};", primitive(column))
        };
    }
    text.push('}');
    Ok(SchemaDescriptor::new(parse_message_type(&text)?.into()))
}

fn primitive(column: &LayoutColumn) -> String {
    let name = column.name;
    match column.column.kind {
        ColumnKind::Uuid => format!("fixed_len_byte_array(16) {name} (UUID)"),
        ColumnKind::Time => format!("int64 {name} (TIMESTAMP(MICROS,true))"),
        ColumnKind::Boolean => format!("boolean {name}"),
        ColumnKind::Integer => format!("int32 {name}"),
        ColumnKind::BigInt if column.is_dollars => format!("int64 {name} (DECIMAL(18,9))"),
        ColumnKind::BigInt => format!("int64 {name}"),
        ColumnKind::Json => format!("binary {name} (JSON)"),
        ColumnKind::Text => format!("binary {name} (STRING)"),
        // No row has values of these. They are written as decimals above.
        ColumnKind::Dollars => format!("int64 {name} (DECIMAL(18,9))"),
    }
}
