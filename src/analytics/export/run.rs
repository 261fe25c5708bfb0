use std::{
    io::Write,
    mem,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use crate::{
    analytics::{Page, QueryError, RowQuery},
    sync::lock,
};

use super::{
    Compression, ExportFormat, ExportSummary, ExportToken,
    csv_encoder::CsvEncoder,
    denied_fields::DeniedFields,
    jsonl_encoder::JsonlEncoder,
    layout::Layout,
    output::{Output, failed},
    progress::Progress,
    row_encoder::RowEncoder,
    row_source::RowSource,
    settings::Settings,
};

/// The rows that are read at a time.
const PAGE_ROWS: u32 = 1_000;

/// An export in progress.
pub(super) struct Run<S> {
    source: S,
    query: RowQuery,
    denied: DeniedFields,
    encoder: Box<dyn RowEncoder>,
    output: Output,
    phase: Phase,
    is_continued: bool,
    /// The last row so far, of this export or the one that it continues.
    last: Option<ExportToken>,
    fingerprint: String,
    rows: u64,
    max_rows: u64,
    has_more: bool,
    has_summary_line: bool,
    is_resumable: bool,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Clone, Copy)]
enum Phase {
    Begin,
    Rows,
    End,
    Done,
}

impl<S: RowSource> Run<S> {
    pub(super) fn new(
        export: Settings,
        source: S,
        layout: Layout,
        fingerprint: String,
        progress: Arc<Mutex<Progress>>,
    ) -> Result<Self, QueryError> {
        let encoder: Box<dyn RowEncoder> = match export.format {
            ExportFormat::Jsonl => Box::new(JsonlEncoder::new(layout)),
            ExportFormat::Csv => Box::new(CsvEncoder::new(layout)),
            #[cfg(feature = "parquet")]
            ExportFormat::Parquet if export.compression != Compression::None => {
                return Err(QueryError::invalid("Parquet files are compressed inside: choose no compression"));
            }
            #[cfg(feature = "parquet")]
            ExportFormat::Parquet => Box::new(super::parquet_file::ParquetEncoder::new(layout)?),
        };
        let mut query = export.query.oldest_first().limit(PAGE_ROWS);
        query.cursor = None;
        Ok(Self {
            source,
            query,
            denied: export.denied,
            encoder,
            output: Output::new(export.compression)?,
            phase: Phase::Begin,
            is_continued: export.token.is_some(),
            last: export.token,
            fingerprint,
            rows: 0,
            max_rows: export.max_rows,
            has_more: false,
            has_summary_line: export.has_summary_line && export.format == ExportFormat::Jsonl,
            is_resumable: matches!(export.format, ExportFormat::Jsonl | ExportFormat::Csv),
            progress,
        })
    }

    /// Returns the next bytes of the content.
    pub(super) async fn next(mut self) -> Result<Option<(Bytes, Self)>, QueryError> {
        loop {
            let bytes = match self.phase {
                Phase::Begin => {
                    self.encoder.begin(self.is_continued, &mut self.output)?;
                    self.phase = Phase::Rows;
                    self.output.take()?
                }
                Phase::Rows => {
                    let page = self.source.page(&self.query).await?;
                    self.add(page)?;
                    let bytes = self.output.take()?;
                    lock(&self.progress).token = self.last.clone().filter(|_| self.is_resumable);
                    bytes
                }
                Phase::End => self.end()?,
                Phase::Done => return Ok(None),
            };
            if !bytes.is_empty() {
                return Ok(Some((bytes, self)));
            }
        }
    }

    fn add(&mut self, page: Page) -> Result<(), QueryError> {
        let Page { mut rows, next } = page;
        // A row that was inserted in the meantime may move the cursor of the store back.
        if let Some(last) = &self.last {
            rows.retain(|row| last.is_before(row));
        }
        let room = usize::try_from(self.max_rows.saturating_sub(self.rows)).unwrap_or(usize::MAX);
        self.has_more = rows.len() > room;
        rows.truncate(room);
        if let Some(row) = rows.last() {
            self.last = Some(ExportToken::after(row).with_layout(&self.fingerprint));
        }
        rows.iter_mut().for_each(|row| self.denied.remove_from(row));
        self.rows += rows.len() as u64;
        self.encoder.write(&rows, &mut self.output)?;
        if self.has_more || next.is_none() {
            self.phase = Phase::End;
        }
        self.query.cursor = next;
        Ok(())
    }

    fn end(&mut self) -> Result<Bytes, QueryError> {
        self.phase = Phase::Done;
        self.encoder.end(&mut self.output)?;
        let next = self.last.clone().filter(|_| self.has_more);
        let summary = ExportSummary { rows: self.rows, sha256: self.output.digest(), next };
        if self.has_summary_line {
            let line = serde_json::json!({ "export": summary });
            writeln!(self.output, "{line}").map_err(failed)?;
        }
        let output = mem::replace(&mut self.output, Output::new(Compression::None)?);
        let bytes = output.finish()?;
        lock(&self.progress).summary = Some(summary);
        Ok(bytes)
    }
}
