use serde::Serialize;

use crate::row::EventRow;

/// A page of requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Page {
    /// The requests, in the order of the query.
    pub rows: Vec<EventRow>,
    /// The cursor of the next page. `None` after the last request. A page with a cursor may be short.
    pub next: Option<String>,
}
