use serde::Serialize;

/// The envelope of lists.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    object: &'static str,
    /// The number of entries on all pages.
    total: u64,
    data: Vec<T>,
}

impl<T> List<T> {
    /// Creates a list from the entries of a page.
    pub(crate) fn new(total: u64, data: Vec<T>) -> Self {
        Self { object: "list", total, data }
    }
}
