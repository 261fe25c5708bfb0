//! The saved views: a list, and the forms that save, rename, share, and delete them.

use askama::Template;
use axum::{
    extract::{RawForm, State},
    response::{IntoResponse, Redirect, Response},
};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use crate::{
    analytics::{SavedView, jiff::Timestamp},
    dashboard::{
        format,
        frame::Frame,
        html,
        page_error::PageError,
        page_path::is_page_path,
        page_request::PageRequest,
        posted_form::PostedForm,
        state::DashboardState,
        view::{UrlQuery, View},
        view_links::view_href,
    },
    registry::Permission,
};

/// The pages that can be saved, by the first segment of their paths, with their own parameters. Cursors are not saved.
const PAGES: [(&str, &[&str]); 10] = [
    ("", &[]),
    ("explore", &["m", "g", "s", "n", "b", "c"]),
    ("requests", &[]),
    ("sessions", &["g"]),
    ("by", &[]),
    ("compare", &["g", "a", "b"]),
    ("showback", &[]),
    ("keys", &[]),
    ("health", &[]),
    ("access", &[]),
];
/// The largest number of views of the list.
const MAX_VIEWS: usize = 500;
/// The parameters that are the place in a list.
const CURSORS: [&str; 2] = ["p", "before"];

#[derive(Template)]
#[template(path = "views.html", config = "src/dashboard/askama.toml")]
struct ViewsPage {
    frame: Frame,
    /// `false` for callers without a name.
    can_save: bool,
    own: Vec<ViewRow>,
    others: Vec<ViewRow>,
}

struct ViewRow {
    id: Uuid,
    name: String,
    href: String,
    page: String,
    filters: String,
    owner: String,
    workspace: String,
    is_shared: bool,
    can_change: bool,
    created: String,
    machine_time: String,
}

pub(crate) async fn views(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    // Views are of pages with either permission.
    let read = |permission| PageRequest::read(&state, &head, permission, &[]);
    let request = read(Permission::AnalyticsView).or_else(|_| read(Permission::LogsView))?;
    let is_admin = request.grant.allows(Permission::Admin) && request.grant.filters().is_empty();
    let is_own =
        |view: &SavedView| request.caller.as_deref() == Some(view.owner.as_str()) && view.is_of(&request.grant);
    let row = |view: &SavedView| ViewRow {
        id: view.id,
        name: view.name.clone(),
        href: view_href(&request.mount, view),
        page: if view.page.is_empty() { "Overview".to_owned() } else { decoded(&view.page) },
        filters: filters(&view.query),
        owner: view.owner.clone(),
        workspace: view.workspace.clone().unwrap_or_default(),
        is_shared: view.is_shared,
        can_change: is_admin,
        created: format::time(view.created_at, &request.view.zone),
        machine_time: format::machine_time(view.created_at),
    };
    let views = request.views(MAX_VIEWS).await;
    let (own, others): (Vec<&SavedView>, Vec<&SavedView>) = views.iter().partition(|view| is_own(view));
    html::page(&ViewsPage {
        frame: request.frame("Saved views", "views").await,
        can_save: request.caller.is_some(),
        own: own.into_iter().map(row).collect(),
        others: others.into_iter().map(row).collect(),
    })
}

/// Returns the parameters of a query as text.
fn filters(query: &str) -> String {
    let pairs = UrlQuery::parse(query).unwrap_or_default().into_pairs();
    let texts: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    if texts.is_empty() { "the default".to_owned() } else { format::cut(&texts.join("  "), 200) }
}

fn decoded(path: &str) -> String {
    format::cut(&percent_decode_str(path).decode_utf8_lossy(), 80)
}

