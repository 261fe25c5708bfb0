//! Budgets by group, and rates, with their rejections.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};

use crate::{
    dashboard::{
        frame::{Choice, Frame},
        html,
        page_error::PageError,
        page_request::PageRequest,
        state::DashboardState,
        table::Table,
    },
    registry::Permission,
};

/// The parameters of the page: the name of a limit, and the number of a page.
pub(super) const NAMES: [&str; 2] = ["rule", "p"];

#[derive(Template)]
#[template(path = "budgets.html", config = "src/dashboard/askama.toml")]
struct BudgetsPage {
    frame: Frame,
    /// `None` without a limiter.
    tables: Option<BudgetTables>,
}

/// The tables of the page.
pub(super) struct BudgetTables {
    /// The limits to choose from. Empty if the caller sees none.
    pub(super) rules: Vec<Choice>,
    /// Parameters that the form keeps.
    pub(super) hidden: Vec<(String, String)>,
    pub(super) csv: String,
    pub(super) title: String,
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

pub(crate) async fn budgets(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &NAMES)?;
    let tables = tables(&request).await?;
    if let Some(redirect) = request.canonical(&own(&request)) {
        return Ok(redirect);
    }
    html::page(&BudgetsPage { frame: request.frame("Budgets", "budgets").await, tables })
}

pub(crate) async fn budgets_csv(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &NAMES[..1])?;
    let lines = lines(&request).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"budgets.csv\""),
    ];
    Ok((headers, crate::analytics::csv_lines(&lines)?).into_response())
}

/// Returns the parameters of the page that are not the default.
pub(super) fn own(request: &PageRequest) -> crate::dashboard::view::UrlQuery {
    let mut own = crate::dashboard::view::UrlQuery::default();
    for name in NAMES {
        if let Some(value) = request.query.get(name).filter(|value| !value.is_empty() && (name != "p" || *value != "1"))
        {
            own.push(name, value);
        }
    }
    own
}

#[cfg(feature = "limit")]
use super::budget_tables::{lines, tables};

#[cfg(not(feature = "limit"))]
#[allow(clippy::unused_async, reason = "the ledger of limits is read with the feature `limit`")]
async fn tables(_: &PageRequest) -> Result<Option<BudgetTables>, PageError> {
    Ok(None)
}

#[cfg(not(feature = "limit"))]
#[allow(clippy::unused_async, reason = "the ledger of limits is read with the feature `limit`")]
async fn lines(_: &PageRequest) -> Result<Vec<Vec<String>>, PageError> {
    Err(PageError::unknown_page())
}
