//! Files with single requests, streamed page by page.
//!
//! An [`Export`] is a value: a query, a format, and a compression. [`Export::start`] checks the grant and returns an
//! [`ExportStream`], which reads a page of rows whenever it is polled. So memory does not grow with the number of rows,
//! and the first bytes are there at once. [`ExportStream::into_response`] is the whole handler of an HTTP download.
//!
//! A file is complete if its [`ExportSummary`] is available: to code, as the trailers of an [`ExportBody`], or as the
//! last line of JSON lines. If it is not, another export continues after the last complete row; see [`ExportToken`].
//!
//! A Parquet file is written in row groups. Up to 64 MiB of compressed pages are held until a group is complete.

mod answer_csv;
mod compression;
mod content;
mod csv_encoder;
mod csv_text;
mod default_keys;
mod denied_fields;
mod export;
mod export_body;
mod export_format;
mod export_stream;
mod export_summary;
mod export_token;
mod jsonl_encoder;
mod layout;
mod nanos;
mod output;
#[cfg(feature = "parquet")]
mod parquet_file;
mod progress;
mod row_encoder;
mod run;
mod settings;

#[cfg(feature = "dashboard")]
pub(crate) use self::csv_text::csv_lines;
pub use self::{
    compression::Compression, export::Export, export_body::ExportBody, export_format::ExportFormat,
    export_stream::ExportStream, export_summary::ExportSummary, export_token::ExportToken,
};
pub(crate) use self::{
    csv_text::{csv_text, csv_writer},
    denied_fields::DeniedFields,
    export_body::trailers,
    output::{Output, hex},
};
