use std::{
    io::Write,
    mem,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use crate::{
    analytics::{
        QueryError,
        row_pages::{RowPages, RowSource},
    },
    row::EventRow,
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
    settings::Settings,
};

/// The rows that are read at a time.
const PAGE_ROWS: u32 = 1_000;

/// An export in progress.
pub(super) struct Run<S> {
    pages: RowPages<S>,
    denied: DeniedFields,
    encoder: Box<dyn RowEncoder>,
    output: Output,
    phase: Phase,
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
        let mut query = export.query;
        query.cursor = None;
        Ok(Self {
            pages: RowPages::of(source, &query).page_size(PAGE_ROWS),
            denied: export.denied,
            encoder,
            output: Output::new(export.compression)?,
            phase: Phase::Begin,
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
                    self.encoder.begin(self.last.is_some(), &mut self.output)?;
                    self.phase = Phase::Rows;
                    self.output.take()?
                }
                Phase::Rows => {
                    let rows = self.pages.next().await?.unwrap_or_default();
                    self.add(rows)?;
                    let bytes = self.output.take()?;
                    let mut progress = lock(&self.progress);
                    progress.rows = self.rows;
                    progress.token = self.last.clone().filter(|_| self.is_resumable);
                    drop(progress);
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

    fn add(&mut self, mut rows: Vec<EventRow>) -> Result<(), QueryError> {
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
        if self.has_more || !self.pages.has_more() {
            self.phase = Phase::End;
        }
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use jiff::Timestamp;

    use crate::{
        analytics::{Export, Page, RowQuery, TimeRange},
        row::EventRow,
    };

    use super::{Compression, ExportFormat, QueryError, RowSource};

    /// Rows that are created when they are read.
    struct Synthetic {
        row: EventRow,
        count: u64,
    }

    impl Synthetic {
        fn new(count: u64) -> Self {
            let event = r#"{"schema": "tower-tagging/1", "id": "01979b3c-0000-7000-8000-000000000001",
                "time": "2026-06-01T12:00:00.000000Z", "trace": {"trace_id": "0af7651916cd43dd8448eb211c80319c",
                "span_id": "b7ad6b7169203331", "sampled": true, "source": "generated"}, "request": {"method": "POST",
                "path": "/v1/chat/completions", "host": "api.example.com", "http_version": "HTTP/1.1"},
                "response": {"status": 200, "body_bytes": 580}, "timing": {"duration_us": 250000},
                "outcome": "completed", "metadata": {"team": "search", "_user": "u"}, "sources": {"team": "request"},
                "diagnostics": [], "llm": {"provider": "openai", "operation": "chat", "request_model": "gpt-4o",
                "response_model": "gpt-4o", "stream": false, "usage_status": "reported", "usage": {"input_tokens": 9},
                "cost_status": "priced", "cost_usd": 0.0035, "price_source": "custom"}}"#;
            let event: crate::Event = serde_json::from_str(event).unwrap();
            Self { row: EventRow::from(&event), count }
        }

        fn row(&self, number: u64) -> EventRow {
            let mut row = self.row.clone();
            row.id = uuid::Uuid::from_u128(number.into());
            row.requested_at += std::time::Duration::from_millis(number);
            row.trace_id = format!("{:032x}", u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c);
            row.total_cost_nanos = Some(number);
            row.raw_metadata.insert("_user", format!("user-{}", number % 5_000));
            row
        }
    }

    impl RowSource for Synthetic {
        async fn page(&self, query: &RowQuery) -> Result<Page, QueryError> {
            let from: u64 = query.cursor.as_deref().unwrap_or("0").parse().unwrap();
            let to = (from + u64::from(query.limit)).min(self.count);
            let rows = (from..to).map(|number| self.row(number)).collect();
            Ok(Page { rows, next: (to < self.count).then(|| to.to_string()) })
        }
    }

    fn export(format: ExportFormat, compression: Compression) -> Export {
        let range = TimeRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX).unwrap();
        Export::new(RowQuery::new(range)).format(format).compression(compression)
    }

    /// Returns the largest number of bytes that an export holds at a time.
    fn peak(export: &Export, rows: u64) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let source = Synthetic::new(rows);
        let measured = allocation_counter::measure(|| {
            runtime.block_on(async {
                let mut stream = export.clone().start_from(source, vec!["team".to_owned()]).unwrap();
                while let Some(piece) = stream.next().await {
                    piece.unwrap();
                }
                assert_eq!(stream.summary().unwrap().rows, rows);
            });
        });
        measured.bytes_max
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_rows() {
        for (format, compression) in [(ExportFormat::Jsonl, Compression::None), (ExportFormat::Csv, Compression::Gzip)]
        {
            let export = export(format, compression);
            let (small, large) = (peak(&export, 2_000), peak(&export, 20_000));
            assert!(large < small + small / 10, "{format}: {small} and {large} bytes");
            assert!(large < 16 * 1024 * 1024, "{format}: {large} bytes");
        }
    }

    #[test]
    #[ignore = "takes a minute"]
    fn exports_a_million_rows_in_constant_memory() {
        let narrow = export(ExportFormat::Jsonl, Compression::None).columns(["id"]);
        for (export, first, last) in [
            (narrow, 20_000, 1_000_000),
            (export(ExportFormat::Jsonl, Compression::None), 2_000, 60_000),
            (export(ExportFormat::Csv, Compression::Gzip), 2_000, 40_000),
            // A row group has 100,000 rows.
            #[cfg(feature = "parquet")]
            (export(ExportFormat::Parquet, Compression::None).columns(["id"]), 120_000, 320_000),
        ] {
            let (small, large) = (peak(&export, first), peak(&export, last));
            assert!(large < small + small / 10, "{export:?}: {small} and {large} bytes");
            assert!(large < 64 * 1024 * 1024, "{export:?}: {large} bytes");
        }
    }

    /// A row that arrives late moves the cursors of a store that counts rows.
    #[test]
    fn skips_rows_that_a_page_repeats() {
        struct Repeating(Synthetic);

        impl RowSource for Repeating {
            async fn page(&self, query: &RowQuery) -> Result<Page, QueryError> {
                let mut page = self.0.page(query).await?;
                if query.cursor.is_some() {
                    page.rows.insert(0, self.0.row(999));
                }
                Ok(page)
            }
        }

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let stream = export(ExportFormat::Csv, Compression::None).columns(["id"]);
        let mut stream = stream.start_from(Repeating(Synthetic::new(3_000)), Vec::new()).unwrap();
        let mut text = Vec::new();
        runtime.block_on(async {
            while let Some(piece) = stream.next().await {
                text.extend_from_slice(&piece.unwrap());
            }
        });
        let text = String::from_utf8(text).unwrap();
        let mut ids: Vec<&str> = text.lines().skip(1).collect();
        ids.dedup();
        assert_eq!((ids.len(), stream.summary().unwrap().rows), (3_000, 3_000));
    }

    /// The reader learns that the content is incomplete.
    #[test]
    fn ends_with_the_error_of_the_store() {
        struct Failing(Synthetic);

        impl RowSource for Failing {
            async fn page(&self, query: &RowQuery) -> Result<Page, QueryError> {
                if query.cursor.is_some() {
                    return Err(QueryError::invalid("the store is gone"));
                }
                self.0.page(query).await
            }
        }

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let stream = export(ExportFormat::Jsonl, Compression::None);
        let mut stream = stream.start_from(Failing(Synthetic::new(3_000)), Vec::new()).unwrap();
        runtime.block_on(async {
            assert!(stream.next().await.unwrap().is_ok());
            let token = stream.token().unwrap();
            assert_eq!(token.id(), uuid::Uuid::from_u128(999));
            assert!(stream.next().await.unwrap().is_err());
            assert!(stream.next().await.is_none() && stream.summary().is_none());
            assert_eq!(stream.token(), Some(token));
        });
        let body = export(ExportFormat::Jsonl, Compression::None)
            .start_from(Failing(Synthetic::new(3_000)), Vec::new())
            .unwrap()
            .into_body();
        let frames = runtime.block_on(http_body_util::BodyExt::collect(body));
        assert!(frames.is_err());
    }
}
