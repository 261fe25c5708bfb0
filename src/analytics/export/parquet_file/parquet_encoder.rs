use std::{
    io::Write,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parquet::{
    basic::{Compression, ZstdLevel},
    errors::{ParquetError, Result},
    file::{
        properties::{WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
    schema::types::SchemaDescriptor,
};

use crate::{
    analytics::QueryError,
    row::{EventRow, Value},
};

use super::{
    super::{
        layout::Layout,
        output::{Output, failed},
        row_encoder::RowEncoder,
    },
    column::Column,
    schema::schema,
};

/// The rows of a group by default.
const GROUP_ROWS: usize = 100_000;
/// The size of the encoded pages after which a group ends early.
const GROUP_BYTES: usize = 64 * 1024 * 1024;

/// The size of a page and of a dictionary before compression.
const PAGE_BYTES: usize = 256 * 1024;

/// Writes rows as a Parquet file.
pub(crate) struct ParquetEncoder {
    layout: Layout,
    schema: SchemaDescriptor,
    properties: WriterPropertiesPtr,
    /// `None` after the end of the file.
    file: Option<SerializedFileWriter<Vec<u8>>>,
    /// The columns of the current group. Empty between groups.
    columns: Vec<Column>,
    group_rows: usize,
    max_group_rows: usize,
    /// The bytes of encoded pages of the current group.
    held: Arc<AtomicUsize>,
}

impl ParquetEncoder {
    pub(crate) fn new(layout: Layout) -> std::result::Result<Self, QueryError> {
        Self::open(layout).map_err(failed)
    }

    fn open(layout: Layout) -> Result<Self> {
        let schema = schema(&layout)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            // Each column holds up to one page and one dictionary.
            .set_data_page_size_limit(PAGE_BYTES)
            .set_dictionary_page_size_limit(PAGE_BYTES)
            .set_created_by(format!("tower-tagging version {}", env!("CARGO_PKG_VERSION")));
        let properties: WriterPropertiesPtr = properties.build().into();
        let file = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), Arc::clone(&properties))?;
        Ok(Self {
            layout,
            schema,
            properties,
            file: Some(file),
            columns: Vec::new(),
            group_rows: 0,
            max_group_rows: GROUP_ROWS,
            held: Arc::default(),
        })
    }

    fn file(&mut self) -> Result<&mut SerializedFileWriter<Vec<u8>>> {
        self.file.as_mut().ok_or_else(|| ParquetError::General("the file is complete".to_owned()))
    }

    /// Adds rows to the current group.
    fn add(&mut self, rows: &[EventRow]) -> Result<()> {
        if self.columns.is_empty() {
            self.columns.extend(
                self.schema.columns().iter().map(|column| {
                    Column::new(Arc::clone(column), Arc::clone(&self.properties), Arc::clone(&self.held))
                }),
            );
        }
        let mut values: Vec<_> = rows.iter().map(|row| self.layout.values(row).into_iter()).collect();
        let mut columns = self.columns.iter_mut();
        let mut next = || columns.next().ok_or_else(|| ParquetError::General("a column is missing".to_owned()));
        for column in &self.layout.columns {
            let values: Vec<Value<'_>> = values.iter_mut().map(|values| values.next().unwrap_or(Value::Null)).collect();
            if column.has_tags() {
                let tags = || rows.iter().map(|row| column.tags(row));
                next()?.write_tags(tags(), column.column.nullable, |(key, _)| key)?;
                next()?.write_tags(tags(), column.column.nullable, |(_, value)| value)?;
            } else {
                next()?.write(&values)?;
            }
        }
        self.group_rows += rows.len();
        Ok(())
    }

    /// Writes the current group to the file.
    fn end_group(&mut self) -> Result<()> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let columns = mem::take(&mut self.columns);
        let mut group = self.file()?.next_row_group()?;
        for column in columns {
            let (pages, result) = column.close()?;
            group.append_column(&pages, result)?;
        }
        group.close()?;
        self.group_rows = 0;
        self.held.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Moves the bytes of the file to the output.
    fn drain(&mut self, output: &mut Output) -> Result<()> {
        let file = self.file()?;
        file.flush()?;
        output.write_all(&mem::take(file.inner_mut()))?;
        Ok(())
    }

    fn write_rows(&mut self, rows: &[EventRow], output: &mut Output) -> Result<()> {
        let mut rows = rows;
        while !rows.is_empty() {
            let (now, later) = rows.split_at(rows.len().min(self.max_group_rows - self.group_rows));
            self.add(now)?;
            if self.group_rows >= self.max_group_rows || self.held.load(Ordering::Relaxed) >= GROUP_BYTES {
                self.end_group()?;
                self.drain(output)?;
            }
            rows = later;
        }
        Ok(())
    }

    fn finish(&mut self, output: &mut Output) -> Result<()> {
        self.end_group()?;
        self.file()?.finish()?;
        self.drain(output)?;
        self.file = None;
        Ok(())
    }
}

impl RowEncoder for ParquetEncoder {
    fn begin(&mut self, _: bool, output: &mut Output) -> std::result::Result<(), QueryError> {
        self.drain(output).map_err(failed)
    }

    fn write(&mut self, rows: &[EventRow], output: &mut Output) -> std::result::Result<(), QueryError> {
        self.write_rows(rows, output).map_err(failed)
    }

    fn end(&mut self, output: &mut Output) -> std::result::Result<(), QueryError> {
        self.finish(output).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use parquet::{
        file::{
            metadata::RowGroupMetaData,
            reader::{FileReader, SerializedFileReader},
        },
        record::Field,
    };

    use crate::{
        analytics::{RowQuery, TimeRange, jiff::Timestamp},
        row::EventRow,
    };

    use super::{
        super::super::{Compression, ExportFormat, settings::Settings},
        Layout, Output, ParquetEncoder, RowEncoder,
    };

    fn row(number: u64) -> EventRow {
        let event = r#"{"schema": "tower-tagging/1", "id": "01979b3c-0000-7000-8000-000000000001",
            "time": "2026-06-01T12:00:00.000000Z", "trace": {"trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": "b7ad6b7169203331", "sampled": true, "source": "generated"}, "request": {"method": "GET",
            "path": "/", "http_version": "HTTP/1.1"}, "response": {"body_bytes": 580}, "timing": {"duration_us": 1},
            "outcome": "completed", "metadata": {}, "sources": {}, "diagnostics": []}"#;
        let event: crate::Event = serde_json::from_str(event).unwrap();
        let mut row = EventRow::from(&event);
        row.total_cost_nanos = (!number.is_multiple_of(3)).then_some(number);
        for tag in 0..number % 4 {
            row.raw_metadata.insert(format!("key{tag}"), number.to_string());
        }
        row.indexed_metadata = number.is_multiple_of(2).then(|| row.raw_metadata.clone());
        row
    }

    #[test]
    fn splits_rows_into_groups() {
        let range = TimeRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX).unwrap();
        let mut settings = Settings::new(RowQuery::new(range));
        settings.format = ExportFormat::Parquet;
        settings.columns = Some(
            ["total_cost", "raw_metadata", "indexed_metadata"]
                .map(ToOwned::to_owned)
                .into_iter()
                .collect::<BTreeSet<_>>(),
        );
        let mut encoder = ParquetEncoder::new(Layout::new(&settings, Vec::new()).unwrap()).unwrap();
        encoder.max_group_rows = 10;
        let mut output = Output::new(Compression::None).unwrap();
        let rows: Vec<EventRow> = (0..25).map(row).collect();
        encoder.begin(false, &mut output).unwrap();
        for page in rows.chunks(7) {
            encoder.write(page, &mut output).unwrap();
        }
        encoder.end(&mut output).unwrap();
        let reader = SerializedFileReader::new(output.finish().unwrap()).unwrap();
        let groups = reader.metadata().row_groups();
        assert_eq!(groups.iter().map(RowGroupMetaData::num_rows).collect::<Vec<_>>(), [10, 10, 5]);
        let found: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.len(), rows.len());
        for (row, found) in rows.iter().zip(found) {
            let found: std::collections::BTreeMap<_, _> = found.into_columns().into_iter().collect();
            let cost = match &found["total_cost"] {
                Field::Null => None,
                Field::Decimal(decimal) => {
                    Some(decimal.data().iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(cost, row.total_cost_nanos);
            let tags = |field: &Field| match field {
                Field::Null => None,
                Field::MapInternal(map) => {
                    let text = |field: &Field| field.to_string().trim_matches('"').to_owned();
                    Some(map.entries().iter().map(|(key, value)| (text(key), text(value))).collect())
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(tags(&found["raw_metadata"]), Some(row.raw_metadata.clone()));
            assert_eq!(tags(&found["indexed_metadata"]), row.indexed_metadata);
        }
    }
}
