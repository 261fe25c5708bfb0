use std::io::Write;

use crate::{
    analytics::{Analytics, Grant, RowQuery, TimeRange, row_pages::RowPages},
    registry::Permission,
};

use super::{FocusError, FocusManifest, FocusVersion, focus_file::FocusFile, focus_settings::FocusSettings};

/// An export of cost rows as a FOCUS CSV file; see the [module](super).
#[derive(Clone, Debug)]
pub struct FocusExport {
    settings: FocusSettings,
}

impl FocusExport {
    /// Creates an export in the default version. FOCUS requires the id of the account that pays the invoices.
    pub fn new(billing_account_id: impl Into<String>) -> Self {
        let billing_account_id = billing_account_id.into();
        Self { settings: FocusSettings { version: FocusVersion::default(), billing_account_id, tag_keys: Vec::new() } }
    }

    /// Sets the version of the specification.
    #[must_use]
    pub fn version(mut self, version: FocusVersion) -> Self {
        self.settings.version = version;
        self
    }

    /// Adds a key of tags that rows distinguish, in the column `Tags`. Each combination of values has its own rows.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>) -> Self {
        self.settings.tag_keys.push(key.into());
        self
    }

    /// Starts a file of the requests of a range.
    pub(crate) fn start(&self, range: &TimeRange) -> Result<FocusFile, FocusError> {
        FocusFile::new(&self.settings, range)
    }

    /// Writes the costs of the requests of a query, and returns the manifest.
    ///
    /// Takes the range and the conditions of the query. Reads the requests once, page by page, and writes a day at a time, so
    /// memory is bounded by the rows of a day. The sum of `BilledCost` is exactly the known cost of the requests. A query
    /// without requests still writes the header.
    ///
    /// # Errors
    /// Returns [`FocusError::Query`] as [`Analytics::rows`] does, with [`Permission::LogsExport`], or if a day has more than
    /// 100,000 rows, and [`FocusError::Write`] if the writer fails.
    pub async fn write(
        &self,
        analytics: &Analytics,
        query: &RowQuery,
        grant: &Grant,
        mut writer: impl Write,
    ) -> Result<FocusManifest, FocusError> {
        let mut file = self.start(&query.range)?;
        let mut pages = RowPages::new(analytics, query, grant, Permission::LogsExport);
        while let Some(rows) = pages.next().await? {
            rows.iter().try_for_each(|row| file.add(row))?;
            writer.write_all(&file.take()?)?;
        }
        let (rest, manifest) = file.finish()?;
        writer.write_all(&rest)?;
        writer.flush()?;
        Ok(manifest)
    }
}
