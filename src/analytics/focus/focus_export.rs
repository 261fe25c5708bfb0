use std::{collections::BTreeMap, io::Write};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    analytics::{Analytics, Grant, QueryError, RowQuery, row_pages::RowPages, row_usage::disjoint_counts},
    registry::Permission,
    row::EventRow,
    usage::Money,
};

use super::{
    FocusError, FocusManifest, FocusVersion, UnpricedUsage,
    focus_group::{FocusGroup, FocusSums, metered},
    focus_meter::FocusMeter,
    focus_record::FocusRecord,
};

/// The largest number of rows of a day, and of unpriced groups, that are held in memory.
const MAX_GROUPS: usize = 100_000;

/// An export of cost rows as a FOCUS CSV file; see the [module](super).
#[derive(Clone, Debug)]
pub struct FocusExport {
    version: FocusVersion,
    billing_account_id: String,
    tag_keys: Vec<String>,
}

impl FocusExport {
    /// Creates an export in the default version. FOCUS requires the id of the account that pays the invoices.
    pub fn new(billing_account_id: impl Into<String>) -> Self {
        Self { version: FocusVersion::default(), billing_account_id: billing_account_id.into(), tag_keys: Vec::new() }
    }

    /// Sets the version of the specification.
    #[must_use]
    pub fn version(mut self, version: FocusVersion) -> Self {
        self.version = version;
        self
    }

    /// Adds a key of tags that rows distinguish, in the column `Tags`. Each combination of values has its own rows.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>) -> Self {
        self.tag_keys.push(key.into());
        self
    }

    /// Writes the costs of the requests of a query, and returns the manifest.
    ///
    /// Takes the range and the conditions of the query. Reads the requests page by page and writes a day at a time, so
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
        writer: impl Write,
    ) -> Result<FocusManifest, FocusError> {
        let mut file = FocusFile::new(self, query, writer)?;
        let mut pages = RowPages::new(analytics, query, grant, Permission::LogsExport);
        while let Some(rows) = pages.next().await? {
            for row in &rows {
                file.add(row)?;
            }
        }
        file.finish()
    }
}

/// A file that is being written.
struct FocusFile<'a, W: Write> {
    export: &'a FocusExport,
    csv: csv::Writer<W>,
    /// The sums of the current day.
    sums: BTreeMap<(FocusGroup, FocusMeter), FocusSums>,
    day: Option<Date>,
    unpriced: BTreeMap<FocusGroup, UnpricedUsage>,
    manifest: FocusManifest,
}

impl<'a, W: Write> FocusFile<'a, W> {
    fn new(export: &'a FocusExport, query: &RowQuery, writer: W) -> Result<Self, FocusError> {
        let columns = export.version.columns();
        let mut csv = csv::Writer::from_writer(writer);
        csv.write_record(columns)?;
        let manifest = FocusManifest {
            focus_version: export.version,
            columns,
            from: query.range.from(),
            to: query.range.to(),
            tag_keys: export.tag_keys.clone(),
            rows: 0,
            billed_cost_nanos: 0,
            priced_requests: 0,
            partially_priced_requests: 0,
            unpriced_requests: 0,
            unpriced: Vec::new(),
        };
        Ok(Self { export, csv, sums: BTreeMap::new(), day: None, unpriced: BTreeMap::new(), manifest })
    }

    fn add(&mut self, row: &EventRow) -> Result<(), FocusError> {
        let time = Timestamp::try_from(row.requested_at).map_err(|error| QueryError::invalid(error.to_string()))?;
        let day = TimeZone::UTC.to_datetime(time).date();
        if self.day != Some(day) {
            self.write_day()?;
            self.day = Some(day);
        }
        let group = FocusGroup::of(row, day, &self.export.tag_keys);
        match row.total_cost_nanos.map(Money::from_nano_usd) {
            Some(total) => self.add_cost(row, &group, total),
            None if row.usage_status.is_some() => self.add_unpriced(row, group),
            // Requests that were not LLM calls have no cost.
            None => {}
        }
        if self.sums.len() > MAX_GROUPS || self.unpriced.len() > MAX_GROUPS {
            return Err(FocusError::Query(QueryError::TooLarge(format!(
                "the export has more than {MAX_GROUPS} rows a day, or groups without a price: choose fewer tags"
            ))));
        }
        Ok(())
    }

    fn add_cost(&mut self, row: &EventRow, group: &FocusGroup, total: Money) {
        self.manifest.priced_requests += 1;
        self.manifest.partially_priced_requests += u64::from(row.cost_status.as_deref() == Some("partial"));
        for (meter, quantity, cost) in metered(row, total) {
            self.sums.entry((group.clone(), meter)).or_default().add(quantity, cost);
        }
    }

    fn add_unpriced(&mut self, row: &EventRow, group: FocusGroup) {
        self.manifest.unpriced_requests += 1;
        let usage = self.unpriced.entry(group).or_insert_with_key(|group| UnpricedUsage {
            day: group.day.to_string(),
            provider: group.provider.clone(),
            model: group.model.clone(),
            workspace: group.workspace.clone(),
            tags: group.tags.clone(),
            cost_status: group.cost_status.clone(),
            requests: 0,
            quantities: BTreeMap::new(),
        });
        usage.requests += 1;
        for (unit, count) in disjoint_counts(row) {
            let sum = usage.quantities.entry(unit.as_str().to_owned()).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    fn write_day(&mut self) -> Result<(), FocusError> {
        for ((group, meter), sums) in std::mem::take(&mut self.sums) {
            let billing_account_id = &self.export.billing_account_id;
            let record = FocusRecord { group: &group, meter, sums, billing_account_id };
            let columns = self.export.version.columns().iter();
            self.csv.write_record(columns.map(|column| record.value(column).unwrap_or_default()))?;
            self.manifest.rows += 1;
            self.manifest.billed_cost_nanos = self.manifest.billed_cost_nanos.saturating_add(sums.cost.nano_usd());
        }
        Ok(())
    }

    fn finish(mut self) -> Result<FocusManifest, FocusError> {
        self.write_day()?;
        self.csv.flush()?;
        self.manifest.unpriced = self.unpriced.into_values().collect();
        Ok(self.manifest)
    }
}
