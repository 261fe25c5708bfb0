use crate::{
    analytics::{
        Analytics, Grant, QueryError, RowQuery,
        row_pages::{GrantedRows, RowSource},
    },
    registry::Permission,
};

use super::{
    Compression, ExportFormat, ExportStream, ExportToken, default_keys::default_keys, denied_fields::DeniedFields,
    layout::Layout, settings::Settings,
};

/// An export of requests, the oldest first.
///
/// Memory does not grow with the number of requests: a page of 1,000 rows is read whenever the stream is polled.
/// Parquet additionally holds the compressed pages of a row group, at most about 64 MiB. A file is complete if its
/// [summary](super::ExportSummary) is available: to code, as the trailers of an [`ExportBody`](super::ExportBody), or
/// as the last line of JSON lines. If a file is incomplete, [another export](Self::resume) continues after its last
/// complete row.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::TryStreamExt;
/// use tower_tagging::{
///     analytics::{Analytics, Compression, Export, ExportFormat, Grant, RowQuery, TimeRange},
///     store::MemoryStore,
/// };
///
/// let analytics = Analytics::new(MemoryStore::new());
/// let june = TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "UTC")?;
/// let export = Export::new(RowQuery::new(june))
///     .format(ExportFormat::Csv)
///     .compression(Compression::Gzip)
///     .keys(["team", "feature"])
///     .deny_keys(["email"]);
///
/// let mut stream = export.start(&analytics, &Grant::everything()).await?;
/// let mut file = Vec::new(); // or a file, or the body of a response
/// while let Some(bytes) = stream.try_next().await? {
///     file.extend_from_slice(&bytes);
/// }
/// assert_eq!(stream.summary().map(|summary| summary.rows), Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "an export has no effect until it is started"]
pub struct Export {
    settings: Settings,
}

impl Export {
    /// Creates an export of the requests that a query selects.
    ///
    /// Its format is JSON lines without compression. The order, the limit, and the cursor of the query are ignored.
    pub fn new(query: RowQuery) -> Self {
        Self { settings: Settings::new(query) }
    }

    /// Sets the format.
    pub fn format(mut self, format: ExportFormat) -> Self {
        self.settings.format = format;
        self
    }

    /// Sets the compression. Parquet files are compressed inside, and take none.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.settings.compression = compression;
        self
    }

    /// Selects columns of [`SCHEMA`](crate::store::SCHEMA) by their names.
    ///
    /// By default, an export has all of them. CSV and Parquet then lack `indexed_metadata`, whose tags `raw_metadata`
    /// has too. In JSON lines, a cost has the form that is named: `total_cost_nanos`, or `total_cost` in US dollars.
    pub fn columns(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the keys that have their own columns in CSV.
    ///
    /// By default, these are the active keys of the store. For a grant that does not cover everything, they are those of its own
    /// rows in the range, and those that its conditions require.
    pub fn keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Adds columns that the export never contains, also if they are selected.
    ///
    /// Denying a cost denies both its form in nano-dollars and that in US dollars. Denying `raw_metadata` denies all
    /// tags, and with them `indexed_metadata`, `metadata_sources`, and `diagnostics`.
    pub fn deny_columns(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        names.into_iter().for_each(|name| self.settings.denied.deny_column(name));
        self
    }

    /// Adds keys of tags that the export never contains, in any case.
    ///
    /// Their values, the sources of these, and the notes on them are left out.
    pub fn deny_keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        keys.into_iter().for_each(|key| self.settings.denied.deny_key(key));
        self
    }

    /// Sets the columns and the tags that the export never contains.
    pub(crate) fn deny(mut self, denied: DeniedFields) -> Self {
        self.settings.denied = denied;
        self
    }

    /// Continues after a place in an earlier export.
    ///
    /// The new content can be appended to the earlier one: CSV has no second header, and compressed files may be
    /// concatenated. A Parquet file cannot be continued, so the other rows become a file of their own. Requests that
    /// arrived late, with a time before this place, are not included.
    pub fn resume(mut self, token: ExportToken) -> Self {
        self.settings.token = Some(token);
        self
    }

    /// Ends the export after a number of requests.
    ///
    /// The summary then has a token for the others.
    pub fn max_rows(mut self, rows: u64) -> Self {
        self.settings.max_rows = rows;
        self
    }

    /// Ends JSON lines with a line that shows that the file is complete.
    ///
    /// The line is `{"export":{"rows":…,"sha256":…,"next":…}}`. Other formats ignore this.
    pub fn summary_line(mut self) -> Self {
        self.settings.has_summary_line = true;
        self
    }

    /// Returns the name of a file with this export, such as `requests.csv.gz`.
    pub fn file_name(&self) -> String {
        self.settings.file_name()
    }

    /// Starts the export. Rows are read while the stream is.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] if the grant does not include [`Permission::LogsExport`],
    /// [`QueryError::Invalid`] if a column is unknown, or if the token does not fit the range or the columns, and
    /// [`QueryError::Store`] if the keys cannot be read.
    pub async fn start(self, analytics: &Analytics, grant: &Grant) -> Result<ExportStream, QueryError> {
        grant.require(Permission::LogsExport)?;
        let needs_keys = self.settings.format == ExportFormat::Csv && self.settings.keys.is_none();
        let keys = if needs_keys { default_keys(analytics, &self.settings.query, grant).await? } else { Vec::new() };
        let permission = Permission::LogsExport;
        self.start_from(GrantedRows { analytics: analytics.clone(), grant: grant.clone(), permission }, keys)
    }

    /// Starts the export of other rows.
    pub(super) fn start_from(
        mut self,
        source: impl RowSource,
        active: Vec<String>,
    ) -> Result<ExportStream, QueryError> {
        let layout = Layout::new(&self.settings, active)?;
        let fingerprint = layout.fingerprint(self.settings.format);
        if let Some(token) = &self.settings.token {
            let range = &self.settings.query.range;
            if token.layout().is_some_and(|layout| layout != fingerprint) {
                return Err(QueryError::invalid(
                    "the export token belongs to an export with another format or other columns",
                ));
            }
            if token.time() < range.from() || token.time() >= range.to() {
                return Err(QueryError::invalid(format!(
                    "the export token is at {}, which is outside of the range from {} to {}",
                    token.time(),
                    range.from(),
                    range.to()
                )));
            }
            self.settings.query.range = range.cut(token.time(), range.to());
        }
        ExportStream::new(self.settings, source, layout, fingerprint)
    }
}
