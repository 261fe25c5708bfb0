use crate::{analytics::QueryError, row::EventRow};

use super::output::Output;

/// Writes rows in one format.
pub(super) trait RowEncoder: Send {
    /// Writes what precedes the rows. A continued file has no second header.
    fn begin(&mut self, is_continued: bool, output: &mut Output) -> Result<(), QueryError>;

    /// Writes rows.
    fn write(&mut self, rows: &[EventRow], output: &mut Output) -> Result<(), QueryError>;

    /// Writes what follows the rows.
    fn end(&mut self, output: &mut Output) -> Result<(), QueryError>;
}