/// Saves a page, and returns to it.
pub(crate) async fn save_view(
    State(state): State<DashboardState>,
    head: Parts,
    RawForm(body): RawForm,
) -> Result<Response, PageError> {
    let form = PostedForm::read(&state, &head, &body)?;
    if !form.grant.allows(Permission::AnalyticsView) && !form.grant.allows(Permission::LogsView) {
        return Err(PageError::forbidden("Only callers who see pages may save them."));
    }
    let page = form.get("page").unwrap_or_default();
    let own_names = own_names(page).ok_or_else(|| PageError::invalid("This page cannot be saved as a view."))?;
    let query = canonical(&state, form.get("query").unwrap_or_default(), own_names)?;
    let query = query.text();
    let is_shared = form.get("shared").is_some();
    let text = query.trim_start_matches('?');
    form.analytics.save_view(form.require("name")?, page, text, is_shared, &form.grant).await?;
    Ok(Redirect::to(&form.mount.link(page, &query)).into_response())
}

/// Returns the query of a view as its page writes it.
fn canonical(state: &DashboardState, query: &str, own_names: &[&str]) -> Result<UrlQuery, PageError> {
    let query = UrlQuery::parse(query)?;
    query.check_names(&[View::NAMES, View::FORM_NAMES, own_names, &CURSORS])?;
    let mut canonical = View::read(&query, &state.zone, Timestamp::now())?.query_string();
    for name in own_names {
        if let Some(value) = query.get(name) {
            canonical.push(name, value);
        }
    }
    Ok(canonical)
}

/// Returns the parameters of a page that can be saved.
fn own_names(page: &str) -> Option<&'static [&'static str]> {
    let first = page.split('/').next().unwrap_or_default();
    let names = PAGES.into_iter().find(|(name, _)| *name == first).map(|(_, names)| names)?;
    is_page_path(page).then_some(names)
}

/// Gives a view another name.
pub(crate) async fn rename_view(
    State(state): State<DashboardState>,
    head: Parts,
    RawForm(body): RawForm,
) -> Result<Response, PageError> {
    let (form, id) = changed(&state, &head, &body)?;
    form.analytics.rename_view(id, form.require("name")?, &form.grant).await?;
    Ok(list())
}

/// Shares a view.
pub(crate) async fn share_view(
    State(state): State<DashboardState>,
    head: Parts,
    RawForm(body): RawForm,
) -> Result<Response, PageError> {
    let (form, id) = changed(&state, &head, &body)?;
    form.analytics.share_view(id, true, &form.grant).await?;
    Ok(list())
}

/// Makes a view private.
pub(crate) async fn unshare_view(
    State(state): State<DashboardState>,
    head: Parts,
    RawForm(body): RawForm,
) -> Result<Response, PageError> {
    let (form, id) = changed(&state, &head, &body)?;
    form.analytics.share_view(id, false, &form.grant).await?;
    Ok(list())
}

/// Deletes a view.
pub(crate) async fn delete_view(
    State(state): State<DashboardState>,
    head: Parts,
    RawForm(body): RawForm,
) -> Result<Response, PageError> {
    let (form, id) = changed(&state, &head, &body)?;
    form.analytics.delete_view(id, &form.grant).await?;
    Ok(list())
}

fn changed(state: &DashboardState, head: &Parts, body: &[u8]) -> Result<(PostedForm, Uuid), PageError> {
    let form = PostedForm::read(state, head, body)?;
    let id = form.require("id")?.parse().map_err(|_| PageError::invalid("The form has no id of a view."))?;
    Ok((form, id))
}

fn list() -> Response {
    Redirect::to("../views").into_response()
}

#[cfg(test)]
mod tests {
    use super::own_names;

    #[test]
    fn only_pages_of_the_dashboard_can_be_saved() {
        for page in ["", "explore", "by/_user", "by/a%2Fb", "sessions/agent_run_id/run-1"] {
            assert!(own_names(page).is_some(), "{page}");
        }
        for other in [
            "/",
            "//x.example",
            "https://x.example",
            "by/..",
            "by/%2e%2E",
            "by/.",
            "by//x",
            "explore/../x",
            "by/a?b",
            "\\x",
            "javascript:alert(1)",
            "views",
            "sign-in",
            "by/a b",
            "by/",
        ] {
            assert!(own_names(other).is_none(), "{other}");
        }
    }
}
