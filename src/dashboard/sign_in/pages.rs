//! The form of the sign-in.

use askama::Template;
use axum::{
    extract::{RawForm, State},
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};

use crate::dashboard::{
    frame::Frame, html, mount::Mount, page_error::PageError, state::DashboardState, view::UrlQuery,
};

use super::{SignIn, has_same_origin};

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
    if let Some(token) = query.get("token") {
        return match sign_in.enter_with_token(token, &head.headers) {
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
    if !has_same_origin(&head.headers) {
        return Err(PageError::forbidden("The form was sent by another site."));
    }
    let form = UrlQuery::parse(std::str::from_utf8(&body).unwrap_or_default())?;
    let cookie = form.get("key").and_then(|key| sign_in.enter_with_key(key, &head.headers));
    if let Some(cookie) = cookie {
        return Ok(enter(cookie, next(form.get("next")).unwrap_or(&mount.home)));
    }
    let problem = "This key is not known, has expired, or may not see the dashboard.";
    let mut page = show(&mount, form.get("next"), Some(problem))?;
    *page.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(page)
}

/// Signs out.
pub(crate) async fn leave(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    sign_in(&state)?;
    if !has_same_origin(&head.headers) {
        return Err(PageError::forbidden("The form was sent by another site."));
    }
    let mut response = Redirect::to("sign-in").into_response();
    response.headers_mut().extend(SignIn::leave(&head.headers).map(|cookie| (header::SET_COOKIE, cookie)));
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

/// Returns the page to go on with. Only pages of the dashboard are accepted.
fn next(path: Option<&str>) -> Option<&str> {
    let is_page = |path: &&str| {
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"/-._~%".contains(&letter);
        !path.starts_with('/') && path.bytes().all(is_plain) && !path.contains("..") && !path.contains("//")
    };
    path.filter(|path| !path.is_empty()).filter(is_page)
}

fn show(mount: &Mount, path: Option<&str>, problem: Option<&'static str>) -> Result<Response, PageError> {
    let next = next(path).unwrap_or_default().to_owned();
    html::page(&SignInPage { frame: Frame::bare("Sign in", mount), next, problem })
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn goes_on_with_pages_of_the_dashboard_only() {
        assert_eq!(next(Some("explore?m=cost&r=7d")), Some("explore?m=cost&r=7d"));
        assert_eq!(next(Some("sessions/a/b%2F")), Some("sessions/a/b%2F"));
        for other in ["", "/", "//example.com", "https://example.com", "../x", "a//b", "\\\\x", "javascript:x", "a\nb"]
        {
            assert_eq!(next(Some(other)), None, "{other}");
        }
    }
}
