//! The form of the sign-in.

use askama::Template;
use axum::{
    extract::{RawForm, State},
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};

use crate::dashboard::{
    frame::Frame, html, mount::Mount, page_error::PageError, page_path::is_page_path, state::DashboardState,
    view::UrlQuery,
};

use super::SignIn;

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/dashboard/askama.toml")]
struct SignInPage {
    frame: Frame,
    next: String,
    problem: Option<&'static str>,
}

/// Shows the form, or signs in with the token of a one-time link.
pub(crate) async fn form(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let sign_in = sign_in(&state)?;
    let mount = Mount::of(&head.extensions, &head.uri);
    let query = UrlQuery::parse(head.uri.query().unwrap_or_default())?;
    // Previews of links ask for the head only. They must not use up the link.
    if let Some(token) = query.get("token").filter(|_| head.method != Method::HEAD) {
        return match sign_in.enter_with_token(token, &head) {
            Some(cookie) => Ok(enter(cookie, &mount.home)),
            None => show(&mount, query.get("next"), Some("This link was already used, or is older than ten minutes.")),
        };
    }
    show(&mount, query.get("next"), None)
}

/// Signs in with a key.
pub(crate) async fn submit(
    State(state): State<DashboardState>,
    head: Parts,
    RawForm(body): RawForm,
) -> Result<Response, PageError> {
    let sign_in = sign_in(&state)?;
    let mount = Mount::of(&head.extensions, &head.uri);
    if !sign_in.site().has_same_origin(&head) {
        return Err(PageError::forbidden("The form was sent by another site."));
    }
    let form = UrlQuery::parse(std::str::from_utf8(&body).unwrap_or_default())?;
    let cookie = form.get("key").and_then(|key| sign_in.enter_with_key(key, &head));
    if let Some(cookie) = cookie {
        let target = next(form.get("next")).map(|(path, query)| mount.link(path, query));
        return Ok(enter(cookie, target.as_deref().unwrap_or(&mount.home)));
    }
    let problem = "This key is not known, has expired, or may not see the dashboard.";
    let mut page = show(&mount, form.get("next"), Some(problem))?;
    *page.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(page)
}

/// Signs out.
pub(crate) async fn leave(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let sign_in = sign_in(&state)?;
    if !sign_in.site().has_same_origin(&head) {
        return Err(PageError::forbidden("The form was sent by another site."));
    }
    let mut response = Redirect::to("sign-in").into_response();
    response.headers_mut().extend(sign_in.leave(&head).map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

fn sign_in(state: &DashboardState) -> Result<&SignIn, PageError> {
    state.sign_in.as_ref().ok_or_else(PageError::unknown_page)
}

fn enter(cookie: HeaderValue, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// Returns the path and the query of the page to go on with. Only pages of the dashboard are accepted.
fn next(target: Option<&str>) -> Option<(&str, &str)> {
    let target = target.filter(|target| !target.is_empty())?;
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    // The query becomes a part of a header.
    let is_query = query.chars().all(|letter| !letter.is_control() && letter != ' ');
    (is_page_path(path) && is_query).then_some((path, query))
}

fn show(mount: &Mount, path: Option<&str>, problem: Option<&'static str>) -> Result<Response, PageError> {
    let next = next(path).map(|(path, query)| format!("{path}{query}")).unwrap_or_default();
    html::page(&SignInPage { frame: Frame::bare("Sign in", mount), next, problem })
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn goes_on_with_pages_of_the_dashboard_only() {
        assert_eq!(next(Some("explore?m=cost&r=7d")), Some(("explore", "?m=cost&r=7d")));
        assert_eq!(next(Some("sessions/a/b%2F")), Some(("sessions/a/b%2F", "")));
        assert_eq!(next(Some("?r=7d")), Some(("", "?r=7d")));
        for other in [
            "",
            "/",
            "//example.com",
            "https://example.com",
            "../x",
            "%2e%2e/logout",
            "by/%2E./x",
            "a//b",
            "\\\\x",
            "javascript:x",
            "a\nb",
            "explore?a\nb",
            "explore?a\u{85}b",
        ] {
            assert_eq!(next(Some(other)), None, "{other}");
        }
    }
}
