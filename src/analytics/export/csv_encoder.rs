use std::{borrow::Cow, io::Write, mem};

use crate::{
    analytics::QueryError,
    row::{EventRow, Value},
    usage::SignedMoney,
};

use super::{
    csv_text::{csv_text, csv_writer},
    layout::Layout,
    output::{Output, failed},
    row_encoder::RowEncoder,
};

/// Writes rows as comma-separated values.
pub(super) struct CsvEncoder {
    layout: Layout,
    buffer: Vec<u8>,
}

impl CsvEncoder {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, buffer: Vec::new() }
    }

    /// Writes records that `write` creates.
    fn records(
        &mut self,
        output: &mut Output,
        write: impl FnOnce(&Layout, &mut csv::Writer<Vec<u8>>) -> csv::Result<()>,
    ) -> Result<(), QueryError> {
        let mut buffer = mem::take(&mut self.buffer);
        buffer.clear();
        let mut writer = csv_writer(buffer);
        write(&self.layout, &mut writer).map_err(failed)?;
        self.buffer = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        output.write_all(&self.buffer).map_err(failed)
    }
}

impl RowEncoder for CsvEncoder {
    fn begin(&mut self, is_continued: bool, output: &mut Output) -> Result<(), QueryError> {
        if is_continued {
            return Ok(());
        }
        self.records(output, |layout, writer| {
            writer.write_record(layout.names().map(|name| csv_text(&name).into_owned()))
        })
    }

    fn write(&mut self, rows: &[EventRow], output: &mut Output) -> Result<(), QueryError> {
        self.records(output, |layout, writer| {
            for row in rows {
                for (column, value) in layout.columns.iter().zip(layout.values(row)) {
                    writer.write_field(cell(value, column.is_dollars).as_bytes())?;
                }
                for key in &layout.keys {
                    writer.write_field(csv_text(row.raw_metadata.get(key).unwrap_or_default()).as_bytes())?;
                }
                writer.write_record(None::<&[u8]>)?;
            }
            Ok(())
        })
    }

    fn end(&mut self, _: &mut Output) -> Result<(), QueryError> {
        Ok(())
    }
}

/// Returns the text of a value. Unknown values are empty.
fn cell(value: Value<'_>, is_dollars: bool) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::Uuid(id) => id.to_string().into(),
        Value::Time(time) => humantime::format_rfc3339_micros(time).to_string().into(),
        Value::Boolean(is_set) => if is_set { "true" } else { "false" }.into(),
        Value::Integer(number) => number.to_string().into(),
        Value::BigInt(number) if is_dollars => format!("{:.9}", SignedMoney::from_nano_usd(number)).into(),
        Value::BigInt(number) => number.to_string().into(),
        Value::Text(Cow::Borrowed(text)) => csv_text(text),
        Value::Text(Cow::Owned(text)) => csv_text(&text).into_owned().into(),
        Value::Json(text) => text,
    }
}
