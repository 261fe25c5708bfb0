use std::sync::{Arc, atomic::AtomicUsize};

use bytes::Bytes;
use parquet::{
    column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer},
    data_type::{ByteArray, FixedLenByteArray},
    errors::{ParquetError, Result},
    file::properties::WriterPropertiesPtr,
    schema::types::ColumnDescPtr,
};

use crate::{metadata::Metadata, row::Value, time::micros_since_1970};

use super::page_buffer::{PageBuffer, SharedBytes};

/// The writer of one column of the current row group.
pub(super) struct Column {
    writer: ColumnWriter<'static>,
    pages: SharedBytes,
    is_nullable: bool,
}

impl Column {
    pub(super) fn new(column: ColumnDescPtr, properties: WriterPropertiesPtr, held: Arc<AtomicUsize>) -> Self {
        let pages = SharedBytes::new(held);
        let is_nullable = column.self_type().is_optional();
        let writer = get_column_writer(column, properties, Box::new(PageBuffer::new(pages.clone())));
        Self { writer, pages, is_nullable }
    }

    /// Writes one value per row.
    pub(super) fn write(&mut self, values: &[Value<'_>]) -> Result<()> {
        let levels: Vec<i16> = values.iter().map(|value| i16::from(*value != Value::Null)).collect();
        let levels = self.is_nullable.then_some(levels.as_slice());
        match &mut self.writer {
            ColumnWriter::BoolColumnWriter(writer) => writer.write_batch(&known(values, boolean)?, levels, None),
            ColumnWriter::Int32ColumnWriter(writer) => writer.write_batch(&known(values, int32)?, levels, None),
            ColumnWriter::Int64ColumnWriter(writer) => writer.write_batch(&known(values, int64)?, levels, None),
            ColumnWriter::ByteArrayColumnWriter(writer) => writer.write_batch(&known(values, text)?, levels, None),
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
                writer.write_batch(&known(values, uuid)?, levels, None)
            }
            _ => return Err(mismatch()),
        }?;
        Ok(())
    }

    /// Writes the keys or the values of the tags of each row.
    pub(super) fn write_tags<'a>(
        &mut self,
        rows: impl Iterator<Item = Option<&'a Metadata>>,
        is_nullable: bool,
        part: impl Fn((&'a str, &'a str)) -> &'a str,
    ) -> Result<()> {
        let ColumnWriter::ByteArrayColumnWriter(writer) = &mut self.writer else { return Err(mismatch()) };
        let (mut texts, mut levels, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
        // No map, a map without tags, or a tag.
        let empty = i16::from(is_nullable);
        for tags in rows {
            let before = texts.len();
            texts.extend(tags.into_iter().flatten().map(|tag| ByteArray::from(part(tag))));
            let count = texts.len() - before;
            if count == 0 {
                levels.push(if tags.is_some() { empty } else { 0 });
                repetitions.push(0);
            }
            levels.extend(std::iter::repeat_n(empty + 1, count));
            repetitions.extend((0..count).map(|index| i16::from(index > 0)));
        }
        writer.write_batch(&texts, Some(&levels), Some(&repetitions))?;
        Ok(())
    }

    /// Returns the encoded pages and their description.
    pub(super) fn close(self) -> Result<(Bytes, ColumnCloseResult)> {
        let result = self.writer.close()?;
        Ok((self.pages.take().into(), result))
    }
}

/// Returns the values that are not unknown.
fn known<'v, T>(values: &'v [Value<'_>], read: impl Fn(&'v Value<'_>) -> Option<T>) -> Result<Vec<T>> {
    let values = values.iter().filter(|value| **value != Value::Null);
    values.map(|value| read(value).ok_or_else(mismatch)).collect()
}

fn mismatch() -> ParquetError {
    ParquetError::General("a value is not of the type of its column".to_owned())
}

fn boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(is_set) => Some(*is_set),
        _ => None,
    }
}

fn int32(value: &Value<'_>) -> Option<i32> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn int64(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::BigInt(number) => Some(*number),
        Value::Time(time) => i64::try_from(micros_since_1970(*time)).ok(),
        _ => None,
    }
}

fn text(value: &Value<'_>) -> Option<ByteArray> {
    match value {
        Value::Text(text) | Value::Json(text) => Some(ByteArray::from(&**text)),
        _ => None,
    }
}

fn uuid(value: &Value<'_>) -> Option<FixedLenByteArray> {
    match value {
        Value::Uuid(id) => Some(ByteArray::from(id.as_bytes().to_vec()).into()),
        _ => None,
    }
}
