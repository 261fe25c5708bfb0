//! Budgets and rate limits. There are none yet.

use askama::Template;
use axum::{extract::State, response::Response};
use http::request::Parts;

use crate::{
    dashboard::{frame::Frame, html, page_error::PageError, page_request::PageRequest, state::DashboardState},
    registry::Permission,
};

#[derive(Template)]
#[template(path = "budgets.html", config = "src/dashboard/askama.toml")]
struct BudgetsPage {
    frame: Frame,
}

pub(crate) async fn budgets(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &[])?;
    html::page(&BudgetsPage { frame: request.frame("Budgets", "budgets").await })
}
