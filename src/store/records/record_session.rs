use crate::store::StoreError;

use super::record_value::{RecordRow, RecordValue};

/// A connection to a database with the tables of records.
///
/// Parameters are written as `?1`. A parameter that is not compared with a column, or stored in one, needs a cast.
pub(crate) trait RecordSession: Send {
    /// Runs a statement, and returns the number of rows that it changed.
    fn write_record(
        &mut self,
        sql: &str,
        values: Vec<RecordValue>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Returns the rows of a statement, whose columns are texts and numbers of 64 bits.
    fn read_records(
        &mut self,
        sql: &str,
        values: Vec<RecordValue>,
    ) -> impl Future<Output = Result<Vec<RecordRow>, StoreError>> + Send;
}
