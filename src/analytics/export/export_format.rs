use std::fmt;

/// The format of exported requests.
///
/// All formats have the columns of [`SCHEMA`](crate::store::SCHEMA), except those that are denied or not selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportFormat {
    /// One JSON object per line.
    ///
    /// It is the request as [`EventRow`](crate::store::EventRow) serializes. Costs are in nano-dollars,
    /// unless the export selects a column in US dollars by its name, such as `total_cost`.
    #[default]
    Jsonl,
    /// Comma-separated values in UTF-8 with a header.
    ///
    /// The format is that of [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180). Costs are in US dollars and exact.
    /// `raw_metadata` has all tags as JSON. Each chosen key has an additional column
    /// `metadata.KEY`. A `'` precedes text that a spreadsheet would take for a formula.
    Csv,
    /// [Apache Parquet](https://parquet.apache.org/docs/file-format/).
    ///
    /// Pages are compressed with Zstandard. Times are `TIMESTAMP` in UTC with microseconds, costs are `DECIMAL(18,9)`
    /// in US dollars, and tags are
    /// `MAP<string,string>`. A row group has up to 100,000 rows.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl ExportFormat {
    /// All formats that the features of the crate include.
    pub const ALL: &'static [Self] = &[
        Self::Jsonl,
        Self::Csv,
        #[cfg(feature = "parquet")]
        Self::Parquet,
    ];

    /// Returns the name, which is also the extension of file names, such as `csv`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
        }
    }

    /// Returns the format with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.as_str() == name)
    }

    /// Returns the media type of an uncompressed file.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            #[cfg(feature = "parquet")]
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
