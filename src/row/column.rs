use super::ColumnKind;

/// A column of the table `tagging_events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// The name of the column, which is also the name of the field of [`EventRow`](super::EventRow).
    pub name: &'static str,
    /// The kind of values that the column holds.
    pub kind: ColumnKind,
    /// `true` if the column may be `NULL`.
    ///
    /// `NULL` means that the value is unknown or does not apply.
    pub nullable: bool,
    /// The description of the column, in Markdown.
    pub doc: &'static str,
}

impl Column {
    /// Returns `true` if the database computes the column from another one.
    ///
    /// No row contains a value for such a column.
    pub const fn is_generated(&self) -> bool {
        matches!(self.kind, ColumnKind::Dollars)
    }
}
