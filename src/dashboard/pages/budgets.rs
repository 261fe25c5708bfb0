//! Budgets by group, and rates, with their rejections.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};

use crate::{
    dashboard::{frame::Frame, html, page_error::PageError, page_request::PageRequest, state::DashboardState},
    registry::Permission,
};

#[cfg(feature = "limit")]
use super::budget_tables::{lines, tables};
use super::budget_view::{BudgetTables, NAMES, own};

#[derive(Template)]
#[template(path = "budgets.html", config = "src/dashboard/askama.toml")]
struct BudgetsPage {
    frame: Frame,
    /// `None` without a limiter.
    tables: Option<BudgetTables>,
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
