use jiff::Timestamp;

use crate::analytics::{Answer, Cell, QueryError};

use super::{
    csv_text::{csv_text, csv_writer},
    output::failed,
};

/// One line of the values of an answer.
struct Line<'a> {
    bucket: Option<Timestamp>,
    values: &'a [Option<String>],
    cell: &'a Cell,
}

impl Answer {
    /// Returns exactly the values of the answer as CSV.
    ///
    /// The format is that of [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180). The columns are the dimensions and
    /// then the measures. There is one line per group, or one line with the total if the query has no dimensions. An
    /// answer with buckets has the additional first column `bucket`, and one line per group and bucket. Unknown values
    /// and the group without a value are empty. Money is in US dollars. A `'` precedes text that a spreadsheet would
    /// take for a formula.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the text cannot be written.
    pub fn to_csv(&self) -> Result<String, QueryError> {
        let mut writer = csv_writer(Vec::new());
        let bucket = (!self.buckets.is_empty()).then_some("bucket");
        let names = self.group_by.iter().chain(&self.measures).map(String::as_str);
        writer.write_record(bucket.into_iter().chain(names).map(|name| csv_text(name).into_owned())).map_err(failed)?;
        self.write_lines(writer)
    }

    /// Returns the values without the header, for further pages of the same file.
    pub(crate) fn csv_lines(&self) -> Result<String, QueryError> {
        self.write_lines(csv_writer(Vec::new()))
    }

    fn write_lines(&self, mut writer: csv::Writer<Vec<u8>>) -> Result<String, QueryError> {
        for Line { bucket, values, cell } in self.lines() {
            let bucket = bucket.map(|time| time.to_string());
            let values = values.iter().map(|value| csv_text(value.as_deref().unwrap_or_default()).into_owned());
            let amounts = cell.values.iter().map(|amount| amount.map(|amount| amount.to_string()).unwrap_or_default());
            writer.write_record(bucket.into_iter().chain(values).chain(amounts)).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        String::from_utf8(bytes).map_err(failed)
    }

    /// Returns the lines after the header.
    fn lines(&self) -> Vec<Line<'_>> {
        if self.group_by.is_empty() {
            return self.cells(&[], &self.total, &self.series);
        }
        self.groups.iter().flat_map(|group| self.cells(&group.values, &group.cell, &group.series)).collect()
    }

    fn cells<'a>(&self, values: &'a [Option<String>], total: &'a Cell, series: &'a [Cell]) -> Vec<Line<'a>> {
        if self.buckets.is_empty() {
            return vec![Line { bucket: None, values, cell: total }];
        }
        self.buckets.iter().zip(series).map(|(bucket, cell)| Line { bucket: Some(*bucket), values, cell }).collect()
    }
}
