//! What the page of budgets shows, and its parameters.

use crate::dashboard::{frame::Choice, page_request::PageRequest, table::Table, view::UrlQuery};

/// The parameters of the page: the name of a limit, and the number of a page.
pub(super) const NAMES: [&str; 2] = ["rule", "p"];

/// The tables of the page.
pub(super) struct BudgetTables {
    /// The limits to choose from. Empty if the caller sees none.
    pub(super) rules: Vec<Choice>,
    /// Parameters that the form keeps.
    pub(super) hidden: Vec<(String, String)>,
    pub(super) csv: String,
    pub(super) title: String,
    /// The titles of the limits some of whose groups are missing, because there are too many.
    pub(super) cut: Vec<String>,
    pub(super) budgets: Vec<BudgetRow>,
    pub(super) pages: Vec<(&'static str, String)>,
    pub(super) rates: Table,
}

/// A row of the table of budgets.
pub(super) struct BudgetRow {
    pub(super) title: String,
    pub(super) group: String,
    /// The requests of the group. `None` without a group.
    pub(super) href: Option<String>,
    pub(super) limit: String,
    pub(super) settled: String,
    pub(super) reserved: String,
    pub(super) remaining: String,
    pub(super) share: String,
    /// The widths of the settled and of the reserved part, from 0 to 110.
    pub(super) widths: (f64, f64),
    pub(super) is_full: bool,
    pub(super) projection: String,
    pub(super) exceeds: bool,
    pub(super) rejected: String,
    /// The requests that the limit rejected.
    pub(super) rejected_href: String,
    pub(super) end: String,
    pub(super) mode: &'static str,
    pub(super) mode_badge: &'static str,
    pub(super) source: &'static str,
}

/// Returns the parameters of the page that are not the default.
pub(super) fn own(request: &PageRequest) -> UrlQuery {
    let mut own = UrlQuery::default();
    for name in NAMES {
        if let Some(value) = request.query.get(name).filter(|value| !value.is_empty() && (name != "p" || *value != "1"))
        {
            own.push(name, value);
        }
    }
    own
}
