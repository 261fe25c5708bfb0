use std::{collections::BTreeMap, io::Write};

use bytes::Bytes;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    analytics::{
        Compression, QueryError, TimeRange,
        export::{Output, csv_writer},
        row_usage::disjoint_counts,
    },
    row::EventRow,
    usage::Money,
};

use super::{
    FocusError, FocusManifest, UnpricedUsage,
    focus_group::{FocusGroup, FocusSums, metered},
    focus_meter::FocusMeter,
    focus_record::FocusRecord,
    focus_settings::FocusSettings,
};

/// The largest number of rows of a day, and of unpriced groups, that are held in memory.
const MAX_GROUPS: usize = 100_000;

/// A FOCUS file that is written piece by piece. The same requests are the source of its rows and of its manifest.
pub(crate) struct FocusFile {
    settings: FocusSettings,
    output: Output,
    /// The sums of the current day.
    sums: BTreeMap<(FocusGroup, FocusMeter), FocusSums>,
    day: Option<Date>,
    /// `None` if nobody reads the manifest.
    unpriced: Option<BTreeMap<FocusGroup, UnpricedUsage>>,
    manifest: FocusManifest,
}

impl FocusFile {
    /// Creates a file that has only its header.
    pub(super) fn new(settings: &FocusSettings, range: &TimeRange) -> Result<Self, FocusError> {
        let columns = settings.version.columns();
        let manifest = FocusManifest {
            focus_version: settings.version,
            columns,
            from: range.from(),
            to: range.to(),
            tag_keys: settings.tag_keys.clone(),
            rows: 0,
            sha256: String::new(),
            billed_cost_nanos: 0,
            priced_requests: 0,
            partially_priced_requests: 0,
            unpriced_requests: 0,
            unpriced: Vec::new(),
        };
        let mut file = Self {
            settings: settings.clone(),
            output: Output::new(Compression::None)?,
            sums: BTreeMap::new(),
            day: None,
            unpriced: Some(BTreeMap::new()),
            manifest,
        };
        file.write_records([columns.iter().map(|name| (*name).to_owned())])?;
        Ok(file)
    }

    /// Does not collect the usage without a price, because nobody reads the manifest.
    pub(crate) fn without_manifest(mut self) -> Self {
        self.unpriced = None;
        self
    }

    /// Adds a request. Requests must be added in the order of their times.
    pub(crate) fn add(&mut self, row: &EventRow) -> Result<(), FocusError> {
        let time = Timestamp::try_from(row.requested_at).map_err(|error| QueryError::invalid(error.to_string()))?;
        let day = TimeZone::UTC.to_datetime(time).date();
        if self.day != Some(day) {
            self.write_day()?;
            self.day = Some(day);
        }
        let group = FocusGroup::of(row, day, &self.settings.tag_keys);
        match row.total_cost_nanos.map(Money::from_nano_usd) {
            Some(total) => self.add_cost(row, &group, total),
            None if row.is_unpriced() => self.add_unpriced(row, group),
            // Requests that were not LLM calls, and calls that were refused, have no cost.
            None => {}
        }
        if self.sums.len() > MAX_GROUPS || self.unpriced.as_ref().is_some_and(|unpriced| unpriced.len() > MAX_GROUPS) {
            return Err(FocusError::Query(QueryError::TooLarge(format!(
                "the export has more than {MAX_GROUPS} rows a day, or groups without a price: choose fewer tags"
            ))));
        }
        Ok(())
    }

    /// Returns the bytes since the last call.
    pub(crate) fn take(&mut self) -> Result<Bytes, FocusError> {
        Ok(self.output.take()?)
    }

    /// Returns the last bytes and the manifest.
    pub(crate) fn finish(mut self) -> Result<(Bytes, FocusManifest), FocusError> {
        self.write_day()?;
        self.manifest.sha256 = self.output.digest();
        self.manifest.unpriced = self.unpriced.into_iter().flat_map(BTreeMap::into_values).collect();
        Ok((self.output.finish()?, self.manifest))
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
        let Some(unpriced) = &mut self.unpriced else { return };
        let usage = unpriced.entry(group).or_insert_with_key(|group| UnpricedUsage {
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
        let sums = std::mem::take(&mut self.sums);
        for sums in sums.values() {
            self.manifest.rows += 1;
            self.manifest.billed_cost_nanos = self.manifest.billed_cost_nanos.saturating_add(sums.cost.nano_usd());
        }
        let (columns, billing_account_id) = (self.settings.version.columns(), self.settings.billing_account_id.clone());
        self.write_records(sums.iter().map(|((group, meter), sums)| {
            let record = FocusRecord { group, meter: *meter, sums: *sums, billing_account_id: &billing_account_id };
            columns.iter().map(move |column| record.value(column).unwrap_or_default())
        }))
    }

    fn write_records<R: Iterator<Item = String>>(
        &mut self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<(), FocusError> {
        let mut writer = csv_writer(Vec::new());
        for record in records {
            writer.write_record(record.map(String::into_bytes))?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(self.output.write_all(&bytes)?)
    }
}
